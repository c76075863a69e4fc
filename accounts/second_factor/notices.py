"""What this room tells people. Always by mail and at once: whoever took over an account would rather nobody knew."""

from django.utils.translation import gettext_lazy as _

from accounts.notifications.kinds import Kind, register

SECOND_FACTOR_ADDED = register(
    Kind(
        "second_factor_added",
        "security",
        title=_("A second factor was set up"),
        body=_(
            "%(factor)s was added to your account. You are signed out everywhere else."
            " If it was not you, tell your administrator at once."
        ),
        mutable=False,
    )
)
SECOND_FACTOR_REMOVED = register(
    Kind(
        "second_factor_removed",
        "security",
        title=_("A second factor was removed"),
        body=_(
            "%(factor)s was removed from your account. You are signed out everywhere else."
            " If it was not you, tell your administrator at once."
        ),
        priority="high",
        mutable=False,
    )
)
SECOND_FACTOR_RESET = register(
    Kind(
        "second_factor_reset",
        "security",
        title=_("Your second factor was reset"),
        body=_(
            "%(by)s has removed every second factor from your account, and you are signed out everywhere."
            " Set up a new one when you sign in. If you did not ask for this, tell your administrators at once."
        ),
        priority="high",
        mutable=False,
    )
)
SECOND_FACTOR_OF_COLLEAGUE_RESET = register(
    Kind(
        "second_factor_of_colleague_reset",
        "security",
        title=_("The second factor of %(name)s was reset"),
        body=_("%(by)s has removed every second factor of %(name)s. The reason is in the audit trail."),
        mutable=False,
    )
)
RECOVERY_CODES_RENEWED = register(
    Kind(
        "recovery_codes_renewed",
        "security",
        title=_("New recovery codes were made"),
        body=_(
            "There are ten new recovery codes for your account; the earlier ones are worthless."
            " If it was not you, tell your administrator at once."
        ),
        mutable=False,
    )
)
