"""The keys with which other servers come in: what they may do, how they are known, and when they end.

A key belongs to one clinic and says so in its own text, so that even the
look-up of the key runs inside that clinic. A platform key belongs to none and
opens and lists clinics.
"""
