"""Becoming a member: invitations, registration, confirmed addresses, passwords set and lost."""
