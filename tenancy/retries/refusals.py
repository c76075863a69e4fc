"""What a caller is told whose key can not be taken."""

import re

from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import APIException

from tenancy.doors.refusals import FieldsRefused, problem
from tenancy.doors.retry_keys import HEADER, LONGEST_KEY

KEY = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_KEY}}}")


class KeyInUse(APIException):
    """409: the first request is not answered yet."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = _("A request with this Idempotency-Key is still running. Ask again in a moment.")
    default_code = "still_running"
    retry_after = 1


class KeyReused(APIException):
    """422: the key belongs to a request that said something else."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = _("This Idempotency-Key was used for another request. Send a new key with a new request.")
    default_code = "key_reused"


def check_key(key: str) -> None:
    """Raise FieldsRefused (400) unless the key is 1 to 255 visible ASCII characters."""
    if not KEY.fullmatch(key):
        sentence = _("An Idempotency-Key is 1 to %(count)d visible ASCII characters, without spaces.")
        raise FieldsRefused([problem("header", HEADER, msg=sentence % {"count": LONGEST_KEY}, type="idempotency_key")])
