"""The buttons beside a visit; in Python, not in a template: a page draws dozens of them, once a third of its time."""

from html import escape
from urllib.parse import quote

from django import template
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tenancy.doors.icons import draw_icon

register = template.Library()

LIVE = ' hx-target="#board" hx-select="#board" hx-swap="outerHTML" hx-select-oob="#said"'


@register.simple_tag
def state_buttons(row, name, may, back, csrf_token, live=False):
    """One tap a state, with words, and the way back.

    `row` is of `presenting.row`, `name` the patient's, `back` where to come
    back to; `live` is without loading the page anew.
    """
    return SafeString(Taps(may, back, csrf_token, live=live).draw(row, escape(str(name))))


class Taps:
    """What the buttons of all visits of a page have in common, put into words once."""

    def __init__(self, may, back: str, csrf_token, *, live: bool):
        self.may_move, self.live = may["move"], live
        self.htmx = LIVE if live else ""
        self.back = quote(back)
        self.hidden = (
            f'<input type="hidden" name="csrfmiddlewaretoken" value="{escape(str(csrf_token))}">'
            f'<input type="hidden" name="next" value="{escape(back)}">'
        )
        self.undo = f"{draw_icon('undo-2', 16)}{escape(_('Undo'))}"
        self.cancel = escape(_("Cancel"))
        self.labels: dict[str, str] = {}

    def draw(self, row, name: str) -> str:
        """The buttons of one row; `name` is escaped already."""
        if not self.may_move:
            return ""
        url, pk = row["url"], row["id"]
        cancel = ""
        if row["may_cancel"]:
            cancel = (
                f'<a class="tap tap-quiet" id="cancel-{pk}" href="{url}cancel/?next={self.back}">'
                f'{self.cancel}<span class="visually-hidden"> {name}</span></a>'
            )
        if not row["buttons"] and not row["may_undo"]:
            return f'<p class="taps">{cancel}</p>' if cancel else ""
        states = "".join([self._button(button, pk, name) for button in row["buttons"]])
        undo = self._undo(row, name) if row["may_undo"] else ""
        return (
            f'<form class="taps" method="post" action="{url}state/"{self._post(f"{url}state/")}>{self.hidden}'
            f'<input type="hidden" name="from" value="{row["state"]}">{states}{undo}{cancel}</form>'
        )

    def _post(self, address: str) -> str:
        return f' hx-post="{address}"{self.htmx}' if self.live else ""

    def _button(self, button, pk: str, name: str) -> str:
        to, likely = button["to"], " tap-likely" if button["is_likely"] else ""
        if to not in self.labels:
            self.labels[to] = escape(str(button["label"]))
        return (
            f'<button class="tap{likely}" id="{to}-{pk}" name="to" value="{to}">'
            f'{self.labels[to]}<span class="visually-hidden"> {name}</span></button>'
        )

    def _undo(self, row, name: str) -> str:
        url = f"{row['url']}undo/"
        return (
            f'<button class="tap tap-quiet" id="undo-{row["id"]}" formaction="{url}"{self._post(url)}>{self.undo}'
            f'<span class="visually-hidden"> {escape(row["state_word"])}, {name}</span></button>'
        )
