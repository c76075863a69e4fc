"""Words and rows for the pages about people, roles and groups."""

from datetime import date, time, timedelta
from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from accounts.permission_words import sections, words_for
from accounts.users.devices import describe_device
from accounts.users.models import Grant, Membership, Role

from . import selectors

ACTIONS = {
    "member_added": gettext_lazy("Joined the clinic"),
    "member_updated": gettext_lazy("Changed"),
    "member_deactivated": gettext_lazy("Deactivated"),
    "member_reactivated": gettext_lazy("Let in again"),
    "roles_assigned": gettext_lazy("Roles changed"),
    "permission_granted": gettext_lazy("Permission given"),
    "permission_denied": gettext_lazy("Permission withheld"),
    "grant_ended": gettext_lazy("Single permission ended"),
    "second_factor_reset": gettext_lazy("Second factor taken away"),
    "second_factor_added": gettext_lazy("Second factor set up"),
    "second_factor_removed": gettext_lazy("Second factor switched off"),
    "recovery_codes_renewed": gettext_lazy("New recovery codes"),
    "password_changed": gettext_lazy("Password changed"),
    "password_reset": gettext_lazy("Password set anew"),
    "email_changed": gettext_lazy("E-mail address changed"),
    "signed_out_everywhere": gettext_lazy("Signed out everywhere"),
    "sign_in_refused": gettext_lazy("Sign-in refused"),
    "group_created": gettext_lazy("Made"),
    "group_updated": gettext_lazy("Changed"),
    "group_deactivated": gettext_lazy("Ended"),
    "group_member_added": gettext_lazy("Somebody joined"),
    "group_member_removed": gettext_lazy("Somebody left"),
    "role_created": gettext_lazy("Made"),
    "role_updated": gettext_lazy("Changed"),
}
FIELDS = {
    "name": gettext_lazy("Name"),
    "phone": gettext_lazy("Phone"),
    "language": gettext_lazy("Language"),
    "specialization": gettext_lazy("Specialization"),
    "department": gettext_lazy("Department"),
    "specialties": gettext_lazy("Specialties"),
    "roles": gettext_lazy("Roles"),
    "is_active": gettext_lazy("Active"),
    "permissions": gettext_lazy("Permissions"),
    "description": gettext_lazy("What it is for"),
    "type": gettext_lazy("Type"),
    "email": gettext_lazy("E-mail"),
}


# --- People ----------------------------------------------------------------------------------------------------------


def role_words(member: Membership) -> str:
    """The roles of a member, the primary one first."""
    return ", ".join(str(role.label) for role in member.roles)


def people_rows(members: list[Membership]) -> list[dict[str, Any]]:
    """Rows of the list of people."""
    selectors.hold_roles(members)
    seen = selectors.last_seen(members)
    return [
        {
            "url": reverse("team:person", args=[member.pk]),
            "name": member.display_name,
            "email": member.user.email,
            "roles": role_words(member),
            "department": member.department,
            "seen_at": seen.get(member.pk),
            "has_second_factor": member.user.has_second_factor,
            "is_active": member.is_active and member.user.is_active,
            "is_platform": member.is_platform,
        }
        for member in members
    ]


def person_facts(member: Membership) -> list[dict[str, Any]]:
    """What is known of somebody, for components/facts.html."""
    user = member.user
    facts = [{"label": _("E-mail"), "value": user.email, "note": "" if user.email_confirmed_at else _("not confirmed")}]
    if user.username != user.email:
        facts.append({"label": _("User name"), "value": user.username})
    facts.append({"label": _("Phone"), "value": user.phone})
    if member.is_staff or member.department or member.specialization:
        facts.append({"label": _("Department"), "value": member.department})
        facts.append({"label": _("Specialization"), "value": member.specialization})
    if member.specialties:
        facts.append({"label": _("Specialties"), "value": ", ".join(member.specialties)})
    return facts


def session_rows(member: Membership) -> list[dict[str, Any]]:
    """Where somebody is signed in now."""
    return [
        {"session": session, "device": describe_device(session.device)}
        for session in selectors.list_live_sessions(member)
    ]


# --- Rights ----------------------------------------------------------------------------------------------------------


def permission_sections(codes) -> list[dict[str, Any]]:
    """Permissions in words under their headings; headings with none are left out."""
    held = {str(code) for code in codes}
    found = [
        {"title": title, "words": [words_for(code) for code in permissions if code in held]}
        for title, permissions in sections()
    ]
    return [section for section in found if section["words"]]


def grant_rows(grants, now) -> list[dict[str, Any]]:
    """Grants and denials with their state in words."""
    return [
        {
            "grant": grant,
            "words": words_for(grant.permission),
            "effect": _("Withheld") if grant.is_denial else _("Given"),
            "tone": "warn" if grant.is_denial else "ok",
            "is_open": grant.ended_at is None and not (grant.valid_until and grant.valid_until <= now),
            "state": _grant_state(grant, now),
            "last_day": _last_day(grant),
        }
        for grant in grants
    ]


def _last_day(grant: Grant) -> date | None:
    """The day whose end is the grant's, as the form asks for it; None when it ends at another hour, or never."""
    if grant.valid_until is None:
        return None
    end = timezone.localtime(grant.valid_until)
    return end.date() - timedelta(days=1) if end.time() == time.min else None


def _grant_state(grant: Grant, now) -> str:
    if grant.ended_at:
        return _("Ended by %(name)s") % {"name": grant.ended_by.display_name} if grant.ended_by else _("Ended")
    if grant.valid_until and grant.valid_until <= now:
        return _("Over")
    return _("Not yet") if grant.valid_from > now else _("In force")


def checkbox_sections(ticked) -> list[dict[str, Any]]:
    """All permissions under their headings, for the form of a role."""
    return [
        {
            "title": title,
            "boxes": [{"code": str(code), "words": words_for(code), "on": str(code) in ticked} for code in codes],
        }
        for title, codes in sections()
    ]


def matrix(roles: list[Role]) -> list[dict[str, Any]]:
    """Headings, and under each a row a permission with one cell a role."""
    held = [set(role.permissions) for role in roles]
    return [
        {
            "title": title,
            "rows": [{"words": words_for(code), "cells": [code in codes for codes in held]} for code in permissions],
        }
        for title, permissions in sections()
    ]


# --- History ---------------------------------------------------------------------------------------------------------


def history(entries: list[dict[str, Any]], labels: dict[str, str]) -> list[dict[str, Any]]:
    """Lines of the audit trail as components/history.html takes them; `labels` are the roles by code."""
    return [
        {
            "at": entry["timestamp"],
            "who": _("System") if entry["user"]["kind"] == "system" else entry["user"]["name"],
            "what": _what(entry),
            "changes": _changes(entry["changes"], labels),
            "is_new": entry["action"] in {"group_created", "role_created"},
        }
        for entry in entries
    ]


def _changes(changes: dict[str, Any], labels: dict[str, str]) -> list[dict[str, Any]]:
    said = [
        {
            "label": FIELDS.get(field, field),
            "before": _value(field, before, labels),
            "after": _value(field, after, labels),
        }
        for field, (before, after) in changes.items()
    ]
    return [change for change in said if change["before"] != change["after"]]


def _what(entry: dict[str, Any]) -> str:
    words = str(ACTIONS.get(entry["action"], entry["action"].replace("_", " ").capitalize()))
    details = entry["details"]
    codes = details.get("permissions") or ([details["permission"]] if "permission" in details else [])
    said = " ".join([words, *(f"“{words_for(code)}”" for code in codes)])
    said = f"{said}: {details['name']}" if details.get("name") else said
    return f"{said} ({entry['reason']})" if entry["reason"] else said


def _value(field: str, value: Any, labels: dict[str, str]) -> str:
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if field == "permissions":
        return ", ".join(words_for(code) for code in value)
    if isinstance(value, list):
        return ", ".join(str(labels.get(word, word)) for word in value)
    return str(value or "")


# --- Small things ----------------------------------------------------------------------------------------------------


def address_of(url_name: str, *args: Any) -> str:
    """A page of another room, or "" where that room is not installed."""
    try:
        return reverse(url_name, args=args)
    except NoReverseMatch:
        return ""


def day(moment, zone) -> str:
    """A day of the clinic in words; "" for none."""
    if moment is None:
        return ""
    return date_format(moment.astimezone(zone).date(), pgettext("how a date is written", "j M Y"))
