"""Invitations: who was asked to join a clinic, as what, and what became of it."""

from datetime import timedelta

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.users.models import Membership
from tenancy.tenants.models import TenantForeignKey, TenantModel, TenantQuerySet, scoped_manager

INVITATION_LIFETIME = timedelta(days=7)
MOST_SPECIALTIES = 12


class InvitationQuerySet(TenantQuerySet):
    def open(self):
        """Neither accepted nor withdrawn; the link may be too old, and can be sent again."""
        return self.filter(accepted_at__isnull=True, withdrawn_at__isnull=True)


class Invitation(TenantModel):
    """One person asked to join with these roles. The link itself is kept nowhere: it is signed when the mail leaves.

    `version` is in the link, so that sending again makes the earlier link worthless.
    Without `invited_by` the person has asked for it: somebody known elsewhere who registers here.
    """

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    email = models.EmailField(_("e-mail"), max_length=254)
    email_key = models.CharField(max_length=600, editable=False)
    name = models.CharField(_("name"), max_length=200)
    roles = models.JSONField(_("roles"), default=list)
    phone = models.CharField(_("phone"), max_length=30, blank=True)
    specialization = models.CharField(_("specialization"), max_length=120, blank=True)
    department = models.CharField(_("department"), max_length=120, blank=True)
    specialties = models.JSONField(_("specialties"), default=list, blank=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    invited_by = TenantForeignKey(Membership, null=True, related_name="+", verbose_name=_("invited by"))
    created_at = models.DateTimeField(_("invited"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("good until"))
    accepted_at = models.DateTimeField(_("accepted"), null=True, editable=False)
    accepted_by = TenantForeignKey(Membership, null=True, related_name="+", editable=False)
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True, editable=False)
    withdrawn_by = TenantForeignKey(Membership, null=True, related_name="+", editable=False)

    objects = scoped_manager(InvitationQuerySet)

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "email_key"],
                name="joining_invitation_open_uniq",
                condition=models.Q(accepted_at__isnull=True, withdrawn_at__isnull=True),
            ),
            models.CheckConstraint(
                condition=models.Q(accepted_at__isnull=True) | models.Q(withdrawn_at__isnull=True),
                name="joining_invitation_end_chk",
            ),
        ]
        indexes = [models.Index(fields=["tenant", "created_at", "id"], name="joining_invitation_made_idx")]

    def __str__(self):
        return self.name or self.email

    @property
    def is_open(self) -> bool:
        return self.accepted_at is None and self.withdrawn_at is None

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()
