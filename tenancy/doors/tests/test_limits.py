import threading
import time
import uuid

import pytest
import structlog
from django.conf import settings as django_settings
from django.core.cache import caches
from django.test import RequestFactory
from rest_framework.request import Request

from tenancy.doors import limits
from tenancy.doors.limits import BucketLimit, Limit, LimiterUnavailable, RedisThrottle, SlidingLimit, headers_for


@pytest.fixture(autouse=True)
def ordinary_scale(settings):
    settings.RATE_LIMIT_SCALE = 1


@pytest.fixture
def key():
    return uuid.uuid4().hex


@pytest.fixture
def without_redis(settings):
    """A Redis that refuses connections; the real one is back afterwards, for other tests too."""
    dead = {**django_settings.CACHES["default"], "LOCATION": f"redis://127.0.0.1:1/{uuid.uuid4().int % 15}"}
    settings.CACHES = {"default": dead}
    limits._paused_until.clear()
    yield
    limits._paused_until.clear()


FIVE = Limit("test-five", "5/15m")
SHUT = Limit("test-shut", "5/15m", fail="closed")


def test_hit_lets_exactly_the_limit_pass(key):
    assert [FIVE.hit(key).allowed for _ in range(7)] == [True] * 5 + [False] * 2


def test_hit_says_what_is_left_and_when_the_window_ends(key):
    first = FIVE.hit(key)

    assert (first.limit, first.remaining) == (5, 4)
    assert 1 <= first.retry_after <= 900


def test_retry_after_is_exact_to_the_second(key, time_machine):
    limit = Limit("test-exact", "1/1m")
    now = int(time.time()) + 1_000
    time_machine.move_to(now, tick=False)
    limit.hit(key)
    wait = limit.hit(key).retry_after

    time_machine.move_to(now + wait - 1, tick=False)
    last_second = limit.peek(key)
    time_machine.move_to(now + wait, tick=False)

    assert (last_second.allowed, last_second.retry_after) == (False, 1)
    assert limit.peek(key).allowed


def test_keys_and_groups_count_apart(key):
    for _ in range(6):
        FIVE.hit(key)

    assert FIVE.hit(key + "x").allowed
    assert Limit("test-other", "5/15m").hit(key).allowed


def test_peek_counts_nothing(key):
    for _ in range(9):
        assert FIVE.peek(key).allowed
    for _ in range(5):
        FIVE.hit(key)

    assert not FIVE.peek(key).allowed


def test_reset_starts_afresh(key):
    for _ in range(6):
        FIVE.hit(key)

    FIVE.reset(key)

    assert FIVE.hit(key).remaining == 4


def test_scale_multiplies_every_limit(key, settings):
    settings.RATE_LIMIT_SCALE = 2
    assert [FIVE.hit(key).allowed for _ in range(11)] == [True] * 10 + [False]

    settings.RATE_LIMIT_SCALE = 0.01
    assert FIVE.count == 1


def test_hit_is_exact_under_parallel_calls(key):
    allowed = []
    gate = threading.Barrier(8)

    def try_often():
        gate.wait()
        allowed.extend(FIVE.hit(key).allowed for _ in range(5))
        caches.close_all()

    threads = [threading.Thread(target=try_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert allowed.count(True) == 5


def test_no_key_reaches_redis_in_clear():
    FIVE.hit("zoraida@example.org")

    stored = caches["default"]._cache.get_client().keys("*")

    assert stored
    assert not [name for name in stored if b"zoraida" in name]


def test_an_open_limit_passes_without_redis_and_raises_an_alarm(key, without_redis):
    before = limits.FAILURES.labels("test-five")._value.get()

    with structlog.testing.capture_logs() as logs:
        usage = FIVE.hit(key)

    assert (usage.allowed, usage.counted) == (True, False)
    assert logs == [
        {
            "event": "rate_limits_unavailable",
            "log_level": "error",
            "group": "test-five",
            "error": "ConnectionError",
            "answer": "open",
        }
    ]
    assert limits.FAILURES.labels("test-five")._value.get() == before + 1


@pytest.mark.parametrize("method", ["hit", "peek"])
def test_a_closed_limit_refuses_without_redis(key, without_redis, method):
    for _ in range(2):
        with pytest.raises(LimiterUnavailable):
            getattr(SHUT, method)(key)


def test_without_redis_only_the_first_request_waits_for_it(key, without_redis):
    FIVE.hit(key)
    started = time.perf_counter()

    for _ in range(100):
        FIVE.hit(key)

    assert time.perf_counter() - started < 0.05


def test_a_limit_counts_again_when_redis_is_back(key, without_redis, settings):
    FIVE.hit(key)
    limits._paused_until.clear()
    settings.CACHES = django_settings.CACHES | {
        "default": {**settings.CACHES["default"], "LOCATION": django_settings.REDIS_URL}
    }

    assert FIVE.hit(key).counted


class OneThrottle(RedisThrottle):
    limit = Limit("test-throttle", "2/m")

    def key_for(self, request):
        return request.headers.get("X-Key")


def test_throttle_refuses_and_says_how_long_to_wait(key):
    request = Request(RequestFactory().get("/", headers={"X-Key": key}))
    throttle = OneThrottle()

    assert [throttle.allow_request(request, None) for _ in range(3)] == [True, True, False]
    assert 1 <= throttle.wait() <= 60
    assert request._request.counted_by[0] is OneThrottle.limit


def test_throttle_counts_nobody_without_a_key():
    throttle = OneThrottle()

    assert all(throttle.allow_request(Request(RequestFactory().get("/")), None) for _ in range(5))


# --- A window that slides --------------------------------------------------------------------------------------------

SLIDING = SlidingLimit("test-sliding", "5/15m", fail="closed")


@pytest.fixture
def clock(time_machine):
    """Seconds since some moment: `clock(30)` moves there. Later than what other tests have counted."""
    start = int(time.time()) + 100_000
    return lambda seconds: time_machine.move_to(start + seconds, tick=False)


def test_a_sliding_limit_holds_around_every_edge(key, clock):
    """Of one try a minute for an hour, no quarter of an hour lets more than five pass."""
    passed = []
    for minute in range(60):
        clock(minute * 60)
        if SLIDING.hit(key).allowed:
            passed.append(minute)

    assert max(sum(first <= minute < first + 15 for minute in passed) for first in range(60)) == 5
    assert len(passed) == 20


def test_a_fixed_limit_does_not(key, clock):
    """The control, and why sign-ins slide: five at a window's end and five right after it."""
    clock(0)
    edge = FIVE.peek(key).retry_after
    clock(edge - 1)
    before = [FIVE.hit(key).allowed for _ in range(5)]
    clock(edge)

    assert [*before, *(FIVE.hit(key).allowed for _ in range(5))] == [True] * 10


def test_a_sliding_limit_says_when_the_next_place_is_free(key, clock):
    for seconds in (0, 100, 200, 300, 400):
        clock(seconds)
        SLIDING.hit(key)

    clock(500)
    full = SLIDING.hit(key)
    clock(899)
    last_second = SLIDING.peek(key)
    clock(900)

    assert (full.allowed, full.remaining, full.retry_after) == (False, 0, 400)
    assert (last_second.allowed, last_second.retry_after) == (False, 1)
    assert SLIDING.hit(key).allowed
    assert not SLIDING.hit(key).allowed


def test_trying_on_keeps_nobody_out_for_longer(key, clock):
    clock(0)
    for _ in range(5):
        SLIDING.hit(key)
    for seconds in range(10, 900, 10):
        clock(seconds)
        assert not SLIDING.hit(key).allowed

    clock(900)
    assert SLIDING.hit(key).allowed


def test_give_back_frees_one_place_once(key):
    usages = [SLIDING.hit(key) for _ in range(5)]

    for _ in range(3):
        SLIDING.give_back(key, usages[2])
    SLIDING.give_back(key, SLIDING.peek(key))

    assert [SLIDING.hit(key).allowed for _ in range(3)] == [True, False, False]


def test_a_sliding_limit_starts_afresh(key):
    for _ in range(6):
        SLIDING.hit(key)

    SLIDING.reset(key)

    assert SLIDING.hit(key).remaining == 4
    assert SLIDING.hit(key + "x").remaining == 4


def test_a_sliding_limit_says_how_long_it_has_kept_counts(key, clock):
    redis = caches["default"]._cache.get_client(write=True)
    redis.delete(caches["default"].make_key("sl:since"))
    clock(0)
    SLIDING.hit(key)
    clock(600)

    assert SLIDING.peek(key).kept_for == 600
    redis.delete(caches["default"].make_key("sl:since"))
    assert SLIDING.peek(key).kept_for == 0
    redis.delete(caches["default"].make_key("sl:since"))


def test_a_sliding_limit_is_exact_under_parallel_calls(key):
    allowed = []
    gate = threading.Barrier(8)

    def try_often():
        gate.wait()
        allowed.extend(SLIDING.hit(key).allowed for _ in range(5))
        caches.close_all()

    threads = [threading.Thread(target=try_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert allowed.count(True) == 5


@pytest.mark.parametrize("method", ["hit", "peek"])
def test_a_sliding_limit_refuses_without_redis(key, without_redis, method):
    with pytest.raises(LimiterUnavailable):
        getattr(SLIDING, method)(key)
    SLIDING.reset(key)


# --- A bucket that fills again ---------------------------------------------------------------------------------------

BUCKET = BucketLimit("test-bucket", "10/2s")


def test_bucket_holds_the_whole_limit_at_once(key):
    assert [BUCKET.hit(key).allowed for _ in range(12)].count(True) == 10


def test_bucket_fills_drop_by_drop(key):
    while BUCKET.hit(key).allowed:
        pass

    time.sleep(0.45)

    assert [BUCKET.hit(key).allowed for _ in range(4)] in ([True, True, False, False], [True, True, True, False])


def test_bucket_says_when_the_next_drop_comes_and_keeps_its_word(key):
    slow = BucketLimit("test-slow-bucket", "2/4s")
    first = slow.hit(key)
    slow.hit(key)
    refused = slow.hit(key)

    assert (first.remaining, first.retry_after) == (1, 2)  # full again in two seconds
    assert (refused.allowed, refused.remaining, refused.retry_after) == (False, 0, 2)
    time.sleep(refused.retry_after)
    assert slow.hit(key).allowed


def test_bucket_takes_nothing_for_what_it_refuses(key):
    slow = BucketLimit("test-greedy-bucket", "2/4s")
    for _ in range(50):
        slow.hit(key)
    time.sleep(2.1)

    assert slow.hit(key).allowed


def test_bucket_peek_takes_nothing(key):
    for _ in range(30):
        assert BUCKET.peek(key).allowed

    assert BUCKET.hit(key).remaining == 9


def test_bucket_never_lets_more_through_under_64_hands(key):
    limit, allowed = BucketLimit("test-many-hands", "40/1h"), []
    barrier = threading.Barrier(64)

    def hit():
        barrier.wait()
        allowed.append(limit.hit(key).allowed)

    threads = [threading.Thread(target=hit) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert allowed.count(True) == 40


def test_bucket_without_redis_lets_through_and_says_so(key, without_redis):
    with structlog.testing.capture_logs() as said:
        assert BUCKET.hit(key).counted is False

    assert said[0]["event"] == "rate_limits_unavailable"


def test_bucket_obeys_the_scale(key, settings):
    settings.RATE_LIMIT_SCALE = 0.2

    assert [BUCKET.hit(key).allowed for _ in range(3)] == [True, True, False]


def test_cl02_a_burst_passes_while_n8n_keeps_trying(key):
    """n8n waits at most five times five seconds; here time runs ten times as fast, for 600 a minute and 800 at once."""
    limit = BucketLimit("test-n8n", "600/6s")
    waiting, began, tries = 800, time.monotonic(), 0
    while waiting and tries < 6:
        waiting -= [limit.hit(key).allowed for _ in range(waiting)].count(True)
        tries += 1
        time.sleep(0.5 if waiting else 0)

    assert waiting == 0
    assert time.monotonic() - began < 3.5


def test_cl02_a_window_would_fail_the_same_burst(key, time_machine):
    """The negative control: at the beginning of its minute a fixed window lets nothing through for 25 seconds."""
    limit = Limit("test-window", "600/1m")
    now = int(time.time()) + 10_000
    time_machine.move_to(now, tick=False)
    now += limit.peek(key).retry_after  # its next window begins
    time_machine.move_to(now, tick=False)
    refused = [limit.hit(key).allowed for _ in range(800)].count(False)
    time_machine.move_to(now + 25, tick=False)

    assert refused == 200
    assert not limit.hit(key).allowed


def test_headers_for_a_request_nobody_counted_are_none():
    assert headers_for(RequestFactory().get("/")) == {}


LARGE = BucketLimit("test-large-bucket", "20000/1h")


@pytest.fixture
def questions(monkeypatch):
    """How often Redis is asked."""
    asked, ask = [], limits._run

    def count(client, script, keys, arguments):
        asked.append(arguments[-1])
        return ask(client, script, keys, arguments)

    monkeypatch.setattr(limits, "_run", count)
    return asked


def test_a_large_bucket_is_asked_once_a_handful(key, questions):
    usages = [LARGE.hit(key) for _ in range(60)]

    assert questions == [20, 20, 20]
    assert [usage.remaining for usage in usages] == list(range(19_999, 19_939, -1))
    assert all(usage.allowed for usage in usages)


def test_a_small_bucket_is_asked_each_time(key, questions):
    for _ in range(5):
        BUCKET.hit(key)

    assert questions == [1] * 5


def test_a_handful_that_is_old_is_not_used(key, questions, monkeypatch):
    LARGE.hit(key)
    monkeypatch.setattr(limits.time, "monotonic", lambda now=time.monotonic: now() + 2)

    LARGE.hit(key)

    assert questions == [20, 20]


def test_no_more_than_the_limit_passes_by_handfuls(key):
    limit = BucketLimit("test-all-of-it", "3000/1h")

    assert [limit.hit(key).allowed for _ in range(3_010)].count(True) == 3_000


def test_reset_fills_a_large_bucket(key):
    LARGE.hit(key)
    LARGE.reset(key)

    assert LARGE.hit(key).remaining == 19_999


def test_a_redis_that_forgot_its_scripts_is_told_them_again(key):
    LARGE.hit(key)
    limits._client().script_flush()

    assert BUCKET.hit(key).remaining == 9
