"""How a patient is put into words for a page: the banner, the overview, differences between versions."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache, partial
from typing import Any

from django.core.exceptions import ValidationError as InvalidFields
from django.forms import CheckboxInput, Form
from django.http import Http404
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from accounts.permissions import Permission
from accounts.users.models import Membership

from . import selectors
from .forms import GROUPS, ArchiveForm, BaseIdentifierFormSet, ConsentForm, IdentifierFormSet, PatientForm, RestrictForm
from .models import CustomField, EmergencyAccess, Patient, PatientIdentifier

__all__ = ["InvalidFields"]

DUPLICATE_REASONS = {
    "document": gettext_lazy("same document"),
    "birth_date": gettext_lazy("similar name, same birth date"),
    "contact": gettext_lazy("similar name, same phone or e-mail"),
    "name": gettext_lazy("same name"),
}
LOOK_KINDS = {
    "chart": gettext_lazy("Opened the chart"),
    "edit": gettext_lazy("Opened the form to change it"),
    "history": gettext_lazy("Read the history"),
    "looks": gettext_lazy("Read this list"),
    "visits": gettext_lazy("Read the visits"),
    "api": gettext_lazy("Read it through the API"),
    "admin": gettext_lazy("Opened it in the administration"),
    "break_glass": gettext_lazy("Opened the chart in an emergency"),
    "break_glass_edit": gettext_lazy("Opened the form to change it in an emergency"),
    "break_glass_history": gettext_lazy("Read the history in an emergency"),
    "break_glass_looks": gettext_lazy("Read this list in an emergency"),
    "break_glass_visits": gettext_lazy("Read the visits in an emergency"),
    "break_glass_api": gettext_lazy("Read it through the API in an emergency"),
    "break_glass_admin": gettext_lazy("Opened it in the administration in an emergency"),
}
OVERVIEW_ORDER = ["is_deceased", "allergy_status", "cell_phone", "birth_date", "document_type", "title", "habeas_data"]
"""The groups of the form by their first field, in the order of the overview."""
SHOWN_WHEN_FILLED = {"title", "second_name", "second_last_name", "previous_names", "allergies", "alerts", "died_on"}
STATE_LABELS = {"archived_at": gettext_lazy("Archived"), "archive_reason": gettext_lazy("Reason for archiving")}


@lru_cache(maxsize=8)
def dialog_fields(language: str) -> dict[str, str]:
    """The empty forms of the chart's dialogs: the same each time, and a sixth of the page's work to draw."""
    with translation.override(language):
        return {
            "consent": str(ConsentForm()),
            "archive": str(ArchiveForm()["reason"].as_field_group()),
            "restrict": str(RestrictForm(auto_id="restrict_%s")["reason"].as_field_group()),
        }


def list_columns() -> dict[str, str]:
    """The words of the patient list, looked up once a page and not once a cell."""
    return {
        "born": _("Born"),
        "sex": _("Sex"),
        "document": _("Document"),
        "phone": _("Phone"),
        "number": _("Number"),
        "restricted": _("Restricted"),
        "restricted_help": _("Open to the people on its list, and in an emergency"),
        "unknown": _("Not known"),
    }


def banner(patient: Patient) -> dict[str, Any]:
    """The parameters of components/banner.html."""
    numbers = [{"label": _("Number"), "value": patient.number}]
    if patient.document_number:
        numbers.append({"label": patient.document_type.code, "value": patient.document_number})
    return {
        "url": reverse("patients:chart", args=[patient.pk]),
        "numbers": numbers,
        "sex": str(patient.gender),
        "allergies": [line.strip() for line in patient.allergies.replace(";", "\n").splitlines() if line.strip()],
        "alerts": [patient.alerts] if patient.alerts else [],
        "interpreter": (patient.language or _("needed")) if patient.needs_interpreter else "",
        "state": ", ".join(_states(patient)),
    }


def _states(patient: Patient) -> Iterator[str]:
    if patient.is_restricted:
        yield _("Restricted")
    if patient.is_archived:
        yield _("Archived")


def overview(patient: Any, identifiers: list[PatientIdentifier], fields: list[CustomField]) -> list[dict[str, Any]]:
    """Panels of facts, what matters at the bedside first; `patient` is a Patient or one of its versions."""
    panels = [
        {"title": legend, "facts": [fact for name in names if (fact := _fact(patient, name))]}
        for legend, names in sorted(GROUPS, key=lambda group: OVERVIEW_ORDER.index(group[1][0]))
        if not _is_about_nothing(patient, names)
    ]
    if identifiers:
        facts = [{"label": i.get_kind_display(), "value": i.value, "note": i.system} for i in identifiers]
        panels.append({"title": _("Other numbers"), "facts": facts})
    if fields:
        own = [{"label": f.label, "value": _custom_words(f, patient.custom_fields.get(f.key))} for f in fields]
        panels.append({"title": _("More about this patient"), "facts": own})
    return panels


def _is_about_nothing(patient: Any, names: list[str]) -> bool:
    # The chart of today has a panel of its own for consent, with every answer that was given.
    return (names[0] == "is_deceased" and not patient.is_deceased) or (
        names[0] == "habeas_data" and isinstance(patient, Patient)
    )


def _fact(patient: Any, name: str) -> dict[str, Any] | None:
    value = getattr(patient, name)
    if name in SHOWN_WHEN_FILLED and not value:
        return None
    return {"label": _label(name), "value": words_for(patient, name)}


def words_for(row: Any, name: str) -> str:
    """The value of a field as people read it; "" when it is not known."""
    value = getattr(row, name)
    if display := getattr(Patient, f"get_{name}_display", None):
        return str(display(row)) if value else ""
    return _words(value)


def _words(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, datetime):
        return date_format(timezone.localtime(value), pgettext("how a time is written", "j M Y, H:i"))
    if isinstance(value, date):
        return date_format(value, pgettext("how a date is written", "j M Y"))
    return number_format(value) if isinstance(value, int | float) else str(value)


def _custom_words(field: CustomField | None, value: Any) -> str:
    if field and field.type == CustomField.Type.DATE and isinstance(value, str):
        with suppress(ValueError):
            value = date.fromisoformat(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else _words(value)


def _label(name: str, fields: list[CustomField] | None = None) -> str:
    if name.startswith("custom:"):
        key = name.removeprefix("custom:")
        return next((field.label for field in fields or [] if field.key == key), key)
    label = STATE_LABELS.get(name) or Patient._meta.get_field(name).verbose_name
    return str(label)[:1].upper() + str(label)[1:]


def history_entries(changes, patient: Patient, fields: list[CustomField], shown: Any) -> list[dict[str, Any]]:
    """What components/history.html takes, newest first."""
    address = reverse("patients:history", args=[patient.pk])
    newest = changes[0].version.version if changes else None
    return [
        {
            "at": change.version.pgh_created_at,
            "who": change.version.updated_by.display_name if change.version.updated_by else _("Import"),
            "what": _("Version %(number)s") % {"number": change.version.version},
            "url": f"{address}?version={change.version.version}" if change.version.version != newest else "",
            "is_shown": bool(shown) and shown.version == change.version.version,
            "changes": [
                {"label": _label(name, fields), "before": words(before), "after": words(after)}
                for name, before, after in change.changes
                for words in [_words_of(name, fields)]
            ],
        }
        for change in changes
    ]


def _words_of(name: str, fields: list[CustomField]) -> Callable[[Any], str]:
    """How a value of this field is said; `name` as in selectors.VersionChange."""
    if not name.startswith("custom:"):
        return partial(_choice_words, name)
    return partial(_custom_words, next((field for field in fields if f"custom:{field.key}" == name), None))


def _choice_words(name: str, value: Any) -> str:
    choices = dict(Patient._meta.get_field(name).flatchoices)
    return str(choices[value]) if value and value in choices else _words(value)


def look_entry(look: selectors.Look) -> dict[str, Any]:
    return {"at": look.at, "who": look.name, "what": LOOK_KINDS.get(look.kind, look.kind), "reason": look.reason}


def emergency_row(access: EmergencyAccess, *, by: Membership) -> dict[str, Any]:
    """One break-glass in words for the list of reviews. The chart by its number; by name for who may see names."""
    may_see_name = by.may(Permission.PHI_VIEW) or by.may(Permission.PATIENT_VIEW)
    return {
        "access": access,
        "url": reverse("patients:emergency", args=[access.pk]),
        "who": access.member.display_name,
        "patient": access.patient.name if may_see_name else "",
        "number": access.patient.number,
        "occasion": access.get_reason_code_display(),
        "is_own": access.member_id == by.pk,
        "state": _review_state(access),
        "tone": _review_tone(access),
    }


def _review_state(access: EmergencyAccess) -> str:
    if access.reviewed_at:
        return access.get_verdict_display()
    if not access.is_over:
        return _("Open now")
    late = days_late(access)
    if late > 0:
        return ngettext("%(count)d day late", "%(count)d days late", late) % {"count": late}
    return _("Waiting for a review")


def _review_tone(access: EmergencyAccess) -> str:
    if access.reviewed_at:
        return "ok" if access.verdict == EmergencyAccess.Verdict.JUSTIFIED else "bad"
    return "bad" if days_late(access) > 0 else "warn"


def days_late(access: EmergencyAccess) -> int:
    """Whole days since the review was due; 0 or less while there is time."""
    return (timezone.now() - access.opened_at - selectors.REVIEW_WITHIN).days + 1


def emergency_facts(access: EmergencyAccess, *, by: Membership) -> list[dict[str, Any]]:
    """What components/facts.html takes."""
    row = emergency_row(access, by=by)
    chart = f"{row['patient']} ({row['number']})" if row["patient"] else row["number"]
    facts = [
        (_("Who"), row["who"]),
        (_("Chart"), chart),
        (_("Occasion"), row["occasion"]),
        (_("Reason"), access.reason),
        (_("Opened"), _words(access.opened_at)),
        (pgettext("when an access ended", "Closed"), _words(access.until) if access.is_over else _("Open now")),
    ]
    if access.reviewed_at:
        facts += [
            (_("Verdict"), access.get_verdict_display()),
            (_("Reviewed by"), access.reviewed_by.display_name),
            (_("Reviewed"), _words(access.reviewed_at)),
            (_("Note"), access.review_note or _("None given")),
        ]
    return [{"label": label, "value": value} for label, value in facts]


def seen_entry(read: Any) -> dict[str, Any]:
    """One look during an emergency access: when, and what."""
    return {"at": read.at, "what": LOOK_KINDS.get(read.kind, read.kind)}


def duplicate_entry(double: selectors.PossibleDuplicate) -> dict[str, Any]:
    """What components/people.html takes."""
    patient = double.patient
    return {
        "person": patient,
        "url": reverse("patients:chart", args=[patient.pk]),
        "born": patient.birth_date,
        "number": patient.document_number or patient.number,
        "is_masked": patient.is_masked,
        "note": ", ".join(str(DUPLICATE_REASONS[reason]) for reason in double.reasons),
    }


def fingerprint(doubles: list[selectors.PossibleDuplicate]) -> str:
    """Which persons somebody was shown: confirming holds for these and no others."""
    ids = sorted(str(double.patient.pk) for double in doubles)
    return hashlib.sha256(",".join(ids).encode()).hexdigest()[:16]


def add_refusal(form: Form, refusal: Exception) -> None:
    """Put what a service refused on the form, beside the field it is about where there is one."""
    if not isinstance(refusal, InvalidFields):
        form.add_error(None, str(refusal))
        return
    for name, errors in refusal.message_dict.items():
        for error in errors:
            form.add_error(name if name in form.fields else None, error)


@dataclass(frozen=True)
class Comparison:
    """A stale save: rows for components/comparison.html, and the form with both people's changes in it."""

    rows: list[dict[str, Any]]
    who: str
    when: Any
    merged_form: PatientForm
    merged_numbers: BaseIdentifierFormSet


def compare(
    form: PatientForm, numbers: BaseIdentifierFormSet, patient: Patient, fields: list[CustomField]
) -> Comparison:
    """What I typed, what somebody saved meanwhile, and what stood there when I opened the form.

    `patient` is as it stands now. In the forms that come back, fields only
    they changed have their value, fields I changed have mine; where both
    changed, mine stands and the row says so. Saving again is then a save on
    the newest version.
    """
    current = selectors.get_version(patient, number=patient.version)
    try:
        opened = selectors.get_version(patient, number=form.cleaned_data["version"])
    except Http404:  # a version that never was: whatever differs from today is mine
        opened = current
    data, rows = form.data.copy(), []
    for name, label, before, theirs, mine, words in _compared(form, opened, current):
        if theirs == mine:
            continue
        if mine == before:
            _put(data, form, name, theirs)
        rows.append(
            {
                "label": label,
                "before": words(before),
                "theirs": words(theirs),
                "yours": words(mine),
                "is_conflict": before not in (theirs, mine),
            }
        )
    data["version"] = str(patient.version)
    number_row, merged_numbers = _compare_numbers(numbers, patient)
    return Comparison(
        rows + number_row,
        current.updated_by.display_name if current.updated_by else "",
        current.updated_at,
        PatientForm(data, instance=patient, custom_fields=fields),
        merged_numbers,
    )


def _compared(form: PatientForm, opened: Any, current: Any) -> Iterator[tuple]:
    """Every field of the form: its name, its label, the value opened, theirs, mine, and how to say it in words."""
    mine = form.patient_data()
    for name in PatientForm.Meta.fields:
        yield (name, _label(name), *(getattr(row, name) for row in (opened, current)), mine[name],
               partial(_choice_words, name))  # fmt: skip
    for name, definition in form.custom.items():
        values = (row.get(definition.key) for row in (opened.custom_fields, current.custom_fields))
        yield (name, definition.label, *values, mine["custom_fields"].get(definition.key),
               partial(_custom_words, definition))  # fmt: skip


def _compare_numbers(
    numbers: BaseIdentifierFormSet, patient: Patient
) -> tuple[list[dict[str, Any]], BaseIdentifierFormSet]:
    """The same for the further numbers: theirs, without what I took away, with what I added."""
    theirs = identifier_rows(selectors.list_identifiers(patient))
    before = numbers.opened_with()
    before = theirs if before is None else before
    mine = numbers.identifiers()
    merged = [row for row in theirs if row in mine or row not in before]
    merged += [row for row in mine if row not in before and row not in theirs]
    shown = IdentifierFormSet(prefix=numbers.prefix, initial=merged, known=theirs)
    sets = [{tuple(row.values()) for row in rows} for rows in (before, theirs, mine)]
    if sets[1] == sets[2]:
        return [], shown
    words = [", ".join(row["value"] for row in rows) for rows in (before, theirs, mine)]
    conflict = sets[0] not in sets[1:]
    return [
        {
            "label": _("Other numbers"),
            "before": words[0],
            "theirs": words[1],
            "yours": words[2],
            "is_conflict": conflict,
        }
    ], shown


def identifier_rows(identifiers: list[PatientIdentifier]) -> list[dict[str, str]]:
    """What IdentifierFormSet takes as `known`."""
    return [{"kind": number.kind, "value": number.value, "system": number.system} for number in identifiers]


def _put(data, form: PatientForm, name: str, value: Any) -> None:
    """Write a value into submitted data as the field's own widget would have sent it."""
    widget = form.fields[name].widget
    if hasattr(widget, "decompress"):
        for part, piece in zip(widget.widgets_names, widget.decompress(value), strict=True):
            data[f"{name}{part}"] = "" if piece is None else str(piece)
    elif isinstance(widget, CheckboxInput):
        if value:
            data[name] = "on"
        else:
            data.pop(name, None)
    elif isinstance(value, bool):
        data[name] = str(value).lower()
    else:
        data[name] = "" if value is None else str(getattr(value, "pk", value))
