"""Django's PostgreSQL backend, with the tenant set in the same message as BEGIN."""
