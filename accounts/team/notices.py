"""What members are told when somebody changes what they may do."""

from django.utils.translation import gettext_lazy as _

from accounts.notifications.kinds import Kind, register

RIGHTS_CHANGED = register(
    Kind(
        "team_rights_changed",
        "security",
        title=_("What you may do was changed"),
        body=_(
            "%(by)s changed your roles or permissions in %(clinic)s. "
            "If you did not expect this, ask an administrator of the clinic."
        ),
        priority="high",
        mutable=False,
    )
)

GROUP_CHANGED = register(
    Kind(
        "team_group_changed",
        "team",
        title=_("Your groups were changed"),
        body=_("%(by)s changed your membership in the group %(group)s."),
        mail="digest",
    )
)
