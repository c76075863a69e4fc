"""The HTML door of people, roles, groups and settings, a subject a file."""
