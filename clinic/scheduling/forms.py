"""What people send when they book, move or cancel a visit."""

import uuid
from datetime import date, datetime

from django import forms
from django.utils.translation import gettext_lazy as _

from . import tiles
from .wall_time import NoSuchTime, TwiceThatDay, moment_of

OTHER = "other"
MOST_REPEATS = 52
RULES = {"1": 1, "2": 2, "4": 4}
REASONS = [
    ("patient", _("The patient asked for it")),
    ("ill", _("The patient is ill")),
    ("clinic", _("The clinic had to cancel")),
    ("mistake", _("Booked by mistake")),
    ("other", _("Another reason")),
]
SCOPES = [
    ("this", _("Only this visit")),
    ("following", _("This visit and those after it")),
    ("all", _("All visits of the series that are still to come")),
]


class TimeForm(forms.Form):
    """Which time: a tile that was offered, or another one typed by the clock of the location."""

    slot = forms.CharField(required=False, max_length=120)
    take = forms.CharField(required=False, max_length=120)
    other_time = forms.TimeField(
        label=_("Another time"),
        required=False,
        widget=forms.TimeInput(attrs={"type": "time", "step": "300"}, format="%H:%M"),
    )
    overbook_reason = forms.CharField(
        label=_("Reason to book over other visits or outside of the hours"), required=False, max_length=300
    )
    override_reason = forms.CharField(
        label=_("Reason to book without the qualification"), required=False, max_length=300
    )

    def clean_slot(self):
        value = self.cleaned_data["slot"]
        return value if value == OTHER else self._time_of(value)

    def clean_take(self):
        return self._time_of(self.cleaned_data["take"])

    def _time_of(self, value):
        try:
            if value:
                tiles.read_value(value)
        except ValueError:
            raise forms.ValidationError(_("Choose one of the times.")) from None
        return value

    def chosen(self, day: date, zone, people) -> tuple[datetime, uuid.UUID, uuid.UUID | None] | None:
        """Moment, practitioner and location that were chosen; None with an error on the form where there is none.

        `take` is the button of a time that was proposed, and counts before what is ticked.
        Another time than the offered ones is with the one clinician who was picked.
        """
        slot = self.cleaned_data.get("take") or self.cleaned_data.get("slot")
        other = self.cleaned_data.get("other_time")
        if slot and slot != OTHER:
            return tiles.read_value(slot)
        if slot != OTHER or other is None:
            self.add_error("slot", _("Choose a time."))
            return None
        if len(people) != 1:
            self.add_error("slot", _("Choose a clinician for a time that is not offered."))
            return None
        try:
            return moment_of(datetime.combine(day, other), zone), people[0].pk, None
        except (NoSuchTime, TwiceThatDay) as wrong:
            self.add_error("other_time", str(wrong))
            return None


class BookingForm(TimeForm):
    """A new visit, beside the choices that decide which times are offered (pages.booking.Choices)."""

    reason = forms.CharField(
        label=_("Reason for the visit"), required=False, max_length=500, widget=forms.Textarea(attrs={"rows": 2})
    )
    repeat = forms.ChoiceField(
        label=_("Repeat"),
        required=False,
        choices=[
            ("", _("Once")),
            ("1", _("Every week")),
            ("2", _("Every 2 weeks")),
            ("4", _("Every 4 weeks")),
        ],
    )
    times = forms.IntegerField(
        label=_("How many visits"), required=False, min_value=2, max_value=MOST_REPEATS, initial=4
    )
    skip = forms.CharField(required=False, max_length=2000, widget=forms.HiddenInput)
    submit_key = forms.UUIDField(widget=forms.HiddenInput)

    def clean_skip(self):
        try:
            return [date.fromisoformat(day) for day in self.cleaned_data["skip"].split(",") if day]
        except ValueError:
            raise forms.ValidationError(_("Choose the days again.")) from None

    def clean(self):
        cleaned = super().clean()
        if cleaned.get("repeat") and not cleaned.get("times") and "times" not in self.errors:
            self.add_error("times", _("Say how many visits."))
        return cleaned

    @property
    def rule(self) -> str:
        """The RRULE of a series, "" for one visit."""
        weeks = RULES.get(self.cleaned_data["repeat"])
        return f"FREQ=WEEKLY;INTERVAL={weeks};COUNT={self.cleaned_data['times']}" if weeks else ""


class MoveForm(TimeForm):
    """Another time for a visit, or for the visits of its series."""

    scope = forms.ChoiceField(label=_("Which visits"), choices=SCOPES, required=False, widget=forms.RadioSelect)
    reason = forms.CharField(label=_("Reason for moving"), required=False, max_length=300)
    version = forms.IntegerField(widget=forms.HiddenInput)


class CancelForm(forms.Form):
    """Why a visit is cancelled, and which ones."""

    why = forms.ChoiceField(label=_("Reason"), choices=REASONS, widget=forms.RadioSelect)
    words = forms.CharField(label=_("In words"), required=False, max_length=250)
    scope = forms.ChoiceField(label=_("Which visits"), choices=SCOPES, required=False, widget=forms.RadioSelect)

    def clean(self):
        cleaned = super().clean()
        if cleaned.get("why") == "other" and not cleaned.get("words", "").strip():
            self.add_error("words", _("Say the reason in words."))
        return cleaned

    @property
    def reason(self) -> str:
        words, label = self.cleaned_data["words"].strip(), dict(REASONS)[self.cleaned_data["why"]]
        if self.cleaned_data["why"] == "other":
            return words
        return f"{label}: {words}" if words else str(label)
