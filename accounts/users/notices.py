"""What the sign-in tells people. Always by mail and at once: whoever took over an account would rather nobody knew."""

from django.utils.translation import gettext_lazy as _

from accounts.notifications.kinds import Kind, register

RECOVERY_CODE_USED = register(
    Kind(
        "recovery_code_used",
        "security",
        title=_("Somebody signed in with one of your recovery codes"),
        body=_(
            "A recovery code works once; see on your security page how many are left."
            " If it was not you, change your password and tell your administrator."
        ),
        priority="high",
        mutable=False,
    )
)
WRONG_CODES = register(
    Kind(
        "wrong_second_factors",
        "security",
        title=_("Wrong codes were entered for your account"),
        body=_(
            "Somebody knows your password and entered %(count)s wrong codes of your second factor."
            " If it was not you, change your password now."
        ),
        priority="high",
        mutable=False,
    )
)
PLATFORM_ENTERED = register(
    Kind(
        "platform_entered",
        "security",
        title=_("The platform administrator entered your clinic"),
        body=_("%(name)s works in %(clinic)s until %(until)s and sees no patients. The reason: %(reason)s"),
        priority="high",
        mutable=False,
    )
)
NEW_DEVICE = register(
    Kind(
        "signed_in_on_new_device",
        "security",
        title=_("You signed in on a new device"),
        body=_("%(device)s, network address %(address)s. If it was not you, end it and change your password."),
        mail="no",
        mutable=False,
    )
)
REFRESH_TOKEN_REUSED = register(
    Kind(
        "refresh_token_reused",
        "security",
        title=_("One of your sign-ins was ended for safety"),
        body=_(
            "An application used a key of yours that had been used before: it, or somebody who copied it."
            " That sign-in (%(device)s) is over. If you do not know it, change your password."
        ),
        priority="high",
        mutable=False,
    )
)
