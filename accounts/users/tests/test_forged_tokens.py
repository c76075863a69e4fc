"""Tokens that nobody signed, or that say what ours never say (security.md AU-22 to AU-24, RFC 8725).

Each is sent as Bearer and as cookie, as an access token and as a refresh
token: always 401, never a failure, and nothing is written. The first half is
made without our key, as an attacker would; the second half with it, as a
mistake of ours would.
"""

import base64
import hashlib
import hmac
import itertools
import json
import time
import uuid
from datetime import timedelta

import jwt
import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from accounts.users import sessions
from accounts.users.models import Session
from accounts.users.tests.fixtures import ProgramClient, open_session, tokens_of
from accounts.users.tokens import TokenRefused, read_token
from tenancy.audit.models import AuditEntry

pytestmark = pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
OURS = {"alg": "HS256", "typ": "JWT"}


def key():
    return django_settings.SIMPLE_JWT["SIGNING_KEY"].encode()


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def write(claims, header=None, *, secret=None, digest="sha256", body=None):
    """A token by hand: libraries refuse to write most of these."""
    head = header if isinstance(header, bytes) else json.dumps(header or OURS, separators=(",", ":")).encode()
    payload = body if body is not None else json.dumps(claims, separators=(",", ":")).encode()
    signed = f"{b64(head)}.{b64(payload)}"
    return f"{signed}.{b64(hmac.new(secret or key(), signed.encode(), digest).digest())}"


def unsigned(header):
    return lambda claims: ".".join([b64(json.dumps(header).encode()), b64(json.dumps(claims).encode()), ""])


def headed(**more):
    return lambda claims: write(claims, OURS | more)


def said(**values):
    return lambda claims: write(claims | values)


def said_later(**seconds):
    return lambda claims: write(claims | {name: int(time.time()) + delta for name, delta in seconds.items()})


def without(name):
    return lambda claims: write({k: v for k, v in claims.items() if k != name})


def raw(name, text):
    """One claim written as no JSON library would."""

    def forge(claims):
        rest = json.dumps({k: v for k, v in claims.items() if k != name}, separators=(",", ":"))
        return write(None, body=f'{rest[:-1]},"{name}":{text}}}'.encode())

    return forge


def with_parts(change):
    return lambda claims: ".".join(change(*write(claims).split(".")))


def spare_bits(part):
    """Another last letter that decodes to the same bytes."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return part[:-1] + letters[letters.index(part[-1]) ^ 1]


def json_web_key():
    return {"kty": "oct", "k": b64(b"attacker" * 4)}


WITHOUT_OUR_KEY = {
    **{f"alg {spelling}": unsigned({"alg": spelling, "typ": "JWT"})
       for spelling in ("none", "None", "NONE", "nOnE", "none ", "", "noné", "null")},
    "alg missing": unsigned({"typ": "JWT"}),
    "alg null": unsigned({"alg": None, "typ": "JWT"}),
    "alg a list": unsigned({"alg": ["HS256", "none"], "typ": "JWT"}),
    "alg lower case": lambda claims: write(claims, {"alg": "hs256", "typ": "JWT"}, secret=b"x" * 32),
    "signature cut off": with_parts(lambda h, p, s: (h, p, "")),
    "signature and its dot cut off": with_parts(lambda h, p, s: (h, p)),
    "signature halved": with_parts(lambda h, p, s: (h, p, s[:21])),
    "signature of zeros": with_parts(lambda h, p, s: (h, p, "A" * 43)),
    "signature of another token": lambda claims: ".".join(
        [*write(claims | {"role": "admin"}).split(".")[:2], write(claims).split(".")[2]]),
    "signed by an empty key": lambda claims: write(claims, secret=b"\0"),
    "signed by a guess": lambda claims: write(claims, secret=b"secret"),
    "signed by the public name": lambda claims: write(claims, secret=b"carewright"),
    "RS256 with our header's key as public key": lambda claims: write(claims, {"alg": "RS256", "typ": "JWT"}),
    "HS256 with a public key as secret": lambda claims: write(
        claims, secret=b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n"),
    "ES256": lambda claims: write(claims, {"alg": "ES256", "typ": "JWT"}, secret=b"x" * 32),
    "ES256 with the psychic signature": lambda claims: ".".join(
        [b64(b'{"alg":"ES256","typ":"JWT"}'), b64(json.dumps(claims).encode()), b64(b"\0" * 64)]),
    "EdDSA": lambda claims: write(claims, {"alg": "EdDSA", "typ": "JWT"}, secret=b"x" * 32),
    "jwk of the attacker": lambda claims: write(claims, OURS | {"jwk": json_web_key()}, secret=b"attacker" * 4),
    "changed subject": with_parts(lambda h, p, s: (
        h, b64(json.dumps(json.loads(base64.urlsafe_b64decode(p + "==")) | {"sub": str(uuid.uuid4())}).encode()), s)),
    "nothing": lambda claims: "",
    "one word": lambda claims: "token",
    "three dots": lambda claims: "...",
    "16 kB": lambda claims: "A" * 5000 + "." + "A" * 5000 + "." + "A" * 6000,
    "a JWE": lambda claims: ".".join(
        [b64(b'{"alg":"dir","enc":"A256GCM"}'), "", b64(b"i" * 12), b64(b"c" * 99), b64(b"t" * 16)]),
    "not base64": lambda claims: "e30!.e30!.e30!",
    "not JSON": lambda claims: write(None, body=b"{"),
    "a JSON web signature as JSON": lambda claims: json.dumps({"payload": b64(json.dumps(claims).encode())}),
}  # fmt: skip

WITH_OUR_KEY = {
    "HS512": lambda claims: write(claims, {"alg": "HS512", "typ": "JWT"}, digest="sha512"),
    "HS384": lambda claims: write(claims, {"alg": "HS384", "typ": "JWT"}, digest="sha384"),
    "header says HS512, signed by SHA-256": lambda claims: write(claims, {"alg": "HS512", "typ": "JWT"}),
    "crit unknown": headed(crit=["carewright"], carewright=True),
    "crit b64": headed(crit=["b64"], b64=False),
    "b64 false": headed(b64=False),
    "jku": headed(jku="https://evil.example/keys.json"),
    "x5u": headed(x5u="https://evil.example/cert.pem"),
    "x5c": headed(x5c=["AAAA"]),
    "jwk beside our signature": headed(jwk=json_web_key()),
    **{f"kid {name}": headed(kid=kid) for name, kid in {
        "of an older key": "2020-01", "empty": "", "a path": "../../../../dev/null", "a file": "/etc/hostname",
        "SQL": "x' UNION SELECT 'key' --", "a URL": "http://127.0.0.1:1/key", "with NUL": "a\0b", "10 kB": "k" * 10_000,
        "a list": ["a"], "null": None}.items()},
    "zip": headed(zip="DEF"),
    "nested": lambda claims: write(None, OURS | {"cty": "JWT"}, body=write(claims).encode()),
    "typ at+jwt": lambda claims: write(claims, {"alg": "HS256", "typ": "at+jwt"}),
    "header in another order": lambda claims: write(claims, b'{"typ":"JWT","alg":"HS256"}'),
    "header with spaces": lambda claims: write(claims, b'{"alg": "HS256", "typ": "JWT"}'),
    "header with alg twice": lambda claims: write(claims, b'{"alg":"none","alg":"HS256","typ":"JWT"}'),
    "claims twice": raw("extra", f'1,"sub":"{uuid.uuid4()}","sub":"{uuid.uuid4()}"'),
    "exp twice": raw("exp", '1,"exp":99999999999'),
    "exp text": lambda claims: write(claims | {"exp": str(claims["exp"])}),
    "exp fraction": lambda claims: write(claims | {"exp": claims["exp"] + 0.5}),
    "exp true": said(exp=True),
    "exp null": said(exp=None),
    "exp a list": said(exp=[99999999999]),
    "exp negative": said(exp=-1),
    "exp zero": said(exp=0),
    "exp 1e400": raw("exp", "1e400"),
    "exp 1e10": raw("exp", "1e10"),
    "exp Infinity": raw("exp", "Infinity"),
    "exp NaN": raw("exp", "NaN"),
    "exp of 400 digits": raw("exp", "9" * 400),
    "exp over": said_later(exp=-1),
    "exp missing": without("exp"),
    "exp before iat": said_later(exp=-10, iat=-5),
    "iat in the future": said_later(iat=600),
    "iat text": said(iat="yesterday"),
    "iat fraction": lambda claims: write(claims | {"iat": claims["iat"] - 0.5}),
    "iat missing": without("iat"),
    "nbf in the future": said_later(nbf=600),
    "nbf text": said(nbf="tomorrow"),
    "iss another": said(iss="carewright.example"),
    "iss a list": said(iss=["carewright"]),
    "iss missing": without("iss"),
    "aud another": said(aud="somewhere"),
    "aud empty": said(aud=[]),
    "aud missing": without("aud"),
    "sub missing": without("sub"),
    "sub a number": said(sub=1),
    "sub of nobody": said(sub=str(uuid.UUID(int=0))),
    "sub with braces": lambda claims: write(claims | {"sub": "{" + claims["sub"] + "}x"}),
    "sid missing": without("sid"),
    "sid of nobody": said(sid=str(uuid.UUID(int=0))),
    "sid SQL": said(sid="' OR true --"),
    "tenant missing": without("tenant"),
    "tenant of nobody": said(tenant=str(uuid.UUID(int=0))),
    "jti missing": without("jti"),
    "jti a number": said(jti=7),
    "type missing": without("type"),
    "type another": said(type="reset"),
    "type of a second factor": said(type="totp_challenge"),
    "type a list": said(type=["access", "refresh"]),
    "claims a list": lambda claims: write(None, body=b"[1]"),
    "claims text": lambda claims: write(None, body=b'"sub"'),
    "claims nested 900 deep": lambda claims: write(None, body=b"[" * 900 + b"]" * 900),
    "claims not UTF-8": lambda claims: write(None, body=b'{"sub":"\xff"}'),
    "padding": with_parts(lambda h, p, s: (h, p, s + "=")),
    "spare bits in the signature": with_parts(lambda h, p, s: (h, p, spare_bits(s))),
    "standard base64 letters": with_parts(lambda h, p, s: (h, p, "+/" + s[2:])),
    "space within": with_parts(lambda h, p, s: (h, p[:9] + " " + p[9:], s)),
    "line break within": with_parts(lambda h, p, s: (h, p[:9] + "\n" + p[9:], s)),
    "NUL within": with_parts(lambda h, p, s: (h, p, s + "\0")),
    "a fourth part": with_parts(lambda h, p, s: (h, p, s, s)),
    "ideographic dots": lambda claims: write(claims).replace(".", "\N{IDEOGRAPHIC FULL STOP}"),
    "full-width dots": lambda claims: write(claims).replace(".", "\N{FULLWIDTH FULL STOP}"),
    "full-width letters": with_parts(lambda h, p, s: (h, p, s[:-1] + chr(ord(s[-1]) + 0xFEE0))),
    "17 kB of claims": said(x="x" * 17_000),
}  # fmt: skip
FORGERIES = {f"stranger: {k}": v for k, v in WITHOUT_OUR_KEY.items()} | {
    f"own key: {k}": v for k, v in WITH_OUR_KEY.items()
}


@pytest.fixture
def session(clinic, nurse):
    return open_session(nurse, "token")


def claims_of(session, kind="access"):
    token = tokens_of(session)[0 if kind == "access" else 1]
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def in_header(text):
    """What an HTTP header can carry of it."""
    return text.encode("utf-8").decode("latin-1")


def state(session):
    session.refresh_from_db()
    return AuditEntry.objects.count(), session.revoked_at, session.refresh_jti, session.last_seen_at


def test_au23_the_corpus_is_large_enough():
    assert len(FORGERIES) >= 60


@pytest.mark.parametrize("name", FORGERIES)
def test_au23_a_forged_token_is_401(session, name):
    forged = FORGERIES[name](claims_of(session))
    before = state(session)
    bearer, cookie = ProgramClient(), ProgramClient()
    bearer.credentials(HTTP_AUTHORIZATION=in_header(f"Bearer {forged}"))
    cookie.cookies["access_token"] = in_header(forged)

    answers = [bearer.get("/api/auth/me"), cookie.get("/api/auth/me"), bearer.post("/api/v1/auth/logout")]
    answers.append(cookie.post("/api/auth/logout"))

    assert [answer.status_code for answer in answers] == [401] * 4
    assert {answer.json()["code"] for answer in answers} == {"not_authenticated"}
    assert state(session) == before

    forged = FORGERIES[name](claims_of(session, "refresh"))
    program = ProgramClient()
    answers = []
    for path in ("/api/auth/refresh", "/api/v1/auth/refresh"):
        program.cookies["refresh_token"] = in_header(forged)
        answers.append(program.post(path))

    assert [answer.status_code for answer in answers] == [401, 401]
    assert state(session) == before


def test_au23_the_same_claims_written_by_the_same_hand_are_let_in(session):
    """The control of all of the above."""
    bearer = ProgramClient()
    bearer.credentials(HTTP_AUTHORIZATION=f"Bearer {write(claims_of(session))}")
    program = ProgramClient()
    program.cookies["refresh_token"] = write(claims_of(session, "refresh"))

    assert bearer.get("/api/auth/me").status_code == 200
    assert program.post("/api/auth/refresh").status_code == 200


def test_au23_read_token_knows_by_itself(session):
    """Below the doors, where no HTTP library has changed a letter."""
    for name, kind in itertools.product(FORGERIES, ("access", "refresh")):
        claims = claims_of(session, kind)
        try:
            read = read_token(FORGERIES[name](claims), kind=kind)
        except TokenRefused:
            continue
        # Only the database knows these to be nobody's.
        assert "of nobody" in name
        assert (read.user_id, read.session_id, read.tenant_id) != tuple(
            uuid.UUID(claims[part]) for part in ("sub", "sid", "tenant")
        )


@pytest.mark.parametrize("path", ["/api/auth/me", "/api/v1/auth/me"])
def test_au22_a_token_is_good_for_one_thing_only(session, path):
    access, refresh = tokens_of(session)
    bearer, cookie, program = ProgramClient(), ProgramClient(), ProgramClient()
    bearer.credentials(HTTP_AUTHORIZATION=f"Bearer {refresh}")
    cookie.cookies["access_token"] = refresh
    program.cookies["refresh_token"] = access

    assert (bearer.get(path).status_code, cookie.get(path).status_code) == (401, 401)
    assert program.post(path.replace("/me", "/refresh")).status_code == 401
    assert session.revoked_at is None


@pytest.mark.parametrize("part", ["sub", "sid", "tenant"])
def test_au22_parts_of_somebody_elses_token_open_nothing(session, doctor, stranger, part):
    mine = claims_of(session)
    for other in (open_session(doctor, "token"), open_session(stranger, "token")):
        theirs = claims_of(other)
        if theirs[part] == mine[part]:
            continue
        program = ProgramClient()
        program.credentials(HTTP_AUTHORIZATION=f"Bearer {write(mine | {part: theirs[part]})}")
        assert program.get("/api/auth/me").status_code == 401


def test_au24_a_token_of_an_older_key_is_401(session, settings):
    """There is one key; whoever changes it signs everybody out."""
    older = write(claims_of(session), secret=hashlib.sha256(b"the key before").digest())
    program = ProgramClient()
    program.credentials(HTTP_AUTHORIZATION=f"Bearer {older}")

    assert program.get("/api/auth/me").status_code == 401


def test_au22_a_token_older_than_its_session_is_none(session):
    """Who signs all others out keeps the session it was done in, and its token: that one was proved just now."""
    program = ProgramClient()
    program.credentials(HTTP_AUTHORIZATION=f"Bearer {write(claims_of(session) | {'iat': int(time.time()) - 60})}")

    assert program.get("/api/auth/me").status_code == 401


def test_au21_who_signs_all_others_out_stays(session, nurse, api_client):
    mine, other = ProgramClient(), api_client(nurse)
    mine.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens_of(session)[0]}")
    sessions.sign_out_everywhere(nurse.user, keep=session, by=nurse, reason_code="second_factor_added")

    assert (mine.get("/api/auth/me").status_code, other.get("/api/auth/me").status_code) == (200, 401)


def test_au35_a_clock_that_steps_back_brings_no_token_back(session, time_machine):
    """Tokens are read by the server's time; one from the future is none, and one that is over stays over."""
    now = timezone.now()
    access = tokens_of(session)[0]
    statuses = []
    for step in (timedelta(0), timedelta(minutes=16), timedelta(hours=-1), timedelta(0)):
        time_machine.move_to(now + step + timedelta(seconds=1), tick=False)
        program = ProgramClient()
        program.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")
        statuses.append(program.get("/api/auth/me").status_code)

    assert statuses == [200, 401, 401, 200]


def test_forgeries_are_as_pyjwt_would_write_them(session):
    """What `write` does by hand is what the library does."""
    claims = claims_of(session)

    assert write(claims) == jwt.encode(claims, key(), algorithm="HS256")
    assert Session.objects.filter(pk=claims["sid"]).exists()
