"""Writing: inviting and accepting, registering, confirming an address, setting a password."""
