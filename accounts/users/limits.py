"""How often one may try (decision X24). Counted on Redis; sign-in fails closed without it, reads fail open."""

from django.conf import settings

from accounts.api_keys import shedding as spent_keys
from tenancy.doors.limits import BucketLimit, Limit, RedisThrottle, SlidingLimit, client_address

from . import shedding

SIGN_IN_PERSON = SlidingLimit("sign-in-person", "5/15m", fail="closed")
SIGN_IN_ADDRESS = SlidingLimit("sign-in-address", "50/15m", fail="closed")
SECOND_FACTOR_PERSON = SlidingLimit("second-factor-person", "5/15m", fail="closed")
WRONG_CODES_TOLD = Limit("wrong-codes-told", "3/15m", fail="open")
LOCK_NOTED = Limit("sign-in-lock-noted", "1/15m", fail="open")


class MemberThrottle(RedisThrottle):
    """100 requests a minute a person (M20); a network address where nobody is signed in.

    An API key has a bucket of as many a minute as it is given (600 where nobody
    says otherwise, S14) and reads in each answer what is left. Without Redis
    both go through, with an alarm; API_KEY_RATE_LIMIT=false counts no key.
    """

    limit = Limit("requests", "100/m", fail="open")

    def key_for(self, request):
        return str(request.member.pk) if request.member else client_address(request)

    def allow_request(self, request, view):
        if request.member is not None and request.member.audit_kind == "api_key":
            if not settings.API_KEY_RATE_LIMIT:
                return True
            if hasattr(request._request, "counted_by"):  # by the fast lane, which left the answer to us
                return True
            self.limit = BucketLimit("key", f"{request.member.requests_per_minute}/m", fail="open")
            self.always_told = True
        allowed = super().allow_request(request, view)
        if not allowed and isinstance(self.limit, BucketLimit):
            spent_keys.remember(request.member.key_hash, self.limit, self.usage)
        if not allowed and request.member is None and self.usage:
            shedding.remember(f"{shedding.THROTTLED} {client_address(request)}", self.usage.retry_after)
        return allowed
