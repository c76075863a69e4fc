"""The columns of the agenda, drawn in Python: nine hundred cards, a day of forty clinicians, took a template 0.3 s.

Places are classes (agenda.css); what a column and a card hold, `presenting.grid` says.
"""

from html import escape

from django import template
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from clinic.names import clinical_name
from tenancy.doors.icons import draw_icon

register = template.Library()


@register.simple_tag
def agenda_columns(grid):
    """The hours, then each column: what can not be booked, what is free, now, and the visits as cards."""
    hours = "".join([f'<span class="{hour["place"]} hour">{hour["clock"]}</span>' for hour in grid["hours"]])
    drawing = Drawing(grid)
    columns = [drawing.column(column, place) for place, column in enumerate(grid["columns"], 1)]
    return SafeString(
        f'<div class="agenda-hours" aria-hidden="true"><p class="agenda-head"></p>'
        f'<div class="agenda-rows">{hours}</div></div>{"".join(columns)}'
    )


class Drawing:
    """The words and names that many cards of a page say, escaped once."""

    def __init__(self, grid):
        self.grid = grid
        self.people: dict[int, str] = {}
        self.plus = draw_icon("plus", 14)
        self.book = f'<span class="visually-hidden"> {escape(_("Book"))}</span>'
        self.now = f'<span class="visually-hidden">{escape(_("Now"))}</span>'

    def column(self, column, place: int) -> str:
        today = " is-today" if column["is_today"] else ""
        now = f'<li class="{column["now"]} now-line">{self.now}</li>' if column["now"] else ""
        items = [
            f'<li class="{self.grid["ground"]} ground" aria-hidden="true"></li>',
            *[_shade(shade) for shade in column["shades"]],
            *[self._free(slot) for slot in column["free"]],
            now,
            *[self._card(card) for card in column["cards"]],
        ]
        return (
            f'<section class="agenda-column{today}" aria-labelledby="column-{place}">'
            f'<h2 class="agenda-head" id="column-{place}">{self._head(column)}</h2>'
            f'<ul class="agenda-rows"{self._drop(column)}>{"".join(items)}</ul></section>'
        )

    def _head(self, column) -> str:
        if column["person"]:
            name = f"<bdi>{self._name(column['person'])}</bdi>"
            return f'<a class="tint-{column["colour"]}" href="{escape(column["url"])}">{name}</a>'
        head = escape(column["head"])
        return f'<a href="{escape(column["url"])}">{head}</a>' if column["url"] else f"<bdi>{head}</bdi>"

    def _drop(self, column) -> str:
        """What a card that is dragged here needs to know (dragging.js)."""
        person, grid = column["practitioner"], self.grid
        if not person:
            return ""
        return (
            f' data-drop data-practitioner="{person.pk}" data-location="{grid["location"].pk}"'
            f' data-day="{column["day"]}" data-first="{grid["first"]}" data-last="{grid["last"]}"'
            f' data-step="{column["step"]}" data-words="{escape(column["day_words"])} · {self._name(person)}"'
        )

    def _free(self, slot) -> str:
        words = f"<span>{self.plus}{slot['clock']}</span>{self.book}"
        return f'<li class="{slot["place"]} slot"><a href="{escape(slot["url"])}">{words}</a></li>'

    def _card(self, card) -> str:
        patient = card["patient"]
        name = escape(clinical_name(patient)) if patient else ""
        what = escape(card["what"])
        size = " is-short" if card["is_short"] else " is-tiny" if card["is_tiny"] else ""
        who = f" · <bdi>{self._name(card['who'])}</bdi>" if card["who"] else ""
        badges = [f' <span class="card-badge">{escape(badge["text"])}</span>' for badge in card["badges"]]
        return (
            f'<li class="{card["place"]} visit-card{size} tint-{card["colour"]} is-{card["state"]}"'
            f'{_drag(card, name or what)}><a id="card-{card["id"]}" href="{card["url"]}"><span class="card-line">'
            f"<time>{card['clock']}</time> <b><bdi>{name or escape(card['group'])}</bdi></b></span> "
            f'<span class="card-more">{what}{who}</span>{_state(card)}{"".join(badges)}</a></li>'
        )

    def _name(self, person) -> str:
        key = id(person)
        if key not in self.people:
            self.people[key] = escape(clinical_name(person))
        return self.people[key]


def _shade(shade) -> str:
    words = f"<span>{escape(shade['words'])}</span>"
    return f'<li class="{shade["place"]} shade shade-{shade["kind"]}">{words}</li>'


def _drag(card, name: str) -> str:
    if "move_url" not in card:
        return ""
    return (
        f' data-drag="{card["move_url"]}" data-version="{card["version"]}" data-minutes="{card["minutes"]}"'
        f' data-clock="{card["clock"]}" data-name="{name}"'
    )


def _state(card) -> str:
    if not card["state_word"]:
        return ""
    icon = draw_icon(card["icon"], 14) if card["icon"] else ""
    return f' <span class="card-state">{icon}<span class="card-word">{escape(card["state_word"])}</span></span>'
