"""ETags: which version somebody has read, so that a later save does not overwrite what they never saw.

An ETag here is the version of the record, not of the bytes, so a proxy that
compresses and weakens it (`W/"3"`) changes nothing: weak and strong compare
alike. (RFC 9110 13.1.1 asks for strong comparison; FHIR sends weak ones.)
"""

import hashlib
import re
from typing import Any

import orjson
from django.http import HttpResponseNotModified
from django.utils.translation import gettext as _

from tenancy.rules import StaleVersion

from .refusals import FieldsRefused, PreconditionRequired, problem

ENTRY = r'(?:W/)?"[\x21\x23-\x7e]{0,200}"'
HEADER = re.compile(rf"\s*{ENTRY}(?:\s*,\s*{ENTRY})*\s*")


def etag_for(version_or_row: Any) -> str:
    """`"3"` for the number 3 or for a row whose `version` is 3."""
    return f'"{getattr(version_or_row, "version", version_or_row)}"'


def digest_of(sent: Any) -> str:
    """A version for what has no `version` of its own: 16 hexadecimal digits of the digest of what is sent about it."""
    said = orjson.dumps(sent, default=str, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(said).hexdigest()[:16]


def check_if_match(request, current: Any, *, required: bool = False) -> None:
    """Raise StaleVersion (412) when `If-Match` names only other versions than the current one.

    `current` is a version or a row, loaded under the lock of the same
    transaction. Without the header nothing is checked, unless `required`:
    then PreconditionRequired (428). `*` fits any version.
    """
    header = request.headers.get("If-Match")
    if header is None:
        if required:
            raise PreconditionRequired()
        return
    if not _names(header, current, "If-Match"):
        raise StaleVersion(_("Somebody else has changed this in the meantime. Load it again, then repeat your change."))


def not_modified(request, current: Any) -> HttpResponseNotModified | None:
    """A 304 to return when `If-None-Match` names the current version, else None."""
    header = request.headers.get("If-None-Match")
    if header is None or not _names(header, current, "If-None-Match"):
        return None
    return HttpResponseNotModified(headers={"ETag": etag_for(current)})


def _names(header: str, current: Any, name: str) -> bool:
    if header.strip() == "*":
        return True
    if len(header) > 2_000 or not HEADER.fullmatch(header):
        raise FieldsRefused([problem("header", name, msg=_('Send an ETag in quotes, such as "3".'), type="etag")])
    return etag_for(current) in {entry.removeprefix("W/") for entry in re.findall(ENTRY, header)}
