"""Words the pages of integrations show about keys."""

from typing import Any

from django.utils.translation import gettext as _

from accounts.api_keys.models import ApiKey
from accounts.api_keys.scopes import SCOPE_WORDS


def key_row(key: ApiKey, now) -> dict[str, Any]:
    """One key for lists and its page: `key`, `scopes` in words, `state` and its `tone`."""
    state, tone = key_state(key, now)
    return {
        "key": key,
        "scopes": [SCOPE_WORDS[scope] for scope in key.scopes if scope in SCOPE_WORDS],
        "state": state,
        "tone": tone,
        "is_live": key.is_live(now),
        "may_rotate": key.is_live(now) and key.replaced_by_id is None,
        "by": key.created_by.display_name if key.created_by else _("the operator"),
    }


def key_state(key: ApiKey, now) -> tuple[str, str]:
    if key.revoked_at is not None:
        return _("Revoked"), ""
    if key.expires_at is not None and key.expires_at <= now:
        return _("Expired"), ""
    if key.replaced_by_id is not None:
        return _("Being replaced"), "warn"
    return _("In use"), "ok"
