from __future__ import annotations

import hashlib
import time

import pytest

from lib.errors import AuthenticationError
from lib.types import Caller
from lib.web.auth import Authenticator
from lib.web.logs import configure
from tests.web.scripted import KEY as CANARY
from tests.web.scripted import PREFIX as CANARY_PREFIX
from tests.web.scripted import TOKEN, ask

KEY = "sk-local-0123456789"
PREFIX = "private-"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"


def caller(value: bytes, name: bytes = b"authorization", *, prefixes: tuple[str, ...] = (PREFIX,)) -> Caller:
    return Authenticator([KEY, "other-key"], prefixes).caller([(b"host", b"x"), (name, value)])


def refusal(headers: list[tuple[bytes, bytes]], keys: tuple[str, ...] = (KEY,), prefixes: tuple[str, ...] = ()) -> str:
    with pytest.raises(AuthenticationError) as caught:
        Authenticator(keys, prefixes).caller(headers)
    assert caught.value.status == 401
    assert caught.value.code == "invalid_api_key"
    return caught.value.message


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_local_key_is_accepted_whatever_the_case_of_its_scheme(scheme: str) -> None:
    digest = hashlib.sha256(KEY.encode())
    expected = Caller(key=digest.hexdigest()[:8], identity=digest.digest())
    assert caller(f"{scheme} {KEY}".encode()) == expected


def test_no_two_callers_have_one_identity() -> None:
    auth = Authenticator(["same-words", "other-key"], [PREFIX])
    credentials = ["same-words", "other-key", f"{PREFIX}same-words", f"{PREFIX}at-1"]
    callers = [auth.caller([(b"x-api-key", credential.encode())]) for credential in credentials]
    assert len({caller.identity for caller in callers}) == 4
    assert all(len(caller.identity) == 32 and caller.identity.hex() not in repr(caller) for caller in callers)


def test_every_one_of_several_keys_is_accepted() -> None:
    keys = [f"key-{number}" for number in range(8)]
    auth = Authenticator(keys)
    assert len({auth.caller([(b"x-api-key", key.encode())]).key for key in keys}) == 8


@pytest.mark.parametrize("name", [b"x-api-key", b"api-key"])
def test_other_credential_headers_follow_the_same_rule(name: bytes) -> None:
    assert caller(KEY.encode(), name).token is None
    assert caller(b"private-at-1,acc_1", name) == caller(b"Bearer private-at-1,acc_1")
    assert "Incorrect" in refusal([(name, b"wrong")])
    assert "malformed" in refusal([(name, b"Bearer " + KEY.encode())])


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer  sk-local-0123456789",
        b"Bearer\tsk-local-0123456789",
        b" Bearer sk-local-0123456789",
        b"Bearer sk-local-0123456789,Bearer sk-local-0123456789",
        b"Bearer sk-local-0123456789, Bearer x",
        b"Bearer sk-local-0123456789,x",
        b"Basic sk-local-0123456789",
        b"Basic c2stbG9jYWw6",
        b"Bearer Bearer sk-local-0123456789",
        b"sk-local-0123456789",
        b"Bearer " + b"x" * 100_000,
        b"Bearer sk-local-0123456789\x00",
        b"Bearer sk-local-0123456789\r\nx: y",
        b"Bearer sk-local-0123456789\n",
        "Bearer sk-löcal".encode(),
        b"Bearer sk-local-012345678\xb9",
        b"Bearer ' OR '1'='1",
        b"Bearer SK-LOCAL-0123456789",
        b"Bearer sk-local-012345678",
        b"Bearer sk-local-01234567890",
    ],
)
def test_anything_but_one_well_formed_known_bearer_is_refused(value: bytes) -> None:
    message = refusal([(b"authorization", value)], prefixes=(PREFIX,))
    assert "sk-l" not in message.lower()


def test_credentials_are_refused_when_absent_doubled_or_contradictory() -> None:
    good = (b"authorization", b"Bearer " + KEY.encode())
    assert "No API key" in refusal([(b"host", b"x")])
    assert "once" in refusal([good, good])
    assert "contradict" in refusal([good, (b"x-api-key", b"other")])
    assert "malformed" in refusal([good, (b"x-api-key", b"")])


def test_headers_that_agree_are_one_credential() -> None:
    both = [(b"authorization", b"Bearer " + KEY.encode()), (b"x-api-key", KEY.encode()), (b"api-key", KEY.encode())]
    assert Authenticator([KEY]).caller(both).token is None


def test_nothing_configured_refuses_and_names_the_variables() -> None:
    message = refusal([(b"authorization", b"Bearer x")], keys=())
    assert "AUTH_TOKENS" in message
    assert "ACCESS_TOKEN_PREFIX" in message


def test_a_token_behind_the_prefix_is_passed_through() -> None:
    plain = caller(b"Bearer private-" + JWT.encode())
    assert (plain.token, plain.account_id) == (JWT, None)
    assert plain.key == hashlib.sha256(JWT.encode()).hexdigest()[:8]
    named = caller(b"Bearer private-at-1,acc_1-B")
    assert (named.token, named.account_id) == ("at-1", "acc_1-B")
    assert "at-1" not in repr(named)


@pytest.mark.parametrize(
    "value",
    [
        "private-",
        "private-,acc",
        "private-tok,",
        "private-tok,a,b",
        "private-tok,a b",
        "private-tok,ä",
        "private-tok," + "a" * 129,
        "private-private-tok",
        "private-a b",
        "private-\x01",
        "PRIVATE-tok",
        "Private-tok",
        "private_tok",
    ],
)
def test_a_malformed_passthrough_token_is_refused(value: str) -> None:
    message = refusal([(b"authorization", b"Bearer " + value.encode("latin-1"))], prefixes=(PREFIX,))
    assert "private-" not in message.lower()


def test_a_jwt_without_the_prefix_is_refused_with_a_hint() -> None:
    assert "ACCESS_TOKEN_PREFIX" in refusal([(b"authorization", b"Bearer " + JWT.encode())], prefixes=(PREFIX,))


def test_the_longest_prefix_wins() -> None:
    prefixes = ("private-", "private-team-")
    assert caller(b"Bearer private-team-tok", prefixes=prefixes).token == "tok"
    assert caller(b"Bearer private-other", prefixes=prefixes).token == "other"


def test_an_exact_local_key_wins_over_a_prefix_that_it_begins_with() -> None:
    auth = Authenticator(["private-local"], ["private-"])
    assert auth.caller([(b"authorization", b"Bearer private-local")]).token is None
    assert auth.caller([(b"authorization", b"Bearer private-local2")]).token == "local2"


@pytest.mark.parametrize("prefix", ["", "   ", "        \t ", "short-7"])
def test_blank_and_short_prefixes_switch_nothing_on(prefix: str) -> None:
    value = b"Bearer " + prefix.strip().encode() + b"token"
    assert "Incorrect" in refusal([(b"authorization", value)], prefixes=(prefix,))


def test_the_authenticator_shows_no_secret() -> None:
    assert repr(Authenticator([KEY], [PREFIX])) == "Authenticator(1 keys, 1 prefixes)"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "")],
        [("authorization", "Bearer")],
        [("authorization", f"Bearer  {CANARY}")],
        [("authorization", f"Bearer\t{CANARY}")],
        [("authorization", f"Bearer {CANARY}"), ("authorization", f"Bearer {CANARY}")],
        [("authorization", f"Bearer {CANARY}, Bearer {CANARY}")],
        [("authorization", f"Basic {CANARY}")],
        [("authorization", f"Bearer Bearer {CANARY}")],
        [("authorization", f"Bearer {CANARY.upper()}")],
        [("authorization", "Bearer " + "x" * 60_000)],
        [("authorization", "Bearer x" * 12_500)],
        [("authorization", f"Bearer {CANARY}\x00")],
        [("authorization", f"Bearer {CANARY}\r\nx-other: 1\r\nauthorization: Bearer x")],
        [("authorization", f"Bearer {CANARY}".encode() + b"\xc3\xa9")],
        [("authorization", "Bearer ' OR '1'='1")],
        [("authorization", f"Bearer {JWT}")],
        [("authorization", f"Bearer {CANARY_PREFIX}")],
        [("authorization", f"Bearer {CANARY_PREFIX}{CANARY_PREFIX}{TOKEN}")],
        [("authorization", f"Bearer {CANARY_PREFIX.upper()}{TOKEN}")],
        [("authorization", f"Bearer {CANARY_PREFIX}a b")],
        [("x-api-key", "wrong-canary")],
        [("api-key", f"Bearer {CANARY}")],
        [("authorization", f"Bearer {CANARY}"), ("x-api-key", "other-canary")],
    ],
)
def test_hostile_credentials_are_refused_quickly_and_told_to_nobody(
    address: tuple[str, int], headers: list[tuple[str, str | bytes]], capfd: pytest.CaptureFixture[str]
) -> None:
    configure("DEBUG", "logfmt")
    started = time.monotonic()
    reply = ask(address, "GET", f"/v1/models?key={CANARY}", headers)
    assert reply.status in (400, 401)  # 400: the server itself refuses the bytes
    if reply.status == 401:
        assert reply.error["code"] == "invalid_api_key"
        assert reply.headers["x-should-retry"] == "false"
    seen = reply.body.decode("latin-1") + str(reply.headers) + capfd.readouterr().err
    assert "canary" not in seen.lower()
    assert time.monotonic() - started < 1
