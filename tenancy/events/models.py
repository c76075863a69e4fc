"""The outbox, who wants to hear of it, and how each telling went."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from tenancy import sealing
from tenancy.tenants.models import TenantForeignKey, TenantModel, TenantQuerySet, scoped_manager

from .registry import ALL

SECRET = "webhook secret"  # noqa: S105  (what the key is derived for)


class EventQuerySet(TenantQuerySet):
    def between(self, since, until):
        """Those that happened in a span of time, the end not counted."""
        return self.filter(occurred_at__gte=since, occurred_at__lt=until)

    def wanted_by(self, endpoint):
        return self if ALL in endpoint.event_types else self.filter(type__in=endpoint.event_types)


class Event(TenantModel):
    """Something that happened. Written in the transaction of the change itself, kept for `services.KEPT`.

    `body` is what every receiver gets, byte for byte, over all tries. It names
    things by id and never says anything about a person (security.md WH-16).
    """

    app_privileges = ("SELECT", "INSERT", "DELETE")

    type = models.CharField(_("what happened"), max_length=60, db_collation="C")
    object_type = models.CharField(max_length=40, db_collation="C")
    object_id = models.UUIDField()
    sequence = models.BigIntegerField(help_text=_("counts the events of one thing: receivers put them in order by it"))
    occurred_at = models.DateTimeField(_("at"))
    body = models.TextField()
    request_id = models.CharField(max_length=64, blank=True)
    actor_kind = models.CharField(max_length=10)
    actor_id = models.UUIDField(null=True)

    objects = scoped_manager(EventQuerySet)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [
            models.Index(fields=["tenant", "occurred_at", "id"], name="events_event_when_idx"),
            models.Index(fields=["tenant", "object_type", "object_id"], name="events_event_object_idx"),
        ]

    def __str__(self):
        return f"{self.type} {self.object_id} {self.sequence}"


class Sequence(TenantModel):
    """How many events one thing has had, since there is an endpoint. Outlives them, so that no number comes twice."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    object_type = models.CharField(max_length=40, db_collation="C")
    object_id = models.UUIDField()
    value = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "object_type", "object_id"], name="events_sequence_object_uniq")
        ]

    def __str__(self):
        return f"{self.object_type} {self.object_id}: {self.value}"


class EndpointQuerySet(TenantQuerySet):
    def kept(self):
        """All but the deleted, whose rows stay for their log."""
        return self.exclude(state=Endpoint.State.DELETED)

    def ready(self, now):
        """Open for deliveries, not resting after failures, and in nobody's hands."""
        return self.filter(
            models.Q(rests_until__isnull=True) | models.Q(rests_until__lte=now),
            models.Q(lease_until__isnull=True) | models.Q(lease_until__lte=now),
            state=Endpoint.State.ACTIVE,
        )


class Endpoint(TenantModel):
    """An address of another program that wants to hear of events."""

    app_privileges = ("SELECT", "INSERT", "UPDATE", "DELETE")

    class Kind(models.TextChoices):
        WEB = "web", _("Web address")
        QUEUE = "queue", _("Queue of the installation (Amazon SQS)")

    class State(models.TextChoices):
        ACTIVE = "active", pgettext_lazy("webhook", "Active")
        PAUSED = "paused", pgettext_lazy("webhook", "Paused")
        DISABLED = "disabled", pgettext_lazy("webhook", "Switched off")
        DELETED = "deleted", pgettext_lazy("webhook", "Deleted")

    class Why(models.TextChoices):
        ASKED = "asked", _("Somebody of your clinic asked for it.")
        FAILING = "failing", _("Nothing arrived there for days.")
        GONE = "gone", _("The receiver answered that it is gone for good (410).")
        SEALED = "sealed", _("Its secret can not be opened any more. Give it a new one.")

    kind = models.CharField(max_length=5, choices=Kind.choices, default=Kind.WEB)
    url = models.CharField(_("address"), max_length=500)
    description = models.CharField(_("what it is for"), max_length=200, blank=True)
    event_types = models.JSONField(_("events"), default=list)
    sealed_secret = models.BinaryField()
    sealed_old_secret = models.BinaryField(null=True)
    old_secret_until = models.DateTimeField(_("the old secret is valid until"), null=True)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.ACTIVE)
    why = models.CharField(_("why"), max_length=8, choices=Why.choices, blank=True)
    stopped_at = models.DateTimeField(null=True)
    failures_in_row = models.PositiveIntegerField(_("failures in a row"), default=0)
    last_success_at = models.DateTimeField(_("last success"), null=True)
    rests_until = models.DateTimeField(null=True)
    lease_id = models.UUIDField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    interruptions = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text=_("rounds in a row that never came to an end: the worker died")
    )
    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(_("since"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = scoped_manager(EndpointQuerySet)

    class Meta:
        verbose_name = _("webhook endpoint")
        verbose_name_plural = _("webhook endpoints")
        indexes = [models.Index(fields=["tenant", "created_at", "id"], name="events_endpoint_created_idx")]

    def __str__(self):
        return self.url.partition("?")[0]

    @property
    def is_listening(self) -> bool:
        """Whether new events are put aside for it."""
        return self.state in {self.State.ACTIVE, self.State.PAUSED}

    def secrets(self, now) -> list[str]:
        """The secrets that sign now, the newest first: `whsec_…`, two of them while a rotation overlaps."""
        sealed = [self.sealed_secret]
        if self.sealed_old_secret and self.old_secret_until and self.old_secret_until > now:
            sealed.append(self.sealed_old_secret)
        return [sealing.unseal(secret, purpose=SECRET, owner_id=self.pk).decode() for secret in sealed]


class DeliveryQuerySet(TenantQuerySet):
    def due(self, now):
        """Waiting, and their time has come."""
        return self.filter(state=Delivery.State.WAITING, next_try_at__lte=now)


class Delivery(TenantModel):
    """One event on its way to one endpoint. Sent again by hand it begins anew and stays the same delivery."""

    class State(models.TextChoices):
        WAITING = "waiting", pgettext_lazy("delivery", "Waiting")
        DELIVERED = "delivered", pgettext_lazy("delivery", "Delivered")
        FAILED = "failed", pgettext_lazy("delivery", "Given up")
        DROPPED = "dropped", pgettext_lazy("delivery", "Not sent")

    event = TenantForeignKey(Event, related_name="deliveries")
    endpoint = TenantForeignKey(Endpoint, related_name="deliveries")
    state = models.CharField(_("state"), max_length=9, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(_("tries"), default=0)
    interruptions = models.PositiveSmallIntegerField(default=0, editable=False)
    since = models.DateTimeField(_("since"), help_text=_("when these tries began"))
    next_try_at = models.DateTimeField(_("next try"))
    delivered_at = models.DateTimeField(_("delivered"), null=True)

    objects = scoped_manager(DeliveryQuerySet)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "event", "endpoint"], name="events_delivery_once_uniq"),
        ]
        indexes = [
            models.Index(
                fields=["tenant", "endpoint", "next_try_at"],
                name="events_delivery_due_idx",
                condition=models.Q(state="waiting"),
            ),
            models.Index(fields=["tenant", "endpoint", "-since", "-id"], name="events_delivery_log_idx"),
            models.Index(fields=["tenant", "-since", "-id"], name="events_delivery_all_idx"),
        ]

    def __str__(self):
        return f"{self.event_id} → {self.endpoint_id}"


class Attempt(TenantModel):
    """One try: what the receiver said, and how long it took. Its words are cut, and shown escaped."""

    app_privileges = ("SELECT", "INSERT", "DELETE")

    class Error(models.TextChoices):
        ADDRESS = "address", _("Its address is none we may send to.")
        NAME = "name", _("Its name was not found.")
        CONNECTION = "connection", _("It could not be reached.")
        TLS = "tls", _("Its certificate or encryption was not accepted.")
        TIMEOUT = "timeout", _("It took longer than 15 seconds.")
        ANSWER = "answer", _("What it answered is no HTTP.")
        REDIRECT = "redirect", _("It sent us somewhere else; we do not follow.")
        STATUS = "status", _("It did not answer with success.")

    delivery = TenantForeignKey(Delivery, related_name="log")
    number = models.PositiveSmallIntegerField(_("try"))
    at = models.DateTimeField(_("at"))
    status = models.PositiveSmallIntegerField(_("status"), null=True)
    error = models.CharField(_("what went wrong"), max_length=10, choices=Error.choices, blank=True)
    ms = models.PositiveIntegerField(_("milliseconds"))
    answer = models.CharField(_("answer"), max_length=1000, blank=True)

    class Meta:
        verbose_name = _("try")
        verbose_name_plural = _("tries")
        indexes = [models.Index(fields=["tenant", "delivery", "at"], name="events_attempt_delivery_idx")]

    def __str__(self):
        return f"{self.number}: {self.status or self.error}"

    @property
    def is_success(self) -> bool:
        return not self.error
