"""The buttons beside a visit; in Python, not in a template, because Today draws ninety of them: a third of the time."""

from functools import lru_cache
from urllib.parse import quote

from django import template
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _

register = template.Library()

LIVE = ' hx-target="#board" hx-select="#board" hx-swap="outerHTML" hx-select-oob="#said"'


@register.simple_tag
def state_buttons(row, name, may, back, csrf_token, live, undo_icon):
    """One tap a state, with words, and the way back.

    `row` is of `presenting.row`, `name` the patient's, `back` where to come
    back to; `live` is without loading the page anew.
    """
    if not may["move"]:
        return ""
    url, name = conditional_escape(row["url"]), conditional_escape(name)
    cancel = _cancel(row, url, name, back) if row["may_cancel"] else ""
    if not row["buttons"] and not row["may_undo"]:
        return SafeString(f'<p class="taps">{cancel}</p>') if cancel else ""
    post = f' hx-post="{url}state/"{LIVE}' if live else ""
    parts = [f'<form class="taps" method="post" action="{url}state/"{post}>', _hidden(csrf_token, back, row["state"])]
    for button in row["buttons"]:
        to, likely = button["to"], " tap-likely" if button["is_likely"] else ""
        parts.append(
            f'<button class="tap{likely}" id="{to}-{row["id"]}" name="to" value="{to}">'
            f'{conditional_escape(button["label"])}<span class="visually-hidden"> {name}</span></button>'
        )
    if row["may_undo"]:
        post = f' hx-post="{url}undo/"' if live else ""
        parts.append(
            f'<button class="tap tap-quiet" id="undo-{row["id"]}" formaction="{url}undo/"{post}>'
            f"{undo_icon}{_words(get_language())[0]}"
            f'<span class="visually-hidden"> {conditional_escape(row["state_word"])}, {name}</span></button>'
        )
    return SafeString("".join([*parts, cancel, "</form>"]))


def _cancel(row, url: str, name: str, back: str) -> str:
    return (
        f'<a class="tap tap-quiet" id="cancel-{row["id"]}" href="{url}cancel/?next={quote(back)}">'
        f'{_words(get_language())[1]}<span class="visually-hidden"> {name}</span></a>'
    )


@lru_cache(maxsize=64)
def _words(_language: str | None) -> tuple[SafeString, SafeString]:
    return conditional_escape(_("Undo")), conditional_escape(_("Cancel"))


def _hidden(csrf_token, back: str, state: str) -> str:
    return format_html(
        '<input type="hidden" name="csrfmiddlewaretoken" value="{}"><input type="hidden" name="next" value="{}">'
        '<input type="hidden" name="from" value="{}">',
        csrf_token, back, state,
    )  # fmt: skip
