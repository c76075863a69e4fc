"""The tags and filters of every template; they are builtins, so no template loads them.

Wording lives in `config.look.wording`; here it only meets the template. What
needs the clinic's zone, country or address line reads it from the request,
which stays reachable inside an include with `only`.
"""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django import template
from django.http import QueryDict
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _

from clinic import names
from config.look import wording
from config.look.htmx import HTMX_CONFIG
from tenancy.doors.icons import draw_icon

register = template.Library()


# --- Words -----------------------------------------------------------------------------------------------------------


@register.filter
def clinical_date(value):
    """{{ patient.birth_date|clinical_date }}: "14 Mar 1978"; nothing for nothing."""
    return wording.write_date(value)


@register.filter
def clinical_name(person):
    """{{ patient|clinical_name }}: "FAMILY, Given (Title)" as plain text, for titles and messages.

    Reads `family_name` and `given_name`, or the four names a patient keeps.
    On a page use components/name.html, which also keeps right-to-left names whole.
    """
    if not person or isinstance(person, str):
        return person or ""
    return names.clinical_name(person)


@register.filter
def or_unknown(value):
    """{{ value|or_unknown }}: a blank never stands for "we do not know"."""
    return _("Not known") if value is None or value == "" else value


@register.filter
def in_figures(number):
    """{{ page.total|in_figures }}: "12,345" in the reader's language. Never for numbers that name something."""
    return wording.write_count(number)


@register.simple_tag(takes_context=True)
def age(context, born, on=None):
    """{% age patient.birth_date %}, or {% age born died %}: "48 years", on the clinic's today."""
    today = on or timezone.localtime(timezone.now(), _zone(context)).date()
    return wording.write_age(_as_date(born), _as_date(today))


def _as_date(value):
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    return value.date() if isinstance(value, datetime) else value


@register.simple_tag(takes_context=True)
def grouped_number(context, value, country=None):
    """{% grouped_number patient.document_number %}: in the groups of the clinic's country, or of `country`."""
    return wording.write_document_number(value, country or getattr(_tenant(context), "country", "") or "")


@register.simple_tag(takes_context=True)
def clinic_time(context, instant, show="all"):
    """{% clinic_time entry.at %}: a <time> in the clinic's zone; show="time" leaves out the day, "short" the zone."""
    if not instant:
        return ""
    text = wording.write_time(instant, _zone(context), with_date=show != "time", with_zone=show == "all")
    return format_html('<time datetime="{}">{}</time>', instant.isoformat(), text)


def _request(context):
    return getattr(context, "request", None) or context.get("request")


def _tenant(context):
    return getattr(_request(context), "tenant", None)


def _zone(context):
    name = getattr(_tenant(context), "time_zone", None)
    return ZoneInfo(str(name)) if name else timezone.get_current_timezone()


# --- Pieces ----------------------------------------------------------------------------------------------------------


@register.simple_tag
def icon(name, size=20):
    """{% icon "users" %}: a lucide drawing, silent to screen readers; the word beside it carries the meaning."""
    return draw_icon(str(name), int(size))


@register.simple_tag
def htmx_config():
    """{% htmx_config %}: for the meta tag in skeleton.html; error pages without a context need it too."""
    return HTMX_CONFIG


@register.simple_tag(takes_context=True)
def query_with(context, **changes):
    """{% query_with page=3 %}: the address line's query with these values; None or "" takes a key out."""
    request = _request(context)
    query = request.GET.copy() if request else QueryDict(mutable=True)
    for key, value in changes.items():
        if value is None or value == "":
            query.pop(key, None)
        else:
            query[key] = str(value)
    return f"?{query.urlencode()}"


@register.filter
def paging(page):
    """{{ page|paging }}: number, pages, first, last, total, previous and next, of our own page or of Django's."""
    if hasattr(page, "paginator"):
        number, size, total = page.number, page.paginator.per_page, page.paginator.count
    else:
        number, size, total = page.page or 1, page.page_size, page.total
    pages = max(1, -(-total // size))
    return {
        "number": number,
        "pages": pages,
        "total": total,
        "is_capped": getattr(page, "total_is_capped", False),
        "first": min((number - 1) * size + 1, total),
        "last": min(number * size, total),
        "previous": number - 1 if number > 1 else None,
        "next": number + 1 if number < pages else None,
    }


@register.simple_tag(takes_context=True)
def sort_header(context, label, key):
    """{% sort_header _("Name") "name" %}: a column head that sorts by ?sort=key, then by ?sort=-key."""
    request = _request(context)
    current = request.GET.get("sort", "") if request else ""
    direction = {key: "ascending", f"-{key}": "descending"}.get(current, "")
    link = query_with(context, sort=f"-{key}" if current == key else key, page=None)
    values = {"label": label, "link": link, "direction": direction}
    return _component(context, "components/sort_header.html", values)


# --- Boxes around content --------------------------------------------------------------------------------------------
# An include cannot hold content, so these tags hand theirs to the component of the same name as `content`.


@register.simple_block_tag(takes_context=True)
def panel(context, content, title="", level=2, id=""):
    """{% panel title=_("Contact") %} ... {% endpanel %}: components/panel.html."""
    return _component(context, "components/panel.html", {"content": content, "title": title, "level": level, "id": id})


@register.simple_block_tag(takes_context=True)
def notice(context, content, kind="info", title=""):
    """{% notice "warn" _("Two patients look alike") %} ... {% endnotice %}: components/notice.html."""
    return _component(context, "components/notice.html", {"content": content, "kind": kind, "title": title})


@register.simple_block_tag(takes_context=True)
def dialog(context, content, id, title):
    """{% dialog "archive" _("Archive this chart?") %} ... {% enddialog %}: components/dialog.html."""
    return _component(context, "components/dialog.html", {"content": content, "id": id, "title": title})


@register.simple_block_tag(takes_context=True)
def table_box(context, content, label):
    """{% table_box _("Patients") %}<table>...</table>{% endtable_box %}: components/table_box.html."""
    return _component(context, "components/table_box.html", {"content": content, "label": label})


@register.simple_block_tag(takes_context=True)
def filter_bar(context, content, keep="", id="filters"):
    """{% filter_bar keep="q" %} fields {% endfilter_bar %}: components/filter_bar.html; `keep` names query keys."""
    request = _request(context)
    query = request.GET if request else {}
    kept = [(key, query[key]) for key in keep.split() if query.get(key)]
    return _component(context, "components/filter_bar.html", {"content": content, "kept": kept, "keep": keep, "id": id})


def _component(context, template_name, values):
    return context.template.engine.get_template(template_name).render(context.new(values))
