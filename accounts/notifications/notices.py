"""What this room itself tells people."""

from django.utils.translation import gettext_lazy as _

from .kinds import Kind, register

MAIL_FAILED = register(
    Kind(
        "mail_failed",
        "system",
        title=_("Some mail was not delivered"),
        body=_("Mail of this clinic could not be delivered. The list says to whom, and what the mail server answered."),
        priority="high",
        mail="no",  # mail about mail that fails would be one more
        mutable=False,
    )
)
