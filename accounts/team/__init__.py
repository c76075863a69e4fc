"""The people of a clinic as its administrators see them: members, roles, groups, what each may do."""
