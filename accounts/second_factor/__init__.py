"""The second factor: authenticator codes, recovery codes, passkeys; enrolling, proving, losing it."""
