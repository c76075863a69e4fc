"""Rate limits: django-ratelimit on Redis, with its two sharp edges taken off (decision X24).

It lets Redis errors through as a 500, and it has no word for "when again".
Here a `Limit` says what happens without Redis, and a `Usage` says how long to
wait. Windows are fixed and shifted per key (django-ratelimit adds a jitter by
CRC), so not everybody is let in again at the same second. A fixed window lets
twice its limit pass around its edge; where that matters, as at the sign-in,
stands a `SlidingLimit`. Who has spent a window waits for its end; where a
program has to get through in seconds, as with API keys, stands a `BucketLimit`.
"""

import hashlib
import threading
import time
import uuid
import weakref
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import structlog
from django.conf import settings
from django.core.cache import caches
from django_ratelimit import core
from prometheus_client import Counter
from redis import Redis
from redis.exceptions import NoScriptError, RedisError
from rest_framework.throttling import BaseThrottle

from .addresses import client_address
from .refusals import LimiterUnavailable

__all__ = [
    "BucketLimit",
    "Limit",
    "LimiterUnavailable",
    "RedisThrottle",
    "SlidingLimit",
    "Usage",
    "client_address",
    "headers_for",
]

log = structlog.get_logger(__name__)
FAILURES = Counter("carewright_limiter_failures_total", "Times a rate limit could not be counted", ["group"])
# After a failure nobody asks Redis again for this long: a hanging one would cost every request its time-out.
PAUSE_SECONDS = 2.0
PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_paused_until: dict[str, float] = {}


@dataclass(frozen=True)
class Usage:
    """What one key has used. `retry_after` is in whole seconds until the window ends, at least 1.

    Of a SlidingLimit also the `ticket` that `give_back` takes, and for how many
    seconds its counts have been kept: few after Redis was started or emptied.
    Of a BucketLimit that refuses the seconds until the `next_drop`, exactly.
    """

    allowed: bool
    limit: int
    remaining: int
    retry_after: int
    counted: bool = True
    ticket: str = ""
    kept_for: int = 0
    next_drop: float = 0.0


@dataclass(frozen=True)
class Limit:
    """So many in such a time, per key: `Limit("login", "5/15m", fail="closed")`.

    `fail="open"` lets requests pass and raises an alarm when Redis is away;
    `"closed"` raises LimiterUnavailable (503). RATE_LIMIT_SCALE multiplies
    every limit, for benchmarks. Keys are hashed before they reach Redis.
    """

    group: str
    rate: str
    fail: Literal["open", "closed"] = "open"

    @property
    def count(self) -> int:
        return max(1, int(int(self.rate.partition("/")[0]) * settings.RATE_LIMIT_SCALE))

    @property
    def seconds(self) -> int:
        period = self.rate.partition("/")[2]
        return int(period[:-1] or 1) * PERIODS[period[-1]]

    def hit(self, key: str) -> Usage:
        """Count one more for this key, atomically, and say whether it was within the limit."""
        return self._use(key, increment=True)

    def peek(self, key: str) -> Usage:
        """What `hit` would say, without counting."""
        return self._use(key, increment=False)

    def reset(self, key: str) -> None:
        """Start this key afresh, for instance after a right password. Without Redis there is nothing to reset."""
        window = core._get_window(key, self.seconds)
        stored = core._make_cache_key(self.group, window, (self.count, self.seconds), key, core.ALL)
        try:
            caches[settings.RATELIMIT_USE_CACHE].delete(stored)
        except (RedisError, OSError) as error:
            self._fail(error)

    def _use(self, key: str, *, increment: bool) -> Usage:
        if time.monotonic() < _paused_until.get(_server(), 0):
            return self._without_redis()
        try:
            usage = core.get_usage(
                None,
                group=self.group,
                key=lambda _group, _request: key,
                rate=(self.count, self.seconds),
                increment=increment,
            )
        except (RedisError, OSError) as error:
            self._fail(error)
            return self._without_redis()
        if usage is None:
            return Usage(True, self.count, self.count, 1, counted=False)
        if usage["time_left"] < 0:
            return self._without_redis()
        used = usage["count"] + (0 if increment else 1)
        # The second that django-ratelimit calls the window's end still belongs to the window.
        return Usage(used <= self.count, self.count, max(0, self.count - used), usage["time_left"] + 1)

    def _fail(self, error: Exception) -> None:
        FAILURES.labels(self.group).inc()
        log.error("rate_limits_unavailable", group=self.group, error=type(error).__name__, answer=self.fail)
        _paused_until[_server()] = time.monotonic() + PAUSE_SECONDS

    def _without_redis(self) -> Usage:
        if self.fail == "closed":
            raise LimiterUnavailable()
        return Usage(True, self.count, self.count, 1, counted=False)


# KEYS: the moments of this key's hits, when counting began on this server.
# ARGV: now and window in seconds, limit, a ticket for the new hit ("" only looks).
_SLIDE = """
local now, window, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('SETNX', KEYS[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local used = redis.call('ZCARD', KEYS[1])
local allowed = used < limit
if allowed and ARGV[4] ~= '' then
    redis.call('ZADD', KEYS[1], now, ARGV[4])
    redis.call('EXPIRE', KEYS[1], window + 1)
    used = used + 1
end
local oldest = tonumber(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] or now)
local kept_for = math.floor(now - tonumber(redis.call('GET', KEYS[2])))
return {allowed and 1 or 0, used, math.ceil(oldest + window - now), kept_for}
"""


class SlidingLimit(Limit):
    """A Limit that holds in every stretch of its time, not only from one full quarter of an hour to the next.

    A hit that is refused counts nothing, so who keeps trying is not kept out
    for longer. A hit that turns out to be harmless can be given back.
    """

    def give_back(self, key: str, usage: Usage) -> None:
        """Take one hit back. Without Redis it stays: the next one is refused anyway."""
        if usage.ticket:
            self._ask(lambda client: client.zrem(self._stored(key), usage.ticket))

    def reset(self, key: str) -> None:
        """Start this key afresh. Without Redis there is nothing to reset."""
        self._ask(lambda client: client.delete(self._stored(key)))

    def _use(self, key: str, *, increment: bool) -> Usage:
        if time.monotonic() < _paused_until.get(_server(), 0):
            return self._without_redis()
        ticket = uuid.uuid4().hex if increment else ""
        keys = [self._stored(key), caches[settings.RATELIMIT_USE_CACHE].make_key("sl:since")]
        arguments = [time.time(), self.seconds, self.count, ticket]
        answer = self._ask(lambda client: _run(client, _SLIDE, keys, arguments))
        if answer is None:
            return self._without_redis()
        allowed, used, wait, kept_for = answer
        usage = Usage(bool(allowed), self.count, max(0, self.count - used), max(1, wait), kept_for=kept_for)
        return replace(usage, ticket=ticket) if allowed else usage

    def _stored(self, key: str) -> str:
        name = hashlib.sha256(f"{self.group}\0{key}".encode()).hexdigest()
        return caches[settings.RATELIMIT_USE_CACHE].make_key(f"sl:{name}")

    def _ask(self, question):
        """What Redis answers to a question about it; None when it is away."""
        try:
            return question(_client())
        except (RedisError, OSError) as error:
            self._fail(error)
            return None


# KEYS: when the bucket of this key will be full again. ARGV: how many it holds, seconds it takes to fill, how many
# drops are taken at most. Answers how many were, how many are left, and in how many seconds it is full or
# has one, where it refuses also in milliseconds.
# The generic cell rate algorithm: one number stands for the bucket, and the clock is that of Redis.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local capacity, seconds = tonumber(ARGV[1]), tonumber(ARGV[2])
local drop = seconds / capacity
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local left = math.floor((now + seconds - full) / drop + 0.000001)
if left < 1 then
    local wait = full + drop - seconds - now
    return {0, 0, math.ceil(wait), math.ceil(wait * 1000)}
end
local taken = math.min(tonumber(ARGV[3]), left)
if taken > 0 then
    full, left = full + drop * taken, left - taken
    redis.call('SET', KEYS[1], string.format('%.6f', full), 'EX', math.ceil(full - now) + 1)
end
return {taken, left, math.ceil(full - now), 0}
"""


class BucketLimit(SlidingLimit):
    """A bucket that holds the whole limit and fills again drop by drop, so a burst waits for seconds at most.

    With 600 a minute a program that has spent everything gets 10 more each
    second; a client that tries again for 25 seconds passes (security.md CL-02).
    What is refused takes nothing. `retry_after` of an allowed hit is in how
    many seconds the bucket is full again.

    Where the bucket is large a process takes a handful at once, a thousandth
    of it, and asks Redis again when that is spent or a second old. Never more
    than the limit passes; what a process does not spend of its handful is lost.
    """

    def give_back(self, key: str, usage: Usage) -> None:
        """A drop is not given back; it comes by itself."""

    def reset(self, key: str) -> None:
        """Fill the bucket of this key. Without Redis there is nothing to fill."""
        with _in_hand_lock:
            _in_hand.pop(self._stored(key), None)
        super().reset(key)

    @property
    def handful(self) -> int:
        """How many a process takes at once."""
        return max(1, min(self.count // 1000, LARGEST_HANDFUL))

    def _use(self, key: str, *, increment: bool) -> Usage:
        if time.monotonic() < _paused_until.get(_server(), 0):
            return self._without_redis()
        stored = self._stored(key)
        if increment and (usage := self._from_hand(stored)):
            return usage
        wanted = self.handful if increment else 0
        answer = self._ask(lambda client: _run(client, _TAKE, [stored], [self.count, self.seconds, wanted]))
        if answer is None:
            return self._without_redis()
        taken, left, wait, next_drop = answer
        spare = max(0, taken - 1)
        if spare:
            with _in_hand_lock:
                if len(_in_hand) > MOST_IN_HAND:
                    _in_hand.clear()
                _in_hand[stored] = _Handful(spare, left, wait, time.monotonic() + HANDFUL_SECONDS)
        allowed = taken > 0 if increment else left > 0
        return Usage(allowed, self.count, left + spare, max(1, wait), next_drop=next_drop / 1000)

    def _from_hand(self, stored: str) -> Usage | None:
        """One of those taken before; None where none are left or they are too old."""
        with _in_hand_lock:
            hand = _in_hand.get(stored)
            if hand is None or hand.good_until < time.monotonic():
                return None
            hand.drops -= 1
            if not hand.drops:
                del _in_hand[stored]
            return Usage(True, self.count, hand.left + hand.drops, max(1, hand.wait))


LARGEST_HANDFUL = 50
HANDFUL_SECONDS = 1.0
MOST_IN_HAND = 10_000


@dataclass
class _Handful:
    """Drops that this process has taken and not spent; what was `left` in the bucket then, and full in `wait` s."""

    drops: int
    left: int
    wait: int
    good_until: float


_in_hand: dict[str, _Handful] = {}
_in_hand_lock = threading.Lock()


def headers_for(request) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers) of what this request was counted by.

    On a refused request, and on each of a program, which paces itself by them.
    """
    if (counted := getattr(request, "counted_by", None)) is None:
        return {}
    limit, usage = counted
    return {
        "RateLimit-Policy": f'"{limit.group}";q={limit.count};w={limit.seconds}',
        "RateLimit": f'"{limit.group}";r={usage.remaining};t={usage.retry_after}',
    }


_clients: weakref.WeakKeyDictionary[Any, Redis] = weakref.WeakKeyDictionary()


def _client() -> Redis:
    """This thread's client of the cache's server. Django makes one for each question, for a third of its cost."""
    server = caches[settings.RATELIMIT_USE_CACHE]._cache
    if server not in _clients:
        _clients[server] = server.get_client(write=True)
    return _clients[server]


def _run(client: Redis, script: str, keys: list[str], arguments: list) -> Any:
    """What a script answers; it is sent whole where this server has not seen it yet."""
    try:
        return client.evalsha(_digest(script), len(keys), *keys, *arguments)
    except NoScriptError:
        return client.eval(script, len(keys), *keys, *arguments)


@lru_cache
def _digest(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


def _server() -> str:
    return str(settings.CACHES[settings.RATELIMIT_USE_CACHE].get("LOCATION"))


class RedisThrottle(BaseThrottle):
    """A DRF throttle on a Limit. Subclasses set `limit` and say whose request it is; None means uncounted."""

    limit: Limit
    usage: Usage | None = None
    always_told = False

    def key_for(self, request) -> str | None:
        raise NotImplementedError

    def allow_request(self, request, view):
        key = self.key_for(request)
        if key is None:
            return True
        self.usage = self.limit.hit(key)
        if not self.usage.allowed or (self.always_told and self.usage.counted):
            request._request.counted_by = self.limit, self.usage  # for `headers_for`
        return self.usage.allowed

    def wait(self):
        return self.usage.retry_after if self.usage else None
