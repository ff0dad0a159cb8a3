from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from lib.errors import AuthenticationError, GatewayError, NotAllowed
from lib.scoped_keys import Limits, mint, narrow
from lib.types import Caller
from lib.web.app import build_app
from lib.web.asgi import Message
from lib.web.auth import Authenticator, caller_of
from lib.web.logs import configure
from lib.web.routes import Api
from lib.web.scopes import ENDPOINT_NAMES, Buckets, Scoped, Scopes, names_of
from tests.fakes.serving import serving, wait_until
from tests.web.scripted import AUTHORIZED, CHAT, KEY, PREFIX, TOKEN, HttpReply, NamedDialect, ScriptedRelay, ask

SECRET = "minting-secret-canary-of-the-gateway"
NOW = 1_767_225_600


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def key(id: str = "phone-1", **limits: Any) -> str:
    return mint(SECRET.encode(), id, Limits(**limits))


def scopes(clock: Clock | None = None) -> Scopes:
    return Scopes([SECRET.encode()], ["lost-1"], clock or Clock())


def identified(text: str, clock: Clock | None = None) -> Scoped:
    found = scopes(clock).identify(text)
    assert found is not None
    return found


async def sent(message: Message) -> None:
    raise NotImplementedError


class Served:
    """A running gateway with local keys, prefixes and scoped keys."""

    def __init__(self, url: str, relay: ScriptedRelay) -> None:
        self.address = "127.0.0.1", int(url.rpartition(":")[2])
        self.relay = relay

    def post(self, credential: str, path: str = "/v1/chat/completions", header: str = "authorization") -> HttpReply:
        value = f"Bearer {credential}" if header == "authorization" else credential
        return ask(self.address, "POST", path, {header: value}, CHAT)

    def get(self, credential: str, path: str) -> HttpReply:
        return ask(self.address, "GET", path, {"authorization": f"Bearer {credential}"})


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    relay = ScriptedRelay()
    auth = Authenticator([KEY, "sk-c2a-local-key-of-the-gateway"], [PREFIX], now=lambda: NOW, scopes=scopes())
    dialects: dict[str, Any] = {
        name: lambda name=name: NamedDialect(name) for name in ("chat", "responses", "messages")
    }
    api = Api(relay, auth, max_request_bytes=100_000, **dialects)
    with serving(build_app(api), access_log=False) as url:
        yield Served(url, relay)


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key"])
def test_a_scoped_key_is_a_caller_with_its_models(served: Served, header: str) -> None:
    text = narrow(key(models=("gpt-5*",)), Limits(models=("gpt-5.5", "o3")))
    assert served.post(text, header=header).status == 200
    caller = served.relay.calls[-1][2]
    assert (caller.key, caller.token, caller.allowed_models) == ("phone-1", None, (("gpt-5*",), ("gpt-5.5", "o3")))


def test_no_two_keys_have_one_identity() -> None:
    texts = [key(), key("phone-2"), narrow(key(), Limits(label="x")), narrow(key(), Limits(label="y"))]
    identities = {identified(text).caller.identity for text in texts}
    assert len(identities) == 4 and all(len(identity) == 32 for identity in identities)
    assert identified(texts[0]).caller == identified(texts[0]).caller


def test_other_credentials_go_on_working_and_come_first(served: Served) -> None:
    assert ask(served.address, "GET", "/v1/models", AUTHORIZED).status == 200
    assert served.post("sk-c2a-local-key-of-the-gateway").status == 200
    assert served.relay.calls[-1][2].key == hashlib.sha256(b"sk-c2a-local-key-of-the-gateway").hexdigest()[:8]
    assert served.post(f"{PREFIX}{TOKEN}").status == 200
    assert served.relay.calls[-1][2].token == TOKEN
    prefixed = Authenticator([], ["sk-c2a-AQ"], scopes=scopes())
    assert prefixed.caller([(b"x-api-key", key().encode())]).token is not None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (key()[:-1], "Incorrect"),
        (mint(b"x" * 32, "phone-1", Limits()), "Incorrect"),
        ("sk-c2a-", "Incorrect"),
        ("sk-c2a-canary", "Incorrect"),
        (key("lost-1"), "revoked"),
        (narrow(key("lost-1"), Limits(label="x")), "revoked"),
        (key(expires_at=NOW - 60), "expired"),
        (key(not_before=NOW + 61), "not valid yet"),
    ],
)
def test_a_key_that_does_not_hold_is_a_401_that_says_no_more_than_it_must(served: Served, text: str, told: str) -> None:
    before = len(served.relay.calls)
    reply = served.post(text)
    assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
    assert told in reply.error["message"]
    assert "canary" not in reply.body.decode() and "phone" not in reply.body.decode()
    assert len(served.relay.calls) == before


@pytest.mark.parametrize(
    ("patterns", "path", "status"),
    [
        (("chat",), "/v1/chat/completions", 200),
        (("chat",), "//chat//completions/", 200),
        (("chat",), "/v1/responses", 403),
        (("/v1/chat/completions",), "/chat/completions", 200),
        (("/chat/*",), "/v1/chat/completions", 200),
        (("/v1/*",), "/v1/responses", 200),
        (("*",), "/v1/responses", 200),
        (("respon",), "/v1/responses", 403),
        (("messages",), "/v1/messages", 200),
        (("/v1/messages",), "/v1/messages/count_tokens", 403),
        (("responses", "chat"), "/v1/chat/completions", 200),
    ],
)
def test_a_key_opens_its_endpoints_alone(served: Served, patterns: tuple[str, ...], path: str, status: int) -> None:
    reply = served.post(key(endpoints=patterns), path)
    assert reply.status == status
    if status == 403:
        error = reply.json()["error"]
        assert error["type"] == "permission_error"
        assert patterns[0] in error["message"]


def test_a_refusal_has_the_shape_of_the_paths_family(served: Served) -> None:
    text = narrow(key(endpoints=("chat", "messages")), Limits(endpoints=("chat",)))
    for path in ("/v1/messages", "/v1/responses"):
        assert served.post(text, path).status == 403
    assert served.post(text, "/v1/responses").error["code"] == "key_not_allowed"
    assert served.post(text, "/v1/responses").headers["x-should-retry"] == "false"
    assert served.post(text, "/v1/messages").json()["type"] == "error"
    assert served.post(text).status == 200


def test_the_list_of_models_is_open_to_every_key(served: Served) -> None:
    assert served.get(key(endpoints=("chat",)), "/v1/models").status == 200
    assert served.get(key(endpoints=("chat",)), "/models/gpt-a").status == 200
    assert served.get(key(endpoints=("chat",)), "/v1/accTokens").status == 403


def test_the_log_names_the_id_also_of_a_key_that_is_refused(served: Served, capfd: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "logfmt")
    served.post(key("watch-77", endpoints=("chat",)), "/v1/responses")
    seen = ""

    def logged() -> bool:
        nonlocal seen
        seen += capfd.readouterr().err
        return "caller=watch-77" in seen and "error=key_not_allowed" in seen

    assert wait_until(logged)


def test_what_is_no_scoped_key_is_none_of_its_business() -> None:
    assert scopes().identify("sk-other") is None
    with pytest.raises(AuthenticationError):
        scopes().identify("sk-c2a-x")


def test_a_key_that_is_used_up_waits_and_headers_say_so(served: Served) -> None:
    text = key("slow-1", requests_per_minute=2)
    first, second, third = (served.post(text) for _ in range(3))
    assert [reply.status for reply in (first, second, third)] == [200, 200, 429]
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert [reply.headers["x-ratelimit-remaining-requests"] for reply in (first, second)] == ["1", "0"]
    assert [reply.headers["x-ratelimit-reset-requests"] for reply in (first, second)] == ["30s", "60s"]
    assert first.headers["x-gateway-ratelimit-scope"] == "instance"
    assert (third.error["code"], third.headers["retry-after"], third.headers["x-should-retry"]) == (
        "rate_limit_exceeded",
        "30",
        "true",
    )
    assert "x-ratelimit-limit-requests" not in served.post(key()).headers
    assert served.post(key("slow-2", requests_per_minute=2)).status == 200


def test_a_bucket_fills_evenly_and_no_higher() -> None:
    clock = Clock()
    found = identified(key(requests_per_minute=2), clock)

    def taken() -> bool:
        try:
            found.admit("/v1/responses", sent)
        except GatewayError:
            return False
        return True

    assert [taken() for _ in range(3)] == [True, True, False]
    clock.now += 29
    assert not taken()
    clock.now += 1
    assert [taken(), taken()] == [True, False]
    clock.now += 10_000
    assert [taken() for _ in range(3)] == [True, True, False]
    clock.now -= 10_000
    assert not taken()


def test_a_narrowed_key_counts_for_its_origin_and_takes_nothing_when_it_is_used_up() -> None:
    made, origin = scopes(), key(requests_per_minute=5)
    narrowed = narrow(origin, Limits(requests_per_minute=1))

    def taken(text: str) -> bool:
        found = made.identify(text)
        assert found is not None
        try:
            found.admit("/v1/responses", sent)
        except GatewayError as error:
            assert error.status == 429
            return False
        return True

    assert [taken(narrowed) for _ in range(20)].count(True) == 1
    assert [taken(narrow(origin, Limits(label=str(number)))) for number in range(10)].count(True) == 4
    assert not taken(origin)


def test_a_request_that_is_not_allowed_is_not_counted() -> None:
    found = identified(key(endpoints=("chat",), requests_per_minute=1))
    for _ in range(3):
        with pytest.raises(NotAllowed):
            found.admit("/v1/responses", sent)
    assert found.admit("/v1/chat/completions", sent) is not sent


def test_buckets_are_bounded_and_forget_the_one_not_used_for_longest() -> None:
    buckets = Buckets(limit=2)
    for mark in (b"a", b"b", b"a", b"c"):
        buckets.take(mark, 10, 0.0)
    assert [buckets.level(mark, 10, 0.0) for mark in (b"a", b"b", b"c")] == [8, 10, 9]


def test_the_guard_alone_takes_scoped_keys() -> None:
    auth = Authenticator([KEY], scopes=scopes())
    with pytest.raises(AuthenticationError, match="endpoints"):
        auth.caller([(b"x-api-key", key().encode())])
    with pytest.raises(AuthenticationError, match="Incorrect"):
        Authenticator([KEY]).caller([(b"x-api-key", key().encode())])
    with pytest.raises(AuthenticationError, match="KEY_SECRET"):
        Authenticator([]).caller([(b"x-api-key", key().encode())])
    assert not auth.is_local(identified(key()).caller)
    assert auth.is_local(auth.caller([(b"x-api-key", KEY.encode())]))
    assert caller_of({"chat2api.caller": Caller("k")}) == Caller("k")


def test_a_gateway_with_scoped_keys_alone_is_configured() -> None:
    with pytest.raises(AuthenticationError, match="Incorrect"):
        Authenticator([], scopes=scopes()).caller([(b"x-api-key", b"wrong")])


def test_every_name_stands_for_an_endpoint() -> None:
    from lib.settings import Settings
    from lib.web.app import create_app

    table = create_app(Settings(_env_file=None, auth_tokens=KEY))._table
    known = {names_of(path)[-1] for path in table._exact if path.startswith("/v1/")}
    assert set(ENDPOINT_NAMES) <= known
