"""What somebody is told, how it reaches them outside of the application, and what they want to hear of."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenancy.tenants.models import TenantForeignKey, TenantModel, TenantQuerySet, scoped_manager

from .kinds import CATEGORIES, PRIORITIES


class DeliveryQuerySet(TenantQuerySet):
    def due(self, now):
        """Waiting, and their time has come."""
        return self.filter(state=Delivery.State.WAITING, next_try_at__lte=now)

    def failed(self):
        return self.filter(state=Delivery.State.FAILED)


class Delivery(TenantModel):
    """One mail: to a member about one notification or a day of them, or to an address that belongs to nobody yet.

    Written with what it tells of, in the same transaction; the broker only
    wakes the worker that looks here. Its id is the Message-ID, so that a mail
    sent twice around a crash is recognised as one.
    """

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class Channel(models.TextChoices):
        MAIL = "mail", _("E-mail")
        DIGEST = "digest", _("Daily summary")

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        SENT = "sent", _("Sent")
        FAILED = "failed", _("Not delivered")
        DROPPED = "dropped", _("Not needed any more")

    channel = models.CharField(_("channel"), max_length=8, choices=Channel.choices)
    recipient = TenantForeignKey("users.Membership", null=True, related_name="+", verbose_name=_("to"))
    address = models.EmailField(_("address"), max_length=254, blank=True)
    kind = models.CharField(_("kind"), max_length=60)
    about_id = models.CharField(max_length=60, blank=True)
    params = models.JSONField(default=dict)
    language = models.CharField(max_length=8, blank=True)
    due_on = models.DateField(_("summary of"), null=True)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(_("tries"), default=0)
    interruptions = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text=_("tries in a row that never came to an end: the worker died")
    )
    next_try_at = models.DateTimeField(_("next try"), default=timezone.now)
    last_error = models.CharField(_("last answer"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("since"), default=timezone.now, editable=False)
    sent_at = models.DateTimeField(_("sent at"), null=True)

    objects = scoped_manager(DeliveryQuerySet)

    class Meta:
        verbose_name = _("mail")
        verbose_name_plural = _("mails")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "recipient", "due_on"],
                name="notifications_digest_day_uniq",
                condition=models.Q(due_on__isnull=False),
            ),
            models.CheckConstraint(
                condition=models.Q(recipient__isnull=False) | models.Q(address__gt=""),
                name="notifications_delivery_to_chk",
            ),
        ]
        indexes = [
            models.Index(
                fields=["tenant", "next_try_at"],
                name="notifications_due_idx",
                condition=models.Q(state="waiting"),
            ),
            models.Index(
                fields=["tenant", "created_at"],
                name="notifications_failed_idx",
                condition=models.Q(state="failed"),
            ),
            models.Index(fields=["tenant", "created_at", "id"], name="notifications_mails_idx"),
        ]

    def __str__(self):
        return f"{self.kind} {self.created_at:%Y-%m-%d}"


class NotificationQuerySet(TenantQuerySet):
    def inbox_of(self, member):
        return self.filter(recipient=member, in_inbox=True)

    def unread(self):
        return self.filter(read_at__isnull=True)


class Notification(TenantModel):
    """One thing one member is told. Its words are made of `kind` and `params` when it is read (kinds.py)."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    number = models.PositiveIntegerField(editable=False)
    recipient = TenantForeignKey("users.Membership", related_name="notifications")
    kind = models.CharField(_("kind"), max_length=60)
    category = models.CharField(_("about"), max_length=20, choices=list(CATEGORIES.items()))
    priority = models.CharField(_("priority"), max_length=10, choices=list(PRIORITIES.items()))
    params = models.JSONField(default=dict)
    url = models.CharField(max_length=300, blank=True)
    about_type = models.CharField(max_length=60, blank=True)
    about_id = models.CharField(max_length=60, blank=True)
    event = models.CharField(max_length=120, blank=True, help_text=_("the same event is told to one member once"))
    in_inbox = models.BooleanField(default=True)
    delivery = TenantForeignKey(Delivery, null=True, related_name="notifications")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    read_at = models.DateTimeField(null=True)

    objects = scoped_manager(NotificationQuerySet)

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "number"], name="notifications_number_uniq"),
            models.UniqueConstraint(
                fields=["tenant", "recipient", "event"],
                name="notifications_event_uniq",
                condition=models.Q(event__gt=""),
            ),
        ]
        indexes = [
            models.Index(
                fields=["tenant", "recipient"],
                name="notifications_unread_idx",
                condition=models.Q(read_at__isnull=True, in_inbox=True),
            ),
            models.Index(fields=["tenant", "recipient", "-number"], name="notifications_inbox_idx"),
            models.Index(
                fields=["tenant", "delivery"],
                name="notifications_delivery_idx",
                condition=models.Q(delivery__isnull=False),
            ),
        ]

    def __str__(self):
        return f"{self.number}: {self.kind}"

    @property
    def is_read(self) -> bool:
        return self.read_at is not None


class Preference(TenantModel):
    """How one member wants to hear of one category by one channel; without a row the kind decides."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class Channel(models.TextChoices):
        MAIL = "mail", _("E-mail")

    class Mode(models.TextChoices):
        USUAL = "usual", _("As recommended")
        NOW = "now", _("At once")
        DIGEST = "digest", _("In the daily summary")
        OFF = "off", _("Not at all")

    membership = TenantForeignKey("users.Membership", related_name="notification_preferences")
    category = models.CharField(_("about"), max_length=20, choices=list(CATEGORIES.items()))
    channel = models.CharField(_("channel"), max_length=8, choices=Channel.choices, default=Channel.MAIL)
    mode = models.CharField(_("when"), max_length=8, choices=Mode.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "membership", "category", "channel"], name="notifications_preference_uniq"
            )
        ]

    def __str__(self):
        return f"{self.category}, {self.channel}: {self.mode}"
