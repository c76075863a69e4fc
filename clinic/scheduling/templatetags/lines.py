"""Visits as lines of a list, drawn in Python: by the template a line took a millisecond, and a page has dozens."""

from html import escape

from django import template
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from clinic.names import clinical_name
from tenancy.doors.icons import draw_icon

from .taps import Taps

register = template.Library()


@register.simple_tag
def visit_lines(rows, may, back, csrf_token, live=True, with_who=True):
    """Items of `ul.visits`, in the order of `rows` (presenting.row); what the other parameters say, `Taps` says."""
    lines = Lines(Taps(may, back, csrf_token, live=live), with_who=with_who)
    return SafeString("".join([lines.visit(row) for row in rows]))


@register.simple_tag
def wait_lines(rows, prefix, may, back, csrf_token, with_who=True):
    """Items of `ul.waits`: who is here. `prefix` begins the id of each link, so that the focus finds it again."""
    lines = Lines(Taps(may, back, csrf_token, live=True), with_who=with_who)
    return SafeString("".join([lines.wait(row, prefix) for row in rows]))


class Lines:
    """What the lines of a page have in common: names and words that many of them say, escaped once."""

    def __init__(self, taps: Taps, *, with_who: bool):
        self.taps, self.with_who = taps, with_who
        self.restricted = f' <span class="tag tag-warn">{draw_icon("lock", 14)}{escape(_("Restricted"))}</span>'
        self.people: dict[int, str] = {}

    def visit(self, row) -> str:
        patient = row["patient"]
        name = escape(clinical_name(patient)) if patient else ""
        zone = f' <span class="quiet">{escape(row["zone"])}</span>' if row["zone"] else ""
        shown = f"<bdi>{name}</bdi>" if patient else escape(row["group"])
        return (
            f'<li class="visit visit-{row["state"]}"><p class="visit-time"><time>{row["clock"]}</time>{zone}</p>'
            f'<div class="visit-who"><p><a class="name" id="open-{row["id"]}" href="{row["url"]}">{shown}</a>'
            f'{self._masked(patient)}{self._tags(row)}</p><p class="quiet">{self._what(row)}</p></div>'
            f"{self.taps.draw(row, name)}</li>"
        )

    def wait(self, row, prefix: str) -> str:
        patient, wait = row["patient"], row["wait"]
        name = escape(clinical_name(patient)) if patient else ""
        tone = f" wait-{wait['tone'] or 'early'}" if wait else ""
        return (
            f'<li class="wait{tone}"><p class="wait-head">'
            f'<a class="name" id="{prefix}-{row["id"]}" href="{row["url"]}"><bdi>{name}</bdi></a>'
            f"{self._wait(wait)}{self._masked(patient)}</p>"
            f'<p class="quiet"><time>{row["clock"]}</time> {self._what(row)}</p>{self.taps.draw(row, name)}</li>'
        )

    def _tags(self, row) -> str:
        tags = [] if row["state"] == "booked" else [_tag(row["state_word"], row["tone"])]
        tags.append(self._wait(row["wait"]))
        if row["late"]:
            tags.append(_tag(row["late"], "warn", "triangle-alert"))
        if row["note"]:
            tags.append(_tag(row["note"]))
        return "".join([*tags, *[_tag(badge["text"], badge["tone"]) for badge in row["badges"]]])

    def _wait(self, wait) -> str:
        return _tag(wait["text"], wait["tone"], wait["icon"]) if wait else ""

    def _masked(self, patient) -> str:
        return self.restricted if getattr(patient, "is_masked", False) else ""

    def _what(self, row) -> str:
        return f"{escape(row['what'])} · {self._who(row['practitioner'])}" if self.with_who else escape(row["what"])

    def _who(self, person) -> str:
        key = id(person)
        if key not in self.people:
            self.people[key] = f"<bdi>{escape(clinical_name(person))}</bdi>"
        return self.people[key]


def _tag(words: str, tone: str = "", icon: str = "") -> str:
    drawing = draw_icon(icon, 14) if icon else ""
    return f' <span class="tag{f" tag-{tone}" if tone else ""}">{drawing}{escape(words)}</span>'
