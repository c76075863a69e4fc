"""What happened, told to other programs: an outbox, and webhooks that are tried until they arrive.

A service says `events.emit("appointment.created", appointment, by=by)` in its
own transaction. That writes the event and, for each endpoint that wants it, a
delivery; the worker sends them. What is rolled back was never told, and what is
committed is told at least once, even when web, worker, broker or database die.
"""
