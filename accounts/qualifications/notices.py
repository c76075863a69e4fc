"""What this room tells people."""

from django.utils.translation import gettext_lazy as _

from accounts.notifications.kinds import Kind, register

LAPSE = register(
    Kind(
        "qualification_lapses",
        "team",
        title=_("%(kind)s of %(member)s lapses on %(day)s"),
        body=_("%(kind)s of %(member)s is valid until %(day)s. Visits booked after that which need it: %(visits)s."),
        priority="high",
    )
)
