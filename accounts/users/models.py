"""Person, membership, role, session."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.permissions import DEFAULT_ROLES, PATIENT_PORTAL, PLATFORM_PERMISSIONS, ROLE_PURPOSES, Permission
from tenancy.tenants.models import (
    Tenant,
    TenantForeignKey,
    TenantModel,
    TenantQuerySet,
    new_id,
    scoped_manager,
)

SECOND_FACTOR_GRACE = timedelta(days=7)


@dataclass(frozen=True)
class Rights:
    """Permission codes beside those of the roles: from groups, granted and denied to one member."""

    from_groups: frozenset[str] = frozenset()
    granted: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()


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
    email_confirmed_at = models.DateTimeField(null=True, editable=False)
    pending_email = models.EmailField(max_length=254, blank=True, editable=False)
    name = models.CharField(_("name"), max_length=200)
    phone = models.CharField(_("phone"), max_length=30, blank=True)
    language = models.CharField(_("language"), max_length=8, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    is_platform_admin = models.BooleanField(_("platform administrator"), default=False)
    has_second_factor = models.BooleanField(_("has a second factor"), default=False, editable=False)
    second_factor_reset_at = models.DateTimeField(null=True, editable=False)
    signed_out_before = models.DateTimeField(
        null=True, editable=False, help_text=_("sessions opened before this moment are over, in every clinic")
    )
    link_version = models.PositiveIntegerField(
        default=0, editable=False, help_text=_("raised to make every link sent by mail worthless")
    )
    failed_sign_ins = models.PositiveIntegerField(default=0, editable=False, help_text=_("in a row"))
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = UserManager()

    otp_device: Any  # which second factor was used just now; set by proof.py, read by the sign-in page

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

    number = models.PositiveIntegerField(null=True, editable=False)
    code = models.SlugField(_("code"), max_length=40, db_index=False)
    name = models.CharField(_("name"), max_length=100)
    description = models.CharField(_("description"), max_length=300, blank=True)
    permissions = models.JSONField(_("permissions"), default=list)
    is_built_in = models.BooleanField(_("built in"), default=False)
    version = models.IntegerField(default=1, editable=False)

    class Meta:
        verbose_name = _("role")
        verbose_name_plural = _("roles")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "code"], name="users_role_code_uniq"),
            models.UniqueConstraint(fields=["tenant", "number"], name="users_role_number_uniq"),
        ]

    def __str__(self):
        return self.name

    @property
    def label(self):
        """The name in the reader's language where the clinic has not given it one of its own."""
        built_in = DEFAULT_ROLES.get(self.code)
        return built_in[0] if built_in and self.is_built_in else self.name

    @property
    def purpose(self):
        """What it is for, in the reader's language where it comes with the release; "" where nobody has said it."""
        return ROLE_PURPOSES.get(self.code, "") if self.is_built_in else self.description


def _in_precedence(roles: Iterable[Role]) -> list[Role]:
    order = list(DEFAULT_ROLES)
    return sorted(roles, key=lambda role: (order.index(role.code) if role.code in order else len(order), role.code))


class MembershipQuerySet(TenantQuerySet):
    def active(self):
        still = models.Q(ends_at__isnull=True) | models.Q(ends_at__gt=timezone.now())
        return self.filter(still, is_active=True, user__is_active=True)

    def seen_by(self, member: "Membership"):
        """All of the clinic; for the platform those who work here: that somebody is a patient is care."""
        if not member.is_platform:
            return self
        works = HeldRole.objects.exclude(role__code="patient").filter(membership=models.OuterRef("pk"))
        return self.filter(models.Exists(works))


class Membership(TenantModel):
    """A person inside one clinic. Services call it `by`: who, where, and what they may."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")
    audit_kind = "member"

    user = models.ForeignKey(User, models.PROTECT, related_name="memberships", db_index=False, verbose_name=_("person"))
    specialization = models.CharField(_("specialization"), max_length=120, blank=True)
    department = models.CharField(_("department"), max_length=120, blank=True)
    specialties = models.JSONField(_("specialties"), default=list, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    is_platform = models.BooleanField(_("works here for the platform"), default=False, editable=False)
    ends_at = models.DateTimeField(_("until"), null=True, blank=True)
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

    @property
    def member(self) -> "Membership":
        """Itself: what columns like `created_by` name. A `by` that is a key has none."""
        return self

    @cached_property
    def roles(self) -> list[Role]:
        """Roles of this member, the primary one first."""
        return _in_precedence(held.role for held in self.held_roles.select_related("role"))

    @cached_property
    def rights(self) -> Rights:
        """What groups and single grants say about this member now, beside the roles."""
        now = timezone.now()
        groups = Group.objects.filter(is_active=True, members__membership=self, members__ended_at__isnull=True)
        grants = list(self.grants.in_force(now).values_list("permission", "is_denial"))
        return Rights(
            from_groups=frozenset(code for codes in groups.values_list("permissions", flat=True) for code in codes),
            granted=frozenset(code for code, is_denial in grants if not is_denial),
            denied=frozenset(code for code, is_denial in grants if is_denial),
        )

    def hold(self, roles: Iterable[Role], rights: Rights) -> None:
        """Take roles and rights that were read together with the member, instead of asking for them."""
        self.hold_roles(roles)
        self.__dict__["rights"] = rights

    def hold_roles(self, roles: Iterable[Role]) -> None:
        """Take roles that were read for many members at once."""
        self.__dict__["roles"] = _in_precedence(roles)

    @cached_property
    def permissions(self) -> frozenset[str]:
        """A denial beats a grant beats role and group (quality.md 6.15)."""
        from_roles = {code for role in self.roles for code in role.permissions}
        held = frozenset((from_roles | self.rights.from_groups | self.rights.granted) - self.rights.denied)
        # Whatever group or grant somebody puts them in: the platform never sees a patient.
        return held & PLATFORM_PERMISSIONS if self.is_platform else held

    @property
    def is_staff(self) -> bool:
        """Works here, and is not only treated here."""
        return bool(self.permissions - PATIENT_PORTAL)

    def may(self, permission: Permission | str) -> bool:
        """Whether this member has the permission now."""
        return str(permission) in self.permissions

    @property
    def second_factor_due(self) -> datetime | None:
        """When this member has to have a second factor; None where none is asked for, or one is there.

        Seven days after joining, or after the clinic began to ask for it; at
        once when an administrator has taken a lost one away. For the platform
        always at once, but in the demo.
        """
        if self.is_platform:
            return None if self.user.has_second_factor or settings.DEMO else self.created_at
        if self.user.has_second_factor or not self.tenant.two_factor_required or not self.is_staff:
            return None
        if self.user.second_factor_reset_at:
            return self.user.second_factor_reset_at
        return max(self.created_at, self.tenant.two_factor_since) + SECOND_FACTOR_GRACE


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


class GrantQuerySet(TenantQuerySet):
    def in_force(self, now):
        """Begun, not over and not taken back."""
        still = models.Q(valid_until__isnull=True) | models.Q(valid_until__gt=now)
        return self.filter(still, valid_from__lte=now, ended_at__isnull=True)


class Grant(TenantModel):
    """One permission given to, or kept from, one member for a time, with the reason (quality.md 6.15)."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    membership = TenantForeignKey(Membership, related_name="grants")
    permission = models.CharField(_("permission"), max_length=60)
    is_denial = models.BooleanField(_("denied"), default=False)
    reason = models.CharField(_("reason"), max_length=300)
    valid_from = models.DateTimeField(_("from"), default=timezone.now)
    valid_until = models.DateTimeField(_("until"), null=True, blank=True)
    granted_by = TenantForeignKey(Membership, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)
    ended_by = TenantForeignKey(Membership, null=True, related_name="+", editable=False)

    objects = scoped_manager(GrantQuerySet)

    class Meta:
        verbose_name = _("single permission")
        verbose_name_plural = _("single permissions")
        indexes = [models.Index(fields=["tenant", "membership"], name="users_grant_member_idx")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(valid_until__isnull=True) | models.Q(valid_until__gt=models.F("valid_from")),
                name="users_grant_dates_chk",
            )
        ]

    def __str__(self):
        return f"{self.permission} {'denied' if self.is_denial else 'granted'}"


class Group(TenantModel):
    """Members who are addressed together: trained, asked to approve, told. May bring permissions of its own."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    number = models.PositiveIntegerField(editable=False)
    name = models.CharField(_("name"), max_length=120)
    name_key = models.CharField(max_length=240, editable=False)
    description = models.CharField(_("description"), max_length=500, blank=True)
    kind = models.CharField(_("type"), max_length=60, blank=True)
    permissions = models.JSONField(_("permissions"), default=list, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    version = models.IntegerField(default=1, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("group")
        verbose_name_plural = _("groups")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "number"], name="users_group_number_uniq"),
            models.UniqueConstraint(
                fields=["tenant", "name_key"], name="users_group_name_uniq", condition=models.Q(is_active=True)
            ),
        ]

    def __str__(self):
        return self.name


class GroupMember(TenantModel):
    """Somebody in a group, from when to when; leaving ends the row, joining again makes another."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    group = TenantForeignKey(Group, related_name="members")
    membership = TenantForeignKey(Membership, related_name="group_memberships")
    joined_at = models.DateTimeField(_("since"), default=timezone.now)
    ended_at = models.DateTimeField(_("until"), null=True)
    added_by = TenantForeignKey(Membership, null=True, related_name="+")
    ended_by = TenantForeignKey(Membership, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "group", "membership"],
                name="users_groupmember_live_uniq",
                condition=models.Q(ended_at__isnull=True),
            ),
        ]
        indexes = [models.Index(fields=["tenant", "membership"], name="users_groupmember_member_idx")]

    def __str__(self):
        return f"{self.membership_id} in {self.group_id}"


class SessionQuerySet(TenantQuerySet):
    def live(self, now):
        """Neither ended nor too old, and for a browser not idle for longer than the clinic allows."""
        awake = models.Q(last_seen_at__gt=now - models.F("tenant__idle_minutes") * timedelta(minutes=1))
        everywhere = models.F("membership__user__signed_out_before")
        stays = models.Q(membership__user__signed_out_before__isnull=True) | models.Q(valid_from__gte=everywhere)
        # Begun with the password alone, while a second factor was being set up elsewhere: proves too little now.
        proved = models.Q(membership__user__has_second_factor=False) | ~models.Q(second_factor="")
        return self.filter(
            ~models.Q(kind=Session.Kind.PAGE) | awake, stays, proved, revoked_at__isnull=True, expires_at__gt=now
        )


class Session(TenantModel):
    """One sign-in on one device, by page or by token. Checked at every request, so revoking holds at once."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class Kind(models.TextChoices):
        PAGE = "page", _("Browser")
        TOKEN = "token", _("Application")

    class Factor(models.TextChoices):
        """What proved the person beside the password."""

        NONE = "", _("Password only")
        TOTP = "totp", _("Authenticator code")
        RECOVERY = "recovery", _("Recovery code")
        PASSKEY = "passkey", _("Passkey")

    membership = TenantForeignKey(Membership, related_name="sessions", verbose_name=_("member"))
    second_factor = models.CharField(_("second factor"), max_length=10, blank=True, choices=Factor.choices)
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    device = models.CharField(_("device"), max_length=300, blank=True)
    address = models.CharField(_("network address"), max_length=64, blank=True)
    created_at = models.DateTimeField(_("signed in"), default=timezone.now, editable=False)
    valid_from = models.DateTimeField(default=timezone.now, editable=False)
    last_seen_at = models.DateTimeField(_("last seen"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires"))
    revoked_at = models.DateTimeField(_("ended"), null=True)
    previous_jti = models.UUIDField(null=True)
    rotated_at = models.DateTimeField(null=True)
    refresh_jti = models.UUIDField(null=True, help_text=_("the one refresh token that may be used next"))

    other_clinics: list[Any]  # filled in by recognition: where else the same person works

    objects = scoped_manager(SessionQuerySet)

    class Meta:
        verbose_name = _("sign-in")
        verbose_name_plural = _("sign-ins")
        indexes = [models.Index(fields=["tenant", "membership", "created_at"], name="users_session_member_idx")]

    def __str__(self):
        return f"{self.kind} {self.created_at:%Y-%m-%d}"
