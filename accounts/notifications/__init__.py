"""Telling people: the inbox, mail, the daily digest.

Rooms send through one function, `services.notify`; rows come first, the broker only wakes the worker. Knows members by
their rows only, so that every room, `users` among them, may send.
"""
