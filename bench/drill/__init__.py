"""The kill drill: everything is killed again and again while patients are registered, and nothing may be lost.

A small Jepsen (security.md, part F). Writers register patients through `/v1`,
each with an Idempotency-Key, and remember what they were told. A nemesis kills
web, worker, beat, Redis and PostgreSQL with SIGKILL. A receiver takes webhooks
and checks their signatures. When all is quiet again, a checker reads the
database and says whether what everybody remembers agrees with it.
"""
