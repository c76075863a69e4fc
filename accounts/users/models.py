"""Person, membership, role, session."""

import unicodedata
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.permissions import DEFAULT_ROLES, Permission
from tenancy.tenants.models import (
    Tenant,
    TenantForeignKey,
    TenantModel,
    TenantQuerySet,
    new_id,
    scoped_manager,
)


def identity_key(text: str) -> str:
    """One spelling for all spellings of an e-mail address or user name (security.md AU-04).

    NFKC, case folded, without white space, control and invisible characters and trailing dots.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    visible = (c for c in folded if unicodedata.category(c)[0] not in {"C", "Z"})
    return "".join(visible).rstrip(".")


class UserManager(BaseUserManager):
    def get_by_natural_key(self, identifier):
        """By user name or e-mail address, in any spelling of it."""
        key = identity_key(identifier)
        return self.get(models.Q(username_key=key) | models.Q(email_key=key))


class User(AbstractBaseUser):
    """A person. Global: the same person may work in several clinics, and is known before any is chosen."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    username = models.CharField(_("user name"), max_length=150)
    username_key = models.CharField(max_length=300, unique=True, editable=False)
    email = models.EmailField(_("e-mail"), max_length=254)
    email_key = models.CharField(max_length=600, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=200)
    phone = models.CharField(_("phone"), max_length=30, blank=True)
    language = models.CharField(_("language"), max_length=8, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    is_platform_admin = models.BooleanField(_("platform administrator"), default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = UserManager()

    otp_device: Any  # which second factor was used just now; set by sessions.check_password, read by the sign-in page

    USERNAME_FIELD = "username_key"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["email", "name"]

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")

    def __str__(self):
        return self.name or self.username

    @property
    def is_staff(self):
        """Django admin asks this; who really may enter is decided by the membership (admin_site)."""
        return self.is_active

    def has_perm(self, perm, obj=None):
        return self.is_active and self.is_platform_admin

    def has_module_perms(self, app_label):
        return self.is_active and self.is_platform_admin


class Workplace(models.Model):
    """Which clinics a person may choose at sign-in. Ids only: read before any clinic is entered.

    The membership inside the clinic is the truth; `users.services` keeps both in step.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="workplaces")
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "tenant"], name="users_workplace_uniq")]

    def __str__(self):
        return f"{self.user_id} in {self.tenant_id}"


class Role(TenantModel):
    """A named set of permissions in one clinic."""

    code = models.SlugField(_("code"), max_length=40, db_index=False)
    name = models.CharField(_("name"), max_length=100)
    permissions = models.JSONField(_("permissions"), default=list)
    is_built_in = models.BooleanField(_("built in"), default=False)

    class Meta:
        verbose_name = _("role")
        verbose_name_plural = _("roles")
        constraints = [models.UniqueConstraint(fields=["tenant", "code"], name="users_role_code_uniq")]

    def __str__(self):
        return self.name

    @property
    def label(self):
        """The name in the reader's language where the clinic has not given it one of its own."""
        built_in = DEFAULT_ROLES.get(self.code)
        return built_in[0] if built_in and self.is_built_in else self.name


def _in_precedence(roles: Iterable[Role]) -> list[Role]:
    order = list(DEFAULT_ROLES)
    return sorted(roles, key=lambda role: (order.index(role.code) if role.code in order else len(order), role.code))


class MembershipQuerySet(TenantQuerySet):
    def active(self):
        return self.filter(is_active=True, user__is_active=True)


class Membership(TenantModel):
    """A person inside one clinic. Services call it `by`: who, where, and what they may."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")
    audit_kind = "member"

    user = models.ForeignKey(User, models.PROTECT, related_name="memberships", db_index=False, verbose_name=_("person"))
    specialization = models.CharField(_("specialization"), max_length=120, blank=True)
    department = models.CharField(_("department"), max_length=120, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("since"), default=timezone.now, editable=False)

    objects = scoped_manager(MembershipQuerySet)

    class Meta:
        verbose_name = _("member")
        verbose_name_plural = _("members")
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="users_membership_user_uniq")]

    def __str__(self):
        return self.user.name

    @property
    def display_name(self):
        return self.user.name

    @cached_property
    def roles(self) -> list[Role]:
        """Roles of this member, the primary one first."""
        return _in_precedence(held.role for held in self.held_roles.select_related("role"))

    def hold_roles(self, roles: Iterable[Role]) -> None:
        """Take roles that were read together with the member, instead of asking for them."""
        self.__dict__["roles"] = _in_precedence(roles)

    @cached_property
    def permissions(self) -> frozenset[str]:
        return frozenset(code for role in self.roles for code in role.permissions)

    @property
    def is_staff(self) -> bool:
        """Works here, and is not only treated here."""
        return bool(self.permissions - {Permission.OWN_PROFILE, Permission.PATIENT_VIEW_OWN})

    def may(self, permission: Permission | str) -> bool:
        """Whether a role of this member gives the permission."""
        return str(permission) in self.permissions


class HeldRole(TenantModel):
    """One role of one member."""

    membership = TenantForeignKey(Membership, related_name="held_roles")
    role = TenantForeignKey(Role, related_name="held_by")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "membership", "role"], name="users_heldrole_uniq"),
        ]
        indexes = [models.Index(fields=["tenant", "role"], name="users_heldrole_role_idx")]

    def __str__(self):
        return f"{self.membership_id}: {self.role_id}"


class SessionQuerySet(TenantQuerySet):
    def live(self, now):
        return self.filter(revoked_at__isnull=True, expires_at__gt=now)


class Session(TenantModel):
    """One sign-in on one device, by page or by token. Checked at every request, so revoking holds at once."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class Kind(models.TextChoices):
        PAGE = "page", _("Browser")
        TOKEN = "token", _("Application")

    membership = TenantForeignKey(Membership, related_name="sessions", verbose_name=_("member"))
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    device = models.CharField(_("device"), max_length=300, blank=True)
    address = models.CharField(_("network address"), max_length=64, blank=True)
    created_at = models.DateTimeField(_("signed in"), default=timezone.now, editable=False)
    last_seen_at = models.DateTimeField(_("last seen"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires"))
    revoked_at = models.DateTimeField(_("ended"), null=True)
    previous_jti = models.UUIDField(null=True)
    rotated_at = models.DateTimeField(null=True)
    refresh_jti = models.UUIDField(null=True, help_text=_("the one refresh token that may be used next"))

    objects = scoped_manager(SessionQuerySet)

    class Meta:
        verbose_name = _("sign-in")
        verbose_name_plural = _("sign-ins")
        indexes = [models.Index(fields=["tenant", "membership", "created_at"], name="users_session_member_idx")]

    def __str__(self):
        return f"{self.kind} {self.created_at:%Y-%m-%d}"
