"""The clinic's connections to other programs, for those who manage them: API keys and webhooks, by page and by /v1."""
