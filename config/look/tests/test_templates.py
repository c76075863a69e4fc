"""Promises every template keeps, in every room: clean under the strict CSP, isolated components, no unmarked words."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings

TEMPLATES = sorted((Path(settings.BASE_DIR) / "templates").rglob("*.html"))
NAMES = [str(file.relative_to(settings.BASE_DIR)) for file in TEMPLATES]

COMMENT = re.compile(r"\{#.*?#\}|\{% comment.*?%\}.*?\{% endcomment %\}", re.DOTALL)
TAG = re.compile(r"\{%.*?%\}", re.DOTALL)


def read(file: Path) -> str:
    """The source without comments; each leaves its line breaks, so that line numbers stay true."""
    return COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), file.read_text(encoding="utf-8"))


# --- Content Security Policy -----------------------------------------------------------------------------------------

FORBIDDEN = {
    "style attribute": re.compile(r"[\s\"']style\s*=", re.IGNORECASE),
    "style element": re.compile(r"<style\b", re.IGNORECASE),
    "event attribute": re.compile(r"<[^>]*\son[a-z]+\s*=", re.IGNORECASE),
    "inline script": re.compile(r"<script\b(?![^>]*\ssrc=)(?![^>]*type=\"application/json\")", re.IGNORECASE),
    "hx-on": re.compile(r"\bhx-on\b", re.IGNORECASE),
    "js: value": re.compile(r"[\"'](?:js|javascript):", re.IGNORECASE),
    # Under the CSP htmx cannot evaluate the filter, ignores it, and fires every time.
    "trigger filter": re.compile(r"hx-trigger\s*=\s*(\"[^\"]*\[|'[^']*\[)", re.IGNORECASE),
    "unescaped words": re.compile(r"\|\s*safe\b|\{%\s*autoescape off"),
}


def list_csp_breaches(source: str) -> list[str]:
    return [name for name, pattern in FORBIDDEN.items() if pattern.search(source)]


@pytest.mark.parametrize("file", TEMPLATES, ids=NAMES)
def test_template_is_clean_under_the_csp(file):
    assert list_csp_breaches(read(file)) == []


@pytest.mark.parametrize(
    ("source", "breach"),
    [
        ('<p style="color:red">', "style attribute"),
        ("<style>p{}</style>", "style element"),
        ('<a href="#" onclick="go()">', "event attribute"),
        ("<script>go()</script>", "inline script"),
        ('<button hx-on:click="go()">', "hx-on"),
        ("""<i hx-vals='js:{a: 1}'>""", "js: value"),
        ('<a href="javascript:go()">', "js: value"),
        ('<i hx-trigger="click[ctrlKey]">', "trigger filter"),
        ("{{ name|safe }}", "unescaped words"),
    ],
)
def test_list_csp_breaches_finds_each_kind(source, breach):
    assert list_csp_breaches(source) == [breach]


def test_list_csp_breaches_lets_clean_markup_pass():
    clean = (
        '<script src="/a.js" defer></script><p class="style" data-online="1" hx-trigger="input delay:1s">on = off</p>'
    )

    assert list_csp_breaches(clean) == []


# --- Components ------------------------------------------------------------------------------------------------------

COMPONENT = re.compile(r"\{%\s*include\s+[\"']components/[^%]*?%\}", re.DOTALL)


def list_open_includes(source: str) -> list[str]:
    """Includes of a component that would let it see the whole page."""
    return [found for found in COMPONENT.findall(source) if not re.search(r"\sonly\s*%\}$", found)]


@pytest.mark.parametrize("file", TEMPLATES, ids=NAMES)
def test_components_are_included_with_only(file):
    assert list_open_includes(read(file)) == []


def test_list_open_includes_finds_one():
    shut = '{% include "components/status.html" with text=word only %}'
    open_ = '{% include "components/status.html" with text=word %}'

    assert list_open_includes(shut + open_) == [open_]


# --- Words -----------------------------------------------------------------------------------------------------------

BRAND = {"Carewright"}
NEVER_READ = {"kbd", "code", "script"}
SPOKEN = {"aria-label", "aria-description", "title", "placeholder", "alt", "data-label", "data-announce"}
MARKED = re.compile(r"\{%\s*blocktranslate\b.*?\{%\s*endblocktranslate\s*%\}", re.DOTALL)
# Blocks that stand inside an element, such as the hx-* of the search.
ATTRIBUTES = re.compile(r"\{%\s*block (\w+_attributes)\s*%\}.*?\{%\s*endblock(?: \1)?\s*%\}", re.DOTALL)
# Arguments of components and tags that end up as visible words.
WORD_ARGUMENT = re.compile(
    r"\b(?:label|title|text|heading|help|legend|here|blank|state|lead)=(?P<quote>[\"'])(?P<words>[^\"']*[^\W\d_][^\"']*)(?P=quote)"
)
WORD_TAGS = re.compile(r"\{%\s*(?:panel|notice|dialog|table_box|sort_header|include)\b.*?%\}", re.DOTALL)
FALLBACK = re.compile(r"\|default(?:_if_none)?:\"(?P<words>[^\"]*\s[^\"]*)\"")


class WordReader(HTMLParser):
    """Collects what people would read or hear once every template tag is taken away."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.words, self._silent = [], 0

    def handle_starttag(self, tag, attrs):
        self._silent += tag in NEVER_READ
        self._note(*(value or "" for name, value in attrs if name in SPOKEN))

    def handle_endtag(self, tag):
        self._silent -= tag in NEVER_READ

    def handle_data(self, data):
        if not self._silent:
            self._note(data)

    def _note(self, *texts):
        self.words += [text.strip() for text in texts if re.search(r"[^\W\d_]", text) and text.strip() not in BRAND]


def list_unmarked_words(source: str) -> list[str]:
    """Visible words of a template that gettext would never see."""
    source = ATTRIBUTES.sub("", MARKED.sub("", source))
    found = [match["words"] for tag in WORD_TAGS.findall(source) for match in WORD_ARGUMENT.finditer(tag)]
    found += [match["words"] for match in FALLBACK.finditer(source)]
    reader = WordReader()
    reader.feed(re.sub(r"\{\{.*?\}\}", "", TAG.sub("", source), flags=re.DOTALL))
    reader.close()
    return found + [words.strip(" ·") for words in reader.words if words.strip(" ·") not in BRAND]


@pytest.mark.parametrize("file", TEMPLATES, ids=NAMES)
def test_every_visible_word_goes_through_gettext(file):
    assert list_unmarked_words(read(file)) == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("<p>Save</p>", ["Save"]),
        ('<p>{% translate "Save" %} now</p>', ["now"]),
        ('<input placeholder="Name">', ["Name"]),
        ('<td data-label="Born">', ["Born"]),
        ('{% include "components/button.html" with label="Save" only %}', ["Save"]),
        ('{% panel title="Contact" %}{% endpanel %}', ["Contact"]),
        ('{{ name|default:"Not known" }}', ["Not known"]),
        ("<p>{% blocktranslate %}Hello{% endblocktranslate %} Ñandú</p>", ["Ñandú"]),
    ],
)
def test_list_unmarked_words_finds_them(source, words):
    assert list_unmarked_words(source) == words


@pytest.mark.parametrize(
    "source",
    [
        '<p>{% translate "Save" %} · {{ name }} 12 →</p>',
        '{% include "components/button.html" with label=_("Save") kind="primary" only %}',
        '<kbd>Ctrl</kbd><b>Carewright</b><input aria-label="{% translate "Name" %}" name="q">',
        "{% blocktranslate count n=2 trimmed %}{{ n }} row{% plural %}{{ n }} rows{% endblocktranslate %}",
    ],
)
def test_list_unmarked_words_lets_marked_ones_pass(source):
    assert list_unmarked_words(source) == []
