"""English and Spanish are complete: every text passes gettext, and the Spanish catalogue has it and nothing else.

Words in templates that no tag marks are found by config/look/tests/test_templates.py.
"""

import ast
import re

import polib
import pytest

from scripts import messages
from scripts.messages import Message

# --- The catalogue ---------------------------------------------------------------------------------------------------


def test_catalogue_holds_what_the_code_says_and_nothing_else():
    said, known = set(messages.collect()), {messages.message_of(entry) for entry in messages.read_catalogue()}

    assert said - known == set(), "Run `make messages`, then translate what it names."
    assert known - said == set(), "Run `make messages`: nobody says this any more."


def test_catalogue_is_translated():
    assert messages.list_faults(messages.read_catalogue()) == []


def test_catalogue_is_compiled():
    compiled = messages.CATALOGUE.with_suffix(".mo").read_bytes()

    assert compiled == messages.compile_catalogue(messages.read_catalogue()), "Run `make messages`."


def entry(english="At most %(count)d.", spanish="Máximo %(count)d.", **more):
    return polib.POEntry(msgid=english, msgstr=spanish, **more)


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (entry(spanish=""), "has no Spanish text"),
        (entry(flags=["fuzzy"]), "is only a suggestion; correct it and take away the word fuzzy"),
        (entry(obsolete=True), "nobody says this any more"),
        (entry(spanish="Máximo %(cuenta)d."), "has other placeholders in Spanish"),
        (entry(spanish="Máximo %(count)s."), "has other placeholders in Spanish"),
        (entry("Hello {name}.", "Hola."), "has other placeholders in Spanish"),
        (entry(spanish="Máximo %(count)d"), "ends otherwise in Spanish"),
        (entry("removed ", "antes"), "ends otherwise in Spanish"),
        (entry("%(n)d day", "", msgid_plural="%(n)d days", msgstr_plural={0: "%(n)d día"}), "has no Spanish text"),
        (
            entry("%(n)d day", "", msgid_plural="%(n)d days", msgstr_plural={0: "%(n)d día", 1: "días"}),
            "has other placeholders in Spanish",
        ),
    ],
)
def test_list_faults_finds_each_kind(found, fault):
    assert messages.list_faults([found]) == [f"nowhere: {found.msgid}: {fault}"]


def test_list_faults_lets_good_ones_pass():
    plural = entry("%(n)d day", "", msgid_plural="%(n)d days", msgstr_plural={0: "%(n)d día", 1: "%(n)d días"})

    assert messages.list_faults([entry(), plural]) == []


def test_merge_keeps_what_still_fits_and_offers_what_nearly_does():
    old = polib.POFile()
    old.extend([entry("Save", "Guardar"), entry("Show that day.", "Ver ese día."), entry("Gone", "Fuera")])
    found = {Message("Save"): ["a.py"], Message("Show this day."): ["a.py"], Message("New"): ["b.html"]}

    merged = messages.merge(found, old)

    assert [(one.msgid, one.msgstr, one.fuzzy) for one in merged] == [
        ("Save", "Guardar", False),
        ("Show this day.", "Ver ese día.", True),
        ("New", "", False),
    ]


# --- What is collected -----------------------------------------------------------------------------------------------

IMPORTS = "from django.utils.translation import gettext_lazy as _, ngettext, pgettext\n"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (IMPORTS + "_('Save')", [Message("Save")]),
        (IMPORTS + "_('Save '\n  'it')", [Message("Save it")]),
        (IMPORTS + "ngettext('a day', 'days', 2)", [Message("a day", "days")]),
        (IMPORTS + "pgettext('verb', 'Change')", [Message("Change", None, "verb")]),
        (IMPORTS + "_(word)", []),
        ("from gettext import gettext as _\n_('Save')", []),
        ("scheme, _, token = text\n_('Save')", []),
    ],
)
def test_read_python_finds_messages(source, found):
    assert list(messages.read_python(source)) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('{% translate "Save" %}', [Message("Save")]),
        ('{% translate "Change" context "verb" %}', [Message("Change", None, "verb")]),
        ('{% include "x.html" with label=_("Save") other=_("It\'s") only %}', [Message("Save"), Message("It's")]),
        ('{{ name|default:_("Not known") }}', [Message("Not known")]),
        ("{% blocktranslate trimmed %}\n  Go\n  to {{ page }}\n{% endblocktranslate %}", [Message("Go to %(page)s")]),
        (
            "{% blocktranslate count n=2 %}{{ n }} row{% plural %}{{ n }} rows{% endblocktranslate %}",
            [Message("%(n)s row", "%(n)s rows")],
        ),
        ('{# {% translate "Save" %} #}{% comment %}{% translate "Save" %}{% endcomment %}gettext(Save)', []),
    ],
)
def test_read_template_finds_messages(source, found):
    assert list(messages.read_template(source)) == found


# --- Words in the code that gettext never sees -----------------------------------------------------------------------

SPEAKING_ERRORS = {"RuleBroken", "StaleVersion", "NotAllowed", "ValidationError", "SignInRefused", "ParseError",
                   "NotAuthenticated", "AuthenticationFailed", "PermissionDenied", "NotFound", "Http404"}  # fmt: skip
FLASHES = {"debug", "info", "success", "warning", "error"}
SPOKEN_ARGUMENTS = {"label", "help_text", "verbose_name", "verbose_name_plural", "empty_label", "legend", "heading",
                    "error_messages", "choices", "placeholder"}  # fmt: skip
SPOKEN_ATTRIBUTES = {"verbose_name", "verbose_name_plural", "site_header", "site_title", "index_title", "choices",
                     "search_help_text", "help_texts", "labels", "error_messages", "default_detail"}  # fmt: skip
# What programs send and receive is described in English: OpenAPI is written for their authors.
FOR_PROGRAMS = {"serializers"}
DESCRIBED_FOR_PROGRAMS = {"help_text"}  # also on fields that a module of serializers has made itself
# What users would have typed: the people of the gallery, and the fields of the demo clinics.
NOT_OURS = {"config/look/samples.py", "config/home/demo.py"}


def list_unmarked_strings(source: str, *, for_programs: bool = False) -> list[str]:
    """Words of Python code that people would read without gettext having seen them."""
    found, spoken = [], SPOKEN_ARGUMENTS - DESCRIBED_FOR_PROGRAMS if for_programs else SPOKEN_ARGUMENTS
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            found += _words_of_call(node, spoken)
        elif isinstance(node, ast.ClassDef):
            found += _words_of_class(node)
    return found


def _words_of_call(call, spoken_arguments):
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    owner = getattr(getattr(call.func, "value", None), "id", "")
    if name in messages.GETTEXT or name == "_":
        # A text that is put together first is never in the catalogue.
        return [
            ast.unparse(part)
            for part in call.args[:1]
            if isinstance(part, ast.JoinedStr | ast.BinOp)
            or (isinstance(part, ast.Call) and getattr(part.func, "attr", "") == "format")
        ]
    spoken = []
    if name in SPEAKING_ERRORS:
        spoken += call.args[:1]
    elif (owner == "messages" and name in FLASHES) or name == "add_error":
        spoken += call.args[1:2]
    elif owner == "models" and name.endswith("Field"):
        spoken += call.args[:1]
    if owner not in FOR_PROGRAMS:
        names = {"description"} if name == "display" else spoken_arguments
        spoken += [keyword.value for keyword in call.keywords if keyword.arg in names]
    return [words for part in spoken for words in _literals(part)]


def _words_of_class(node):
    assigned = [
        (target.id, part.value)
        for part in node.body
        if isinstance(part, ast.Assign)
        for target in part.targets
        if isinstance(target, ast.Name)
    ]
    found = [words for name, value in assigned if name in SPOKEN_ATTRIBUTES for words in _literals(value)]
    if any(getattr(base, "attr", "").endswith("Choices") for base in node.bases):
        for _name, value in assigned:
            # Without a label Django makes one of the member's name, in English.
            found += _pair(value) if isinstance(value, ast.Tuple) else [f"{ast.unparse(value)} has no label"]
    return found


def _literals(node):
    """Words in a string, also inside of a list, a dictionary or a choice; the value of a choice is for machines."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) and re.search(r"[^\W\d_]", node.value) else []
    if isinstance(node, ast.JoinedStr):
        return [ast.unparse(node)] if any(_literals(part) for part in node.values) else []
    if isinstance(node, ast.Tuple) and len(node.elts) == 2:
        return _pair(node)
    if isinstance(node, ast.List | ast.Tuple):
        return [words for part in node.elts for words in _literals(part)]
    if isinstance(node, ast.Dict):
        return [words for part in node.values for words in _literals(part)]
    if isinstance(node, ast.BinOp):
        return _literals(node.left) + (_literals(node.right) if isinstance(node.op, ast.Add) else [])
    if isinstance(node, ast.IfExp):
        return _literals(node.body) + _literals(node.orelse)
    return []


def _pair(node):
    value, label = node.elts
    # A code that is its own label, such as "AB+", reads the same in every language.
    return [] if ast.dump(value) == ast.dump(label) else _literals(label)


SOURCES = [path for path in messages.list_sources() if path.suffix == ".py" and "management" not in path.parts]
NAMES = [path.relative_to(messages.ROOT).as_posix() for path in SOURCES]


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_every_sentence_of_the_code_goes_through_gettext(path):
    if path.relative_to(messages.ROOT).as_posix() not in NOT_OURS:
        source, for_programs = path.read_text(encoding="utf-8"), path.name.startswith("serializers")
        assert list_unmarked_strings(source, for_programs=for_programs) == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise RuleBroken('No.')", ["No."]),
        ("raise rules.NotAllowed(f'No {x}.')", ["f'No {x}.'"]),
        ("raise ValidationError({'email': ['Wrong.']})", ["Wrong."]),
        ("raise serializers.ValidationError('Wrong.')", ["Wrong."]),
        ("messages.success(request, 'Saved.')", ["Saved."]),
        ("form.add_error(None, 'Wrong.')", ["Wrong."]),
        ("forms.CharField(label='Name', help_text=_('x'))", ["Name"]),
        ("forms.ChoiceField(choices=[('m', 'Male'), ('f', _('Female'))])", ["Male"]),
        ("models.CharField('first name', max_length=3)", ["first name"]),
        ("@admin.display(description='archived')\ndef a(): pass", ["archived"]),
        ("class Meta:\n  verbose_name = 'person'", ["person"]),
        ("class A(admin.ModelAdmin):\n  search_help_text = 'Names'", ["Names"]),
        ("class Kind(models.TextChoices):\n  A = 'a', 'First'", ["First"]),
        ("class Kind(models.TextChoices):\n  A = 'a'", ["'a' has no label"]),
        ("_(f'Hello {name}')", ["f'Hello {name}'"]),
        ("_('Hello %s' % name)", ["'Hello %s' % name"]),
        ("_('Hello {}'.format(name))", ["'Hello {}'.format(name)"]),
    ],
)
def test_list_unmarked_strings_finds_each_kind(source, words):
    assert list_unmarked_strings(source) == words


@pytest.mark.parametrize(
    "source",
    [
        "raise RuleBroken(_('No %(x)s.') % {'x': 'abc'}, code='no')",
        "raise TypeError('A bug.')",
        "forms.CharField(label=_('Name'), widget=forms.TextInput({'type': 'tel'}))",
        "forms.ChoiceField(choices=Kind.choices)",
        "serializers.CharField(help_text='For programs.')",
        "models.ForeignKey('users.User', models.PROTECT)",
        "class Kind(models.TextChoices):\n  A = 'a', _('First')\n  B = 'AB+', 'AB+'",
        "form.add_error(None, f'{label}: {sentence}')",
        "class PatientsConfig(AppConfig):\n  label = 'patients'\n  verbose_name = _('Patients')",
        "log.error('failed')",
    ],
)
def test_list_unmarked_strings_lets_good_ones_pass(source):
    assert list_unmarked_strings(source) == []


def test_list_unmarked_strings_knows_what_only_programs_read():
    source = "Code(help_text='A code.', label='Code')\nraise ValidationError('Wrong.')"

    assert list_unmarked_strings(source) == ["A code.", "Code", "Wrong."]
    assert list_unmarked_strings(source, for_programs=True) == ["Code", "Wrong."]
