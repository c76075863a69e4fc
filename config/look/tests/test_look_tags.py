from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest
import time_machine
from django.core.paginator import Paginator
from django.template import engines
from django.test import RequestFactory
from django.utils import translation

CLINIC = SimpleNamespace(name="Riverside Clinic", time_zone="America/Bogota", country="CO")


def render(source, address="/", **context):
    request = RequestFactory().get(address)
    request.tenant, request.member = CLINIC, None
    with translation.override("en"):
        return engines["django"].from_string(source).render(context, request).strip()


def test_words_are_escaped():
    evil = SimpleNamespace(family_name="<b>", given_name="&", title="")

    assert render("{{ who|clinical_name }}{{ evil|or_unknown }}", who=evil, evil="<i>") == "&lt;B&gt;, &amp;&lt;i&gt;"


def test_clinical_name_reads_the_four_names_of_a_patient():
    patient = SimpleNamespace(first_name="Ana", second_name="", first_last_name="Ruiz", second_last_name="Paz")

    assert render("{{ patient|clinical_name }}", patient=patient) == "RUIZ PAZ, Ana"


@pytest.mark.parametrize("value", [None, ""])
def test_or_unknown_replaces_a_blank(value):
    assert render("{{ value|or_unknown }}", value=value) == "Not known"


def test_or_unknown_keeps_nought_and_no():
    assert render("{{ nought|or_unknown }} {{ no|or_unknown }}", nought=0, no=False) == "0 False"


@time_machine.travel(datetime(2026, 3, 14, 2, 0, tzinfo=UTC), tick=False)
def test_age_counts_by_the_clinics_own_today():
    # In Bogotá it is still the evening of the 13th.
    assert render("{% age born %}", born=date(1978, 3, 14)) == "47 years"


def test_age_stops_at_death():
    assert render("{% age born died %}", born=date(1978, 3, 14), died=date(2001, 1, 1)) == "22 years"


def test_clinic_time_reaches_the_zone_inside_an_include_with_only():
    versions = [{"at": datetime(2026, 11, 21, 14, 51, tzinfo=UTC), "who": "Marta", "what": "Registered"}]
    source = '{% include "components/history.html" with versions=versions only %}'

    assert '<time datetime="2026-11-21T14:51:00+00:00">21 Nov 2026, 09:51 UTC\N{MINUS SIGN}5</time>' in render(
        source, versions=versions
    )


def test_grouped_number_follows_the_clinics_country():
    assert render('{% grouped_number "1020345678" %} {% grouped_number "9434765919" "GB" %}') == (
        "1.020.345.678 943\N{NO-BREAK SPACE}476\N{NO-BREAK SPACE}5919"
    )


def test_icon_is_silent_and_without_style():
    drawing = render('{% icon "users" 16 %}')

    assert drawing.startswith('<svg width="16" height="16"')
    assert 'aria-hidden="true"' in drawing
    assert "style" not in drawing


def test_query_with_keeps_the_rest_of_the_query():
    assert render("{% query_with page=3 sort=None %}", "/?q=ana%20ruiz&sort=name&page=2") == "?q=ana+ruiz&amp;page=3"


def test_query_with_cannot_be_broken_out_of():
    assert render('<a href="{% query_with page=1 %}">', "/?q=%22%3E%3Cb%3E") == '<a href="?q=%22%3E%3Cb%3E&amp;page=1">'


@pytest.mark.parametrize(
    ("address", "state", "link"),
    [
        ("/?q=a&page=4", "", 'href="?q=a&amp;sort=name"'),
        ("/?sort=name", 'aria-sort="ascending"', 'href="?sort=-name"'),
        ("/?sort=-name", 'aria-sort="descending"', 'href="?sort=name"'),
    ],
)
def test_sort_header_says_how_it_is_sorted(address, state, link):
    head = render('{% sort_header _("Name") "name" %}', address)

    assert state in head
    assert link in head


def test_pagination_shows_where_we_are_and_keeps_the_search():
    page = Paginator(range(45), 20).page(2)

    shown = render('{% include "components/pagination.html" with page=page only %}', "/?q=ana&page=2", page=page)

    assert "21 to 40 of 45" in shown
    assert 'rel="prev" href="?q=ana&amp;page=1"' in shown
    assert 'rel="next" href="?q=ana&amp;page=3"' in shown


def test_pagination_of_one_page_has_no_links():
    page = SimpleNamespace(page=1, page_size=20, total=3, total_is_capped=False)

    shown = render('{% include "components/pagination.html" with page=page only %}', page=page)

    assert "1 to 3 of 3" in shown
    assert "href" not in shown


@pytest.mark.parametrize(
    "source",
    [
        '{% panel title="T" %}<i>{{ word }}</i>{% endpanel %}',
        '{% notice "warn" "T" %}<i>{{ word }}</i>{% endnotice %}',
        '{% dialog "d" "T" %}<i>{{ word }}</i>{% enddialog %}',
        '{% table_box "T" %}<i>{{ word }}</i>{% endtable_box %}',
        '{% filter_bar keep="q" %}<i>{{ word }}</i>{% endfilter_bar %}',
    ],
)
def test_boxes_keep_their_content_and_escape_once(source):
    assert "<i>a &amp; b</i>" in render(source, word="a & b")


def test_filter_bar_carries_the_search_along():
    shown = render('{% filter_bar keep="q" %}{% endfilter_bar %}', "/?q=ana&page=2")

    assert '<input type="hidden" name="q" value="ana">' in shown
    assert "page" not in shown
