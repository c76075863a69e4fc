"""How often one may ask to be let in. Counted on Redis (decision X24); all of it fails closed."""

from tenancy.doors.limits import Limit, SlidingLimit

REGISTER = Limit("register", "5/h", fail="closed")
"""By network address, each try."""

ASK_RESET = Limit("password-reset", "10/h", fail="closed")
"""By network address."""

MAILS_TO = Limit("joining-mails", "3/h", fail="closed")
"""By mailbox: what strangers may have sent to one address. Over it nothing is sent, and nobody is told."""

OWN_PASSWORD = SlidingLimit("own-password", "5/15m", fail="closed")
"""By person, in their own session: for strangers at an open screen. Nobody outside can use it up (AU-08)."""

CHOSEN_PASSWORD = Limit("chosen-password", "10/h", fail="closed")
"""By person: the password that a first confirmation asks for."""

REFUSED_LINK_NOTED = Limit("refused-link-noted", "1/15m", fail="open")
"""By invitation: so that nobody can fill a clinic's trail with one old link."""
