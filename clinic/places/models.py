"""Locations, rooms, devices, public holidays."""

import zoneinfo

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from tenancy.tenants.models import TenantForeignKey, TenantModel, validate_time_zone

WEEKDAYS = [
    (0, _("Monday")),
    (1, _("Tuesday")),
    (2, _("Wednesday")),
    (3, _("Thursday")),
    (4, _("Friday")),
    (5, _("Saturday")),
    (6, _("Sunday")),
]


class Location(TenantModel):
    """A house where visits happen. Its clock is the one all times there are meant in."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    name = models.CharField(_("name"), max_length=120)
    name_key = models.CharField(max_length=240, editable=False)
    time_zone = models.CharField(_("time zone"), max_length=64, validators=[validate_time_zone])
    address = models.CharField(_("address"), max_length=300, blank=True)
    phone = models.CharField(_("phone"), max_length=30, blank=True)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("location")
        verbose_name_plural = _("locations")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name_key"], name="places_location_name_uniq", condition=models.Q(is_active=True)
            )
        ]

    def __str__(self):
        return self.name

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.time_zone)


class OpeningHours(TenantModel):
    """When a location is open, by its own clock. A location without any row is always open.

    `closes` at or before `opens` means the next day.
    """

    location = TenantForeignKey(Location, related_name="opening_hours")
    weekday = models.PositiveSmallIntegerField(_("weekday"), choices=WEEKDAYS)
    opens = models.TimeField(_("opens"))
    closes = models.TimeField(_("closes"))

    class Meta:
        verbose_name = _("opening hours")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "location", "weekday", "opens"], name="places_openinghours_uniq"),
            models.CheckConstraint(condition=models.Q(weekday__lte=6), name="places_openinghours_weekday_chk"),
        ]

    def __str__(self):
        return f"{self.get_weekday_display()} {self.opens:%H:%M}–{self.closes:%H:%M}"


class Resource(TenantModel):
    """A room or a device that one visit at a time can have."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class Kind(models.TextChoices):
        ROOM = "room", _("Room")
        DEVICE = "device", pgettext_lazy("of a clinic, such as an ultrasound", "Device")

    location = TenantForeignKey(Location, related_name="resources", verbose_name=_("location"))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    name = models.CharField(_("name"), max_length=120)
    category = models.CharField(
        _("category"), max_length=60, blank=True, help_text=_("What appointment types ask for, such as ultrasound")
    )
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("room or device")
        verbose_name_plural = _("rooms and devices")
        constraints = [models.UniqueConstraint(fields=["tenant", "location", "name"], name="places_resource_name_uniq")]

    def __str__(self):
        return self.name


class Holiday(TenantModel):
    """A day on which nothing is booked: at one location, or at all of them where none is named."""

    location = TenantForeignKey(Location, null=True, blank=True, related_name="holidays", verbose_name=_("location"))
    day = models.DateField(_("day"))
    name = models.CharField(_("name"), max_length=120)

    class Meta:
        verbose_name = _("public holiday")
        verbose_name_plural = _("public holidays")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "location", "day"], name="places_holiday_uniq", nulls_distinct=False
            )
        ]

    def __str__(self):
        return f"{self.day} {self.name}"
