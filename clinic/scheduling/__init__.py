"""The book of appointments: when somebody may be seen, who is booked, and what became of it.

`availability` works out free times and says why a time is not free; `services`
write the book, under locks and under constraints of the table itself, so that
page, API, admin, import and psql obey one rule.
"""
