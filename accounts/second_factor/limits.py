"""How often a password may be typed to confirm a change. Wrong codes are counted in the device's own row."""

from tenancy.doors.limits import Limit

PASSWORD_AGAIN = Limit("password-again", "5/15m", fail="closed")
