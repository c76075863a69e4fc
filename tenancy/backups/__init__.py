"""Backups: one sealed file that proves itself when it comes back.

`manage.py backup` dumps as the backup role while people work, counts and
hashes the rows of every clinic in the very same snapshot, and seals all of it
for a key that is not kept here. `manage.py restore` looks at the whole file
before it touches anything, fills an empty database, counts again clinic by
clinic, and lets nobody in before everything agrees.
"""
