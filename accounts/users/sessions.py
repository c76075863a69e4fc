"""Signing in, staying in, signing out. A session is one row, checked at every request (decision X3)."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.notifications.services import notify
from tenancy.audit import services as audit
from tenancy.tenants.context import get_current_tenant_id, tenant_context
from tenancy.tenants.models import Tenant

from . import limits, notices, platform, selectors
from .devices import describe_device
from .models import Membership, Session, User
from .tokens import SessionOver, TokenRefused, read_token, refresh_seconds

log = structlog.get_logger(__name__)
TOUCH_EVERY = timedelta(seconds=30)
SAME_SUCCESSOR_FOR = timedelta(seconds=10)
MOST_CLINICS_TOLD = 10
SIGN_INS_PAGE = "/account/sign-ins/"


class SignInRefused(Exception):
    """Nobody gets in. `status` is the API's answer, `code` names the case, `retry_after` is in seconds."""

    def __init__(self, sentence: str, *, status: int, code: str, retry_after: int | None = None):
        super().__init__(sentence)
        self.sentence, self.status, self.code, self.retry_after = sentence, status, code, retry_after


@dataclass(frozen=True)
class Device:
    """Where a sign-in comes from: what the browser calls itself, and the network address."""

    name: str = ""
    address: str = ""


def factor_used(user: User) -> str:
    """How the person proved themselves beside the password in this sign-in: a Session.Factor."""
    return getattr(getattr(user, "otp_device", None), "factor", "")


def open_session(
    user: User,
    tenant: Tenant,
    *,
    kind: str,
    device: Device,
    second_factor: str = "",
    until: datetime | None = None,
    visiting: bool = False,
) -> Session:
    """Let a person into a clinic: a session row and an audit line. Runs inside the clinic's `tenant_context`.

    A browser's session ends after the clinic's `session_hours`, a program's
    with its refresh token (decision X2), both no later than `until` and than the
    membership. `second_factor` is one of Session.Factor. A platform administrator
    comes in by `platform.begin_visit` only, which is `visiting`.

    Raises SignInRefused (the same sentence as for a wrong password) when they
    are no active member there: whether a clinic knows somebody is nobody's business.
    """
    member = selectors.get_member(user)
    if member is None or member.is_platform != visiting:
        raise SignInRefused(_("Invalid email or password"), status=401, code="invalid_credentials")
    lifetime = refresh_seconds() if kind == Session.Kind.TOKEN else tenant.session_hours * 3600
    ends = [timezone.now() + timedelta(seconds=lifetime), until, member.ends_at]
    if visiting:  # one clinic at a time: whatever this person had open anywhere is over
        User.objects.filter(pk=user.pk).update(signed_out_before=timezone.now())
    is_new_device = _is_new_device(member, device)
    session = Session.objects.create(
        membership=member,
        kind=kind,
        second_factor=second_factor,
        device=device.name[:300],
        address=device.address[:64],
        expires_at=min(end for end in ends if end),
        refresh_jti=uuid.uuid4() if kind == Session.Kind.TOKEN else None,
    )
    audit.record(
        "signed_in", session, by=member, details={"kind": kind, "clinic": tenant.slug, "second_factor": second_factor}
    )
    if is_new_device:
        params = {"device": describe_device(device.name), "address": device.address[:64]}
        notify(notices.NEW_DEVICE, [member], params=params, url=SIGN_INS_PAGE, about=session)
    if second_factor == Session.Factor.RECOVERY and until is None:
        notify(notices.RECOVERY_CODE_USED, [member], url="/account/security/")
    return session


def _is_new_device(member: Membership, device: Device) -> bool:
    """Whether this member has signed in here before, but never from what calls itself like this."""
    before = Session.objects.filter(membership=member)
    return before.exists() and not before.filter(device=device.name[:300]).exists()


def record_failed_sign_in(
    identifier: str, *, refused: SignInRefused, device: Device, tenant: Tenant | None = None
) -> None:
    """Note a refused sign-in in the trail of the clinic, or where none was named of those the person works in.

    What was typed stays out: it may be a password. A lock is noted once in its
    time for a network address, so that nobody can fill a clinic's chain.
    """
    if refused.status == 503:
        return  # nobody was refused for what they are
    if refused.status == 429 and not limits.LOCK_NOTED.hit(device.address).allowed:
        return
    known = selectors.find_user(identifier)
    clinics = [tenant] if tenant else list(selectors.list_workplaces(known)[:MOST_CLINICS_TOLD]) if known else []
    for clinic in clinics:
        with tenant_context(clinic.id):
            member = selectors.get_member(known) if known else None
            audit.record("sign_in_refused", member, by=member, reason_code=refused.code)
            if member and refused.code == "invalid_totp" and clinic == clinics[0]:
                _warn_of_wrong_codes(member)
    if not clinics:
        log.warning("sign_in_refused", code=refused.code)


def _warn_of_wrong_codes(member: Membership) -> None:
    """At the third wrong code within 15 minutes: whoever it is knows the password."""
    usage = limits.WRONG_CODES_TOLD.hit(str(member.user_id))
    if usage.counted and usage.allowed and usage.remaining == 0:
        notify(notices.WRONG_CODES, [member], params={"count": str(usage.limit)})


def replace_page_session(tenant_id: str, session_id: str, *, reason_code: str = "signed_in_again") -> None:
    """End what a browser had open before it signs in again; a copied cookie must not live on in the new session."""
    with tenant_context(tenant_id):
        if before := selectors.get_page_session(session_id):
            revoke_session(before, reason_code=reason_code)


def refresh_session(refresh_token: str) -> Session | None:
    """Spend a refresh token: the session gets a new one (`refresh_jti`), the old one is dead.

    Runs inside the clinic's context that the caller entered by `tenant_of_refresh`.
    The token just spent may come once more within ten seconds (two tabs) and
    gets the same successor. None means another spent token was used: its whole
    session is revoked and its owner is told (decision X3), which has to be
    committed, so it is no exception. Raises SessionOver where the token's session has ended.
    """
    claims = read_token(refresh_token, kind="refresh")
    session = Session.objects.select_for_update(of=("self",)).filter(pk=claims.session_id).first()
    live = selectors.get_live_session(claims.session_id) if session else None
    if live is None:
        raise SessionOver
    if live.membership.user_id != claims.user_id:
        raise TokenRefused
    now = timezone.now()
    if claims.jti == live.previous_jti and live.rotated_at and now - live.rotated_at <= SAME_SUCCESSOR_FOR:
        return live
    if live.refresh_jti != claims.jti:
        revoke_session(live, reason_code="refresh_token_reused")
        params = {"device": describe_device(live.device)}
        notify(notices.REFRESH_TOKEN_REUSED, [live.membership], params=params, url=SIGN_INS_PAGE, about=live)
        return None
    live.previous_jti, live.refresh_jti = live.refresh_jti, uuid.uuid4()
    live.last_seen_at = live.rotated_at = now
    live.save(update_fields=["previous_jti", "refresh_jti", "rotated_at", "last_seen_at"])
    return live


def tenant_of_refresh(refresh_token: str) -> Tenant:
    """The open clinic a refresh token belongs to. Raises TokenRefused."""
    claims = read_token(refresh_token, kind="refresh")
    tenant = Tenant.objects.filter(pk=claims.tenant_id, is_active=True).first()
    if tenant is None or get_current_tenant_id() not in {None, tenant.id}:
        raise TokenRefused
    return tenant


@transaction.atomic
def revoke_session(session: Session, *, by: Membership | None = None, reason_code: str = "signed_out") -> None:
    """End a session; it holds from the next request on. Ending it twice is no error."""
    ended = Session.objects.filter(pk=session.pk, revoked_at__isnull=True).update(revoked_at=timezone.now())
    if ended:
        audit.record("signed_out", session, by=by or session.membership, reason_code=reason_code)
        if session.membership.is_platform:
            platform.end_visit(session.membership)


@transaction.atomic
def end_other_sessions(session: Session, *, by: Membership) -> int:
    """End a member's other sessions in this clinic, browsers and programs; how many there were."""
    live = Session.objects.live(timezone.now()).filter(membership=session.membership).exclude(pk=session.pk)
    others = list(live.select_related("membership__user"))
    for other in others:
        revoke_session(other, by=by, reason_code="ended_by_owner")
    return len(others)


@transaction.atomic
def sign_out_everywhere(
    user: User, *, keep: Session | None = None, by: Membership | None = None, reason_code: str
) -> None:
    """End every session of a person, in every clinic and from their next request on, but for `keep`.

    Runs inside a clinic's context, whose trail notes it.
    """
    now = timezone.now()
    user.signed_out_before = now
    User.objects.filter(pk=user.pk).update(signed_out_before=now)
    if keep is not None:
        keep.valid_from = now
        Session.objects.filter(pk=keep.pk).update(valid_from=now)
    audit.record("signed_out_everywhere", by, by=by, reason_code=reason_code, details={"user": str(user.pk)})


@transaction.atomic
def confirm_second_factor(session: Session, factor: str) -> None:
    """Note on a session that its person has just proved a second factor; `factor` is a Session.Factor."""
    session.second_factor = factor
    Session.objects.filter(pk=session.pk).update(second_factor=factor)


def touch_session(session: Session, *, at_once: bool = False) -> None:
    """Remember when a session was last seen, at most twice a minute unless `at_once`.

    The page is told what is left by this very moment, so its warning is never late.
    """
    now = timezone.now()
    if at_once or now - session.last_seen_at > TOUCH_EVERY:
        Session.objects.filter(pk=session.pk).update(last_seen_at=now)
        session.last_seen_at = now


def times_left(session: Session) -> dict[str, int]:
    """Seconds until a browser's session falls asleep (`idle`) and until it is over (`absolute`); `opened` names it.

    `opened` is the second it was opened in: tabs tell one sign-in from the next by it, without knowing whose it is.
    """
    now = timezone.now()
    idle = session.last_seen_at + timedelta(minutes=session.tenant.idle_minutes) - now
    return {
        "idle": max(0, int(idle.total_seconds())),
        "absolute": max(0, int((session.expires_at - now).total_seconds())),
        "opened": int(session.created_at.timestamp()),
    }


def remember_language(user: User, language: str) -> None:
    """Keep the language a person chose with the person; `language` is one of settings.LANGUAGES."""
    User.objects.filter(pk=user.pk).update(language=language)
