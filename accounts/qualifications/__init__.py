"""What a member is allowed to do by their training: licences and privileges, from when to when."""
