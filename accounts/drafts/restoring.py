"""Between drafts and the forms of pages: what a form sent, and a form as it stood."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.forms.utils import ErrorDict
from django.http import QueryDict
from django.urls import Resolver404, resolve

from . import selectors

FIELD = "draft"
"""The hidden field of a form that takes part; its value is the path of the page the form stands on."""


@dataclass(frozen=True)
class KeptWords:
    """A draft as a page uses it: `data` as if the form had sent it."""

    key: str
    data: QueryDict
    saved_at: datetime


def find_draft(request) -> KeptWords | None:
    """What the caller has typed on this very page and not sent, when they open it again; None otherwise."""
    if request.method != "GET" or request.member is None:
        return None
    draft = selectors.get_draft(request.path, by=request.member)
    if draft is None:
        return None
    data = QueryDict(mutable=True)
    for name, values in draft.values.items():
        data.setlist(name, values)
    return KeptWords(draft.key, data, draft.updated_at)


def show_unchecked(*forms) -> None:
    """Let forms and formsets filled from a draft show the words without judging them: nobody has sent them."""
    for form in forms:
        if hasattr(form, "forms"):
            show_unchecked(*form.forms)
            form._errors = [inner._errors for inner in form.forms]
            form._non_form_errors = form.error_class()
        else:
            form._errors = ErrorDict()


def values_of(sent: QueryDict) -> dict[str, list[str]]:
    """The fields of a form that was sent, each with all its values."""
    return {name: sent.getlist(name) for name in sent if name != "csrfmiddlewaretoken"}


def page_of(key: str) -> str:
    """The path when a page of ours lives there, else "": nothing else may be the key of a draft, or be led to."""
    if not key.startswith("/") or key.startswith("//") or len(key) > 300 or "\\" in key or "\x00" in key:
        return ""
    try:
        return "" if "unknown" in resolve(key, settings.ROOT_URLCONF).kwargs else key
    except Resolver404:
        return ""
