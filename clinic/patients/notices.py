"""What the room of patients tells people. No name, no number, no word about health: a link, and who did it."""

from django.utils.translation import gettext_lazy as _

from accounts.notifications.kinds import Kind, register

BREAK_GLASS = register(
    Kind(
        "break_glass",
        "care",
        title=_("A restricted chart was opened in an emergency"),
        body=_("%(by)s opened a restricted chart by break-glass. It is waiting for a review."),
        priority="high",
        mail="now",
        mutable=False,
    )
)
BREAK_GLASS_TO_LIST = register(
    Kind(
        "break_glass_to_list",
        "care",
        title=_("A restricted chart was opened in an emergency"),
        body=_(
            "%(by)s opened a restricted chart by break-glass. You are told because you are on its list. "
            "Others review it; you need not do anything."
        ),
        priority="high",
        mail="now",
        mutable=False,
    )
)
"""For those on the chart's list, who are no reviewers."""
BREAK_GLASS_OFTEN = register(
    Kind(
        "break_glass_often",
        "care",
        title=_("Many restricted charts were opened in an emergency"),
        body=_("%(by)s opened %(count)s restricted charts by break-glass within 24 hours. Please look at it today."),
        priority="urgent",
        mail="now",
        mutable=False,
    )
)
JUSTIFIED = register(
    Kind(
        "break_glass_justified",
        "care",
        title=_("Your emergency access was reviewed"),
        body=_("%(by)s has looked at it and found it justified."),
        mail="digest",
        mutable=False,
    )
)
NOT_JUSTIFIED = register(
    Kind(
        "break_glass_not_justified",
        "care",
        title=_("Your emergency access was found not justified"),
        body=_("%(by)s has looked at it. Read what they wrote, and speak with them."),
        priority="high",
        mail="now",
        mutable=False,
    )
)
TAKEN_OVER = register(
    Kind(
        "restricted_chart_taken_over",
        "care",
        title=_("A restricted chart has a new list"),
        body=_("Nobody on its list worked here any more. %(by)s is on it now."),
        priority="high",
        mail="now",
        mutable=False,
    )
)
