"""What administrators do to the people of a clinic, a subject a file: members, rights, roles, groups, settings."""
