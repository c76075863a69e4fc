"""What the pages about the rules of the book send: hours, leave, places, kinds of visits. They never save."""

from datetime import date, datetime, time, timedelta

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.translation import gettext_lazy as _

from accounts.qualifications.models import QualificationKind
from accounts.team.forms import PlainText
from clinic.places.models import WEEKDAYS, Holiday, Location, Resource
from clinic.practitioners.colours import COLOURS
from clinic.practitioners.models import Practitioner
from tenancy.doors.late_choices import late_choices
from tenancy.tenants.models import validate_time_zone

from .models import (
    AppointmentType,
    ExtraHours,
    Leave,
    ReminderRule,
    SelfServicePolicy,
    WaitingEntry,
    WaitLimits,
    WorkingHours,
)
from .wall_time import day_bounds, nearest_moment

LONGEST_LEAVE_DAYS = 366


def day_field(**options):
    """A near day, by the browser's own calendar."""
    within = [MinValueValidator(date(2000, 1, 1)), MaxValueValidator(date(2199, 12, 1))]
    return forms.DateField(widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"), validators=within, **options)


def clock_field(**options):
    return forms.TimeField(
        widget=forms.TimeInput({"type": "time"}, format="%H:%M"), input_formats=["%H:%M", "%H:%M:%S"], **options
    )


class RowForm(PlainText, forms.ModelForm):
    """A form that only carries what was typed; the service checks the row and says at which field."""

    def _post_clean(self):
        pass

    def row_data(self):
        return {name: self.cleaned_data[name] for name in self._meta.fields if name in self.cleaned_data}


def _locations():
    return Location.objects.filter(is_active=True).order_by("name", "id")


def _types():
    return AppointmentType.objects.filter(is_active=True).order_by("name", "id")


def _practitioners():
    return Practitioner.objects.filter(is_active=True).order_by("first_last_name", "first_name", "id")


class HoursForm(RowForm):
    """Weekly hours of one practitioner at one location; while they are new, of several weekdays at once."""

    weekdays = forms.TypedMultipleChoiceField(
        label=_("Weekdays"), choices=WEEKDAYS, coerce=int, widget=forms.CheckboxSelectMultiple
    )
    starts = clock_field(label=_("From"))
    ends = clock_field(label=_("Until"), help_text=_("Before the beginning means: on the next day."))
    valid_from = day_field(label=_("Valid from"))
    valid_until = day_field(label=_("Valid until"), required=False, help_text=_("The last day; empty: no end."))

    class Meta:
        model = WorkingHours
        formfield_callback = late_choices
        fields = ["location", "starts", "ends", "step", "valid_from", "valid_until", "only_type"]
        labels = {"only_type": _("Only for one kind of visit")}

    field_order = ["location", "weekdays", "starts", "ends", "step", "valid_from", "valid_until", "only_type"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["location"].queryset = _locations()
        self.fields["only_type"].queryset = _types()
        self.fields["only_type"].empty_label = _("All kinds")
        self.order_fields(self.field_order)
        if not self.instance._state.adding:
            self.fields["weekdays"].initial = [self.instance.weekday]

    def clean(self):
        data = super().clean()
        if not self.instance._state.adding and len(data.get("weekdays", [])) > 1:
            self.add_error("weekdays", _("Choose one; add the other days as hours of their own."))
        return data


class ExtraHoursForm(RowForm):
    """One day beside the usual hours."""

    day = day_field(label=_("Day"))
    starts = clock_field(label=_("From"))
    ends = clock_field(label=_("Until"))

    class Meta:
        model = ExtraHours
        formfield_callback = late_choices
        fields = ["location", "day", "starts", "ends", "step", "note"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["location"].queryset = _locations()


class LeaveForm(PlainText, forms.Form):
    """From when until when somebody is away. Without clocks whole days are meant; `zone` is where they work."""

    kind = forms.ChoiceField(label=_("Why"), choices=Leave.Kind.choices)
    first = day_field(label=_("First day"))
    from_clock = clock_field(label=_("From (time)"), required=False, help_text=_("Empty: from the morning on."))
    last = day_field(label=_("Last day"), required=False, help_text=_("Empty: the same day."))
    until_clock = clock_field(label=_("Until (time)"), required=False, help_text=_("Empty: the whole day."))
    note = forms.CharField(label=_("Note"), max_length=200, required=False, help_text=_("Colleagues read it."))

    def __init__(self, *args, zone, **kwargs):
        super().__init__(*args, **kwargs)
        self.zone = zone

    def clean(self):
        data = super().clean()
        if self.errors:
            return data
        first, last = data["first"], data["last"] or data["first"]
        if last < first:
            self.add_error("last", _("The last day comes before the first."))
        elif last - first > timedelta(days=LONGEST_LEAVE_DAYS):
            self.add_error("last", _("At most a year at once."))
        else:
            data["starts_at"] = self._moment(first, data["from_clock"], day_bounds(first, self.zone)[0])
            data["ends_at"] = self._moment(last, data["until_clock"], day_bounds(last, self.zone)[1])
            if data["ends_at"] <= data["starts_at"]:
                self.add_error("until_clock", _("The end has to come after the beginning."))
        return data

    def _moment(self, day, clock: time | None, otherwise):
        return nearest_moment(datetime.combine(day, clock), self.zone) if clock else otherwise


class PreviewForm(forms.Form):
    """Which week of which kind of visit to look at, and about which time to ask why."""

    week = day_field(label=_("Week of"), required=False)
    type = forms.ModelChoiceField(
        label=_("Kind of visit"), queryset=None, required=False, empty_label=_("Half an hour, any kind")
    )
    day = day_field(label=_("Day"), required=False)
    clock = clock_field(label=_("Time"), required=False)
    location = forms.ModelChoiceField(label=_("Location"), queryset=None, required=False, empty_label=None)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["type"].queryset = _types()
        self.fields["location"].queryset = _locations()


class LocationForm(RowForm):
    time_zone = forms.CharField(
        label=_("Time zone"), max_length=64, help_text=_("Such as America/Bogota; all times there are meant in it.")
    )

    class Meta:
        model = Location
        formfield_callback = late_choices
        fields = ["name", "time_zone", "address", "phone", "is_active"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.instance._state.adding:
            del self.fields["is_active"]

    def clean_time_zone(self):
        validate_time_zone(self.cleaned_data["time_zone"])
        return self.cleaned_data["time_zone"]


class OpeningHoursForm(PlainText, forms.Form):
    """Two stretches a day at most; a day without any is closed, a week without any is always open."""

    def __init__(self, *args, hours=(), **kwargs):
        super().__init__(*args, **kwargs)
        held = {}
        for row in hours:
            held.setdefault(row.weekday, []).append(row)
        for weekday, label in WEEKDAYS:
            for part in (1, 2):
                rows = held.get(weekday, [])
                row = rows[part - 1] if len(rows) >= part else None
                for name, words in (("opens", _("opens")), ("closes", _("closes"))):
                    self.fields[f"{name}_{weekday}_{part}"] = clock_field(
                        label=f"{label}, {words}" if part == 1 else f"{label}, {words} ({part})",
                        required=False,
                        initial=getattr(row, name, None),
                    )

    def days(self):
        """For the page: a weekday with its two pairs of bound fields."""
        return [
            {
                "label": label,
                "pairs": [(self[f"opens_{day}_{part}"], self[f"closes_{day}_{part}"]) for part in (1, 2)],
            }
            for day, label in WEEKDAYS
        ]

    def clean(self):
        data = super().clean()
        data["hours"] = []
        for weekday, _label in WEEKDAYS:
            for part in (1, 2):
                opens, closes = data.get(f"opens_{weekday}_{part}"), data.get(f"closes_{weekday}_{part}")
                if opens and closes:
                    data["hours"].append((weekday, opens, closes))
                elif opens or closes:
                    missing = "closes" if opens else "opens"
                    self.add_error(f"{missing}_{weekday}_{part}", _("Both times, or none."))
        return data


class ResourceForm(RowForm):
    class Meta:
        model = Resource
        formfield_callback = late_choices
        fields = ["kind", "name", "category", "is_active"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.instance._state.adding:
            del self.fields["is_active"]


class HolidayForm(RowForm):
    day = day_field(label=_("Day"))

    class Meta:
        model = Holiday
        formfield_callback = late_choices
        fields = ["day", "name", "location"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["location"].queryset = _locations()
        self.fields["location"].empty_label = _("All locations")


class TypeForm(RowForm):
    """A kind of visit with who does it and what it needs."""

    performers = forms.ModelMultipleChoiceField(
        label=_("Done by"), queryset=None, required=False, widget=forms.CheckboxSelectMultiple,
        help_text=_("Nobody ticked: everybody."),
    )  # fmt: skip
    needs = forms.MultipleChoiceField(
        label=_("Needs rooms and devices"), required=False, widget=forms.CheckboxSelectMultiple,
        help_text=_("One of each, free for the whole visit."),
    )  # fmt: skip
    qualifications = forms.ModelMultipleChoiceField(
        label=_("Who does it has to hold"), queryset=None, required=False, widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = AppointmentType
        formfield_callback = late_choices
        fields = [
            "name", "minutes", "buffer_before", "buffer_after", "modality", "capacity", "price", "currency", "colour",
            "self_service", "lead_hours", "horizon_days", "per_day", "is_active",
        ]  # fmt: skip

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["colour"] = forms.TypedChoiceField(label=_("Colour"), choices=COLOURS, coerce=int)
        self.fields["performers"].queryset = _practitioners()
        self.fields["needs"].choices = _choices_of_needs()
        kinds = QualificationKind.objects.filter(is_active=True).order_by("name", "id")
        self.fields["qualifications"].queryset = kinds
        if not kinds:
            del self.fields["qualifications"]
        type = self.instance
        if type._state.adding:
            del self.fields["is_active"]
            return
        self.fields["performers"].initial = list(type.performers.values_list("practitioner", flat=True))
        self.fields["needs"].initial = [f"{need.kind}:{need.category}" for need in type.needs.all()]
        if "qualifications" in self.fields:
            self.fields["qualifications"].initial = list(type.qualifications.values_list("kind", flat=True))

    def clean_currency(self):
        return self.cleaned_data["currency"].upper()

    def links(self):
        """What goes beside the row: performers, needs as pairs, qualifications."""
        data = self.cleaned_data
        return {
            "performers": list(data["performers"]),
            "needs": [tuple(need.split(":", 1)) for need in data["needs"]],
            "qualifications": list(data.get("qualifications", ())),
        }


def _choices_of_needs():
    """Any room, any device, and every category there is."""
    kinds = dict(Resource.Kind.choices)
    found = Resource.objects.filter(is_active=True).exclude(category="").order_by("kind", "category")
    named = dict.fromkeys(found.values_list("kind", "category"))
    return [(f"{kind}:", _("Any room") if kind == Resource.Kind.ROOM else _("Any device")) for kind in kinds] + [
        (f"{kind}:{category}", f"{kinds[kind]}: {category}") for kind, category in named
    ]


class ReminderForm(RowForm):
    class Meta:
        model = ReminderRule
        formfield_callback = late_choices
        fields = ["hours_before", "subject", "text", "is_active"]
        help_texts = {
            "text": _(
                "Empty: our own words. %(name)s, %(date)s, %(time)s, %(practitioner)s and %(location)s are filled in. "
                "Write nothing about health: others may read the mail."
            )
        }


class PolicyForm(RowForm):
    """What patients of this clinic may do online, and until when."""

    class Meta:
        model = SelfServicePolicy
        formfield_callback = late_choices
        fields = ["level", "may_cancel", "cancel_hours", "may_move", "move_hours", "phone"]
        help_texts = {
            "level": _("Each kind of visit says besides whether patients may book it, ask for it, or neither."),
            "cancel_hours": _("0: until it begins. Later they are told to call."),
            "move_hours": _("0: until it begins. Later they are told to call."),
            "phone": _("They read it wherever they have to call. Empty: that of the place of the visit."),
        }

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["level"] = forms.ChoiceField(
            label=_("Patients may"),
            choices=SelfServicePolicy.Level.choices,
            widget=forms.RadioSelect,
            help_text=self.Meta.help_texts["level"],
            initial=self.instance.level,
        )
        self.order_fields(self.Meta.fields)


class WaitLimitsForm(RowForm):
    """From how many minutes of waiting on Today marks somebody."""

    class Meta:
        model = WaitLimits
        formfield_callback = late_choices
        fields = ["long_minutes", "too_long_minutes"]
        labels = {
            "long_minutes": _("A wait is long from so many minutes on"),
            "too_long_minutes": _("A wait is too long from so many minutes on"),
        }
        help_texts = {
            "long_minutes": _("Marked amber, with the word “long”."),
            "too_long_minutes": _("Marked red, with the words “too long”."),
        }


class WaitingForm(RowForm):
    """What would suit somebody who waits."""

    earliest = day_field(label=_("From"))
    latest = day_field(label=_("Until"))

    class Meta:
        model = WaitingEntry
        formfield_callback = late_choices
        fields = ["type", "earliest", "latest", "practitioner", "location", "is_urgent", "note"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["type"].queryset = _types()
        self.fields["practitioner"].queryset = _practitioners()
        self.fields["practitioner"].empty_label = _("Anybody")
        self.fields["location"].queryset = _locations()
        self.fields["location"].empty_label = _("Anywhere")
