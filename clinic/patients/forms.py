"""What a page may send about a patient. Forms check shape; they never save."""

import json
from collections.abc import Iterable
from datetime import date
from typing import Any

import orjson
from django import forms
from django.utils.translation import gettext_lazy as _

from tenancy.doors.date_parts import DatePartsField
from tenancy.doors.plain_text import PlainText

from .models import Consent, CustomField, DocumentType, EmergencyAccess, Gender, Insurer, Patient, PatientIdentifier

GROUPS = [
    (_("Name"), ["title", "first_name", "second_name", "first_last_name", "second_last_name", "previous_names"]),
    (_("Person"), ["birth_date", "gender", "marital_status", "language", "needs_interpreter"]),
    (_("Identity document"), ["document_type", "document_number", "insurer"]),
    (_("Contact"), ["cell_phone", "phone", "email", "address", "city", "region", "postal_code", "country"]),
    (_("Health"), ["allergy_status", "allergies", "alerts", "blood_type", "medical_history"]),
    (_("Consent"), ["habeas_data"]),
    (_("If the patient has died"), ["is_deceased", "died_on"]),
]
"""The form from top to bottom: legend, fields."""


class PatientForm(PlainText, forms.ModelForm):
    """All fields of a patient, the clinic's own fields after them (`custom_<key>`)."""

    birth_date = DatePartsField(label=_("Birth date"), required=False, help_text=_("Leave empty when not known."))
    died_on = DatePartsField(label=_("Died on"), required=False)
    gender = forms.ModelChoiceField(
        Gender.objects.all(), label=_("Sex"), empty_label=None, widget=forms.RadioSelect, blank=False
    )
    document_type = forms.ModelChoiceField(
        DocumentType.objects.all(), label=_("Document type"), required=False, empty_label=_("None")
    )
    insurer = forms.ModelChoiceField(
        Insurer.objects.order_by("name"), label=_("Insurer"), required=False, empty_label=_("Not known")
    )
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Patient
        fields = [name for _legend, names in GROUPS for name in names]
        widgets = {
            "allergies": forms.Textarea({"rows": 2}),
            "medical_history": forms.Textarea({"rows": 5}),
            "allergy_status": forms.RadioSelect,
            "phone": forms.TextInput({"type": "tel", "autocomplete": "off"}),
            "cell_phone": forms.TextInput({"type": "tel", "autocomplete": "off"}),
            "email": forms.EmailInput({"autocomplete": "off"}),
            "country": forms.TextInput({"size": 3}),
        }
        help_texts = {
            "first_last_name": _("Leave empty when the person has only one name."),
            "previous_names": _("Maiden name, earlier spellings; found by the search, too."),
            "language": _("Such as Spanish, Wayuu."),
        }

    def __init__(self, *args, custom_fields=(), **kwargs):
        super().__init__(*args, **kwargs)
        # Somebody imported with a family name alone can be changed without inventing a first name.
        self.fields["first_name"].required = self.instance._state.adding or bool(self.instance.first_name)
        self.fields["version"].required = not self.instance._state.adding
        for name in ("marital_status", "blood_type"):
            self.fields[name].choices = [("", _("Not known")), *self.fields[name].choices[1:]]
        self.fields["version"].initial = self.instance.version
        self.custom = {}
        for definition in custom_fields:
            name = f"custom_{definition.key}"
            self.custom[name] = definition
            stored = self.instance.custom_fields.get(definition.key)
            self.fields[name] = _form_field(definition, stored)
            self.fields[name].initial = stored

    def groups(self):
        """Legend and bound fields of each group, for the template."""
        groups = [(legend, [self[name] for name in names]) for legend, names in GROUPS]
        if self.custom:
            groups.insert(-2, (_("More about this patient"), [self[name] for name in self.custom]))
        return groups

    def clean(self):
        data = super().clean()
        if data.get("died_on"):
            data["is_deceased"] = True
        return data

    def patient_data(self) -> dict[str, Any]:
        """What the service takes: model fields, and custom fields merged into those the form does not show."""
        data = {name: self.cleaned_data[name] for name in self.Meta.fields}
        data["custom_fields"] = dict(self.instance.custom_fields)
        for name, definition in self.custom.items():
            value = self.cleaned_data.get(name)
            if value in (None, ""):
                data["custom_fields"].pop(definition.key, None)
            else:
                data["custom_fields"][definition.key] = _as_stored(value)
        return data


def _as_stored(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return int(value) if isinstance(value, float) and value.is_integer() else value


class YesNoField(forms.ChoiceField):
    """True, False, or None for a question that nobody has asked."""

    def __init__(self, **kwargs):
        super().__init__(choices=[("", _("Not asked")), ("true", _("Yes")), ("false", _("No"))], **kwargs)

    def prepare_value(self, value):
        return str(value).lower() if isinstance(value, bool) else value

    def clean(self, value):
        return {"true": True, "false": False}.get(super().clean(value))


def _form_field(definition: CustomField, stored: Any) -> forms.Field:
    shared = {"label": definition.label, "required": False}
    if definition.type == CustomField.Type.NUMBER:
        return forms.FloatField(**shared)
    if definition.type == CustomField.Type.DATE:
        return DatePartsField(**shared)
    if definition.type == CustomField.Type.YES_NO:
        return YesNoField(**shared)
    if definition.type == CustomField.Type.CHOICE:
        # A word that is no choice any more stays on the patients who have it.
        words = dict.fromkeys([*definition.choices, *([stored] if isinstance(stored, str) and stored else [])])
        return forms.ChoiceField(choices=[("", _("Not known")), *((word, word) for word in words)], **shared)
    return forms.CharField(max_length=1000, **shared)


class IdentifierForm(PlainText, forms.Form):
    """One further number; a row without a number is left out."""

    kind = forms.ChoiceField(label=_("Kind"), choices=PatientIdentifier.Kind.choices)
    value = forms.CharField(label=_("Number"), max_length=100, required=False)
    system = forms.CharField(label=_("Issued by"), max_length=200, required=False)


class BaseIdentifierFormSet(forms.BaseFormSet):
    """The further numbers of one patient. What stood there when the page was opened travels along, hidden."""

    def __init__(self, *args, known: Iterable[dict[str, str]] = (), **kwargs):
        self.known = [_identifier_row(row) for row in known]
        kwargs.setdefault("initial", self.known)
        super().__init__(*args, **kwargs)

    def known_input(self):
        """The hidden field for the template."""
        name = self.add_prefix("known")
        sent = self.data.get(name) if self.is_bound else json.dumps(self.known)
        return forms.HiddenInput().render(name, sent)

    def opened_with(self) -> list[dict[str, str]] | None:
        """The numbers as they stood when this page was opened; None when the page does not say."""
        try:
            # orjson stops at 1,024 levels, where json recurses until Python gives up.
            return [_identifier_row(row) for row in orjson.loads(self.data.get(self.add_prefix("known"), ""))]
        except (ValueError, TypeError, LookupError, AttributeError):
            return None

    def identifiers(self) -> list[dict[str, str]]:
        """Rows that have a number, as the service takes them."""
        return [_identifier_row(form.cleaned_data) for form in self.forms if form.cleaned_data.get("value")]


def _identifier_row(row: Any) -> dict[str, str]:
    """The three texts of a number. Raises TypeError for anything but texts, LookupError where one is missing."""
    found = {name: row[name] for name in ("kind", "value", "system")}
    if not all(isinstance(text, str) for text in found.values()):
        raise TypeError("A number is made of texts.")
    return found


IdentifierFormSet = forms.formset_factory(IdentifierForm, BaseIdentifierFormSet, extra=1, max_num=100, absolute_max=120)


class ArchiveForm(PlainText, forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=300, widget=forms.Textarea({"rows": 2}))
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)


class ConsentForm(PlainText, forms.Form):
    kind = forms.ChoiceField(label=_("About"), choices=Consent.Kind.choices)
    granted = forms.TypedChoiceField(
        label=_("Answer"),
        choices=[("yes", _("Agrees")), ("no", _("Objects"))],
        coerce=lambda text: text == "yes",
        widget=forms.RadioSelect,
    )
    note = forms.CharField(label=_("Note"), max_length=300, required=False)


class AsOfForm(forms.Form):
    """The chart as it stood at the end of a day."""

    on = DatePartsField(label=_("As of"), required=True)


class RestrictForm(PlainText, forms.Form):
    """Closing a chart to all but a list, and opening it to everybody again."""

    reason = forms.CharField(label=_("Reason"), max_length=300, widget=forms.Textarea({"rows": 2}))


class AllowForm(forms.Form):
    """One more name on the list of a restricted chart."""

    member = forms.ModelChoiceField(None, label=_("Who"), empty_label=_("Choose somebody"))

    def __init__(self, *args, members, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["member"].queryset = members


class BreakGlassForm(PlainText, forms.Form):
    """Why somebody opens a chart that is restricted."""

    reason_code = forms.ChoiceField(
        label=_("Occasion"), choices=EmergencyAccess.Reason.choices, widget=forms.RadioSelect
    )
    reason = forms.CharField(
        label=_("Reason"),
        min_length=10,
        max_length=500,
        widget=forms.Textarea({"rows": 3}),
        help_text=_("At least 10 characters. Somebody who reviews this reads it."),
    )
    next = forms.CharField(required=False, max_length=500, widget=forms.HiddenInput)


class ReviewForm(PlainText, forms.Form):
    """What the reviewer of an emergency access says."""

    verdict = forms.ChoiceField(label=_("Verdict"), choices=EmergencyAccess.Verdict.choices, widget=forms.RadioSelect)
    note = forms.CharField(
        label=_("Note"),
        max_length=1000,
        required=False,
        widget=forms.Textarea({"rows": 3}),
        help_text=_("Needed when it was not justified. The person reads it."),
    )

    def clean(self):
        data = super().clean()
        if data.get("verdict") == EmergencyAccess.Verdict.NOT_JUSTIFIED and not data.get("note"):
            self.add_error("note", _("Say why it was not justified."))
        return data
