"""The first page after signing in: what is mine today. Dashboards join it in later issues."""
