"""Signed requests, as a gateway that accepts them sees them. The signatures are made here by hand, from the page."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import hmac
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest
from mangum import Mangum

from lib.errors import AuthenticationError
from lib.web.app import build_app
from lib.web.auth import Authenticator
from lib.web.routes import Api
from tests.fakes.lambda_events import FRONT_DOORS, seen_by_client
from tests.fakes.serving import serving, wait_until
from tests.web.scripted import (
    AUTHORIZED,
    CHAT,
    KEY,
    PREFIX,
    HttpReply,
    NamedDialect,
    ScriptedRelay,
    ask,
    connect,
    raw,
    request_bytes,
)

NOW = 1_767_225_600
PAIRS = {"team-blue": "a-secret-canary-of-blue", "team_red.2": "another-secret-canary"}
ID = hashlib.sha256(b"team-blue").hexdigest()[:8]
PATH = "/v1/chat/completions"

Headers = dict[str, str]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def signed(
    method: str = "POST",
    path: str = PATH,
    body: bytes = CHAT,
    *,
    query: str = "",
    at: int | str = NOW,
    key_id: str = "team-blue",
    secret: str | None = None,
) -> Headers:
    """`path` and `query` as they stand in the string to sign."""
    text = f"{method}\n{path}\n{query}\n{at}\n{hashlib.sha256(body).hexdigest()}"
    mac = hmac.new((secret or PAIRS[key_id]).encode(), text.encode(), hashlib.sha256).digest()
    return {"authorization": f"Bearer {b64(key_id.encode())}.{b64(mac)}", "x-date": str(at)}


def made(relay: ScriptedRelay, **options: Any) -> Api:
    auth = Authenticator(options.pop("keys", [KEY]), [PREFIX], pairs=PAIRS.items(), now=lambda: NOW)
    names = ("chat", "responses", "messages")
    dialects: dict[str, Any] = {name: lambda name=name: NamedDialect(name) for name in names}
    return Api(relay, auth, max_request_bytes=options.pop("max_request_bytes", 100_000), **dialects)


class Served:
    """A running gateway: what was asked of its relay, and how it answers."""

    def __init__(self, url: str, relay: ScriptedRelay) -> None:
        self.address = "127.0.0.1", int(url.rpartition(":")[2])
        self.relay = relay

    def post(self, headers: Headers, body: bytes = CHAT, path: str = PATH, method: str = "POST") -> HttpReply:
        return ask(self.address, method, path, headers, body)

    def refusal(self, headers: Headers, body: bytes = CHAT, path: str = PATH, method: str = "POST") -> str:
        """The message of the 401, after which nothing has reached the relay."""
        before = len(self.relay.calls)
        reply = self.post(headers, body, path, method)
        assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
        assert reply.headers["x-should-retry"] == "false"
        assert len(self.relay.calls) == before
        assert "canary" not in reply.body.decode()
        assert "team" not in reply.body.decode()
        message: str = reply.error["message"]
        return message


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    relay = ScriptedRelay()
    with serving(build_app(made(relay)), access_log=False) as url:
        yield Served(url, relay)


def test_a_signed_request_is_a_caller_named_by_its_id(served: Served) -> None:
    assert served.post(signed()).status == 200
    dialect, body, caller, *_ = served.relay.calls[-1]
    assert (dialect, body["model"]) == ("chat", "m")
    assert (caller.key, caller.token, caller.account_id) == (ID, None, None)


def test_every_pair_signs(served: Served) -> None:
    assert served.post(signed(key_id="team_red.2")).status == 200
    assert served.relay.calls[-1][2].key == hashlib.sha256(b"team_red.2").hexdigest()[:8]


def test_keys_and_prefixes_go_on_working_beside_pairs(served: Served) -> None:
    assert served.post(AUTHORIZED).status == 200
    assert served.post({"x-api-key": f"{PREFIX}token"}).status == 200
    assert served.relay.calls[-1][2].token == "token"


@pytest.mark.parametrize("path", [PATH, "/chat/completions", "//v1//chat/completions/"])
def test_every_spelling_of_a_path_is_signed_as_it_is_sent(served: Served, path: str) -> None:
    assert served.post(signed(path=path), path=path).status == 200
    assert "signature" in served.refusal(signed(path="/v1/chat"), path=path)


def test_path_and_query_are_compared_decoded(served: Served) -> None:
    headers = signed("GET", "/v1/models/org/gpt-b%3Ax%20y", b"", query="a=x%20y&b=")
    reply = ask(served.address, "GET", "/v1/models/org%2Fgpt-b:x%20y?b&a=x+y", headers)
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")
    assert ask(served.address, "GET", "/v1/models/org/gpt-b?b&a=x+y", headers).status == 401


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_requests_without_a_body_are_signed_over_the_empty_one(served: Served, method: str) -> None:
    assert ask(served.address, method, "/v1/models", signed(method, "/v1/models", b"")).status == 200
    other = {"GET": "HEAD", "HEAD": "GET"}[method]
    assert ask(served.address, other, "/v1/models", signed(method, "/v1/models", b"")).status == 401
    assert ask(served.address, "GET", "/v1/models", signed("GET", "/v1/models", b""), b"body").status == 401


def test_a_body_in_many_chunks_is_verified_and_read(served: Served) -> None:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(CHAT[at : at + 7]), CHAT[at : at + 7]) for at in range(0, len(CHAT), 7))
    headers = [*signed().items(), ("transfer-encoding", "chunked")]
    assert raw(served.address, request_bytes("POST", PATH, headers) + chunks + b"0\r\n\r\n").status == 200
    assert raw(served.address, request_bytes("POST", PATH, headers) + b"1\r\nx\r\n0\r\n\r\n").status == 401


def test_the_bytes_that_are_sent_are_signed_not_what_they_unpack_to(served: Served) -> None:
    packed = gzip.compress(CHAT)
    encoding = {"content-encoding": "gzip"}
    assert served.post(signed(body=packed) | encoding, packed).status == 200
    assert "signature" in served.refusal(signed(body=CHAT) | encoding, packed)


def test_either_alphabet_without_padding_too(served: Served) -> None:
    headers = signed()
    other = headers["authorization"].translate(str.maketrans("+/", "-_", "="))
    assert served.post(headers | {"authorization": other}).status == 200


def test_the_date_header_of_http_is_a_fallback(served: Served) -> None:
    date = formatdate(NOW, usegmt=True)
    headers = signed(at=date)
    assert served.post(headers).status == 200
    assert served.post({"authorization": headers["authorization"], "date": date}).status == 200
    assert served.post(signed() | {"date": formatdate(0, usegmt=True)}).status == 200
    assert "signature" in served.refusal(signed() | {"x-date": date})


@pytest.mark.parametrize("off_s", [-300, -299, 0, 299, 300])
def test_five_minutes_of_skew_are_allowed(served: Served, off_s: int) -> None:
    assert served.post(signed(at=NOW + off_s)).status == 200


def test_a_captured_request_can_be_sent_again_within_the_window_only(served: Served) -> None:
    assert [served.post(signed()).status for _ in range(2)] == [200, 200]
    assert "behind" in served.refusal(signed(at=NOW - 301))


@pytest.mark.parametrize(("off_s", "told"), [(-360, "360 seconds behind"), (360, "360 seconds ahead of")])
def test_a_clock_that_is_off_is_told_so(served: Served, off_s: int, told: str) -> None:
    assert told in served.refusal(signed(at=NOW + off_s))


@pytest.mark.parametrize("date", ["", "yesterday", "-1", "1e9", "9" * 40, f"{NOW}.0", "2026-01-01T00:00:00Z", "\xb2"])
def test_a_date_that_is_none_is_told_so(served: Served, date: str) -> None:
    assert "x-date" in served.refusal(signed(at=date or NOW) | {"x-date": date})


def test_a_missing_or_doubled_date_is_told_so(served: Served) -> None:
    headers = signed()
    assert "x-date" in served.refusal({"authorization": headers["authorization"]})
    doubled = request_bytes("POST", PATH, [*headers.items(), ("x-date", str(NOW))], CHAT)
    assert "x-date" in raw(served.address, doubled).error["message"]


def test_what_was_changed_on_the_way_is_refused(served: Served) -> None:
    good = signed()
    messages = {
        served.refusal(good, CHAT.replace(b"hi", b"ho")),
        served.refusal(good, CHAT + b" "),
        served.refusal(good, b""),
        served.refusal(good, path="/v1/responses"),
        served.refusal(good, path="/chat/completions"),
        served.refusal(good, path=PATH + "?strict=true"),
        served.refusal(signed(query="a=1"), path=PATH + "?a=2"),
        served.refusal(good | {"x-date": str(NOW + 1)}),
        served.refusal(signed("PUT")),
        served.refusal(signed(secret=PAIRS["team_red.2"])),
        served.refusal(signed(secret="x")),
    }
    assert len(messages) == 1
    assert "signature is not valid" in messages.pop()


def test_an_unknown_id_looks_like_a_wrong_signature(served: Served) -> None:
    unknown = signed(key_id="nobody", secret="x" * 16)
    assert served.refusal(unknown) == served.refusal(signed(secret="x" * 16))


def test_swapped_ids_are_refused(served: Served) -> None:
    blue, red = (signed(key_id=key_id)["authorization"].partition(".") for key_id in PAIRS)
    assert "signature" in served.refusal(signed() | {"authorization": red[0] + "." + blue[2]})


SIGNATURE = signed()["authorization"].partition(".")[2]


@pytest.mark.parametrize(
    "credential",
    [
        signed()["authorization"][7:-5],
        signed()["authorization"][7:-1] + "A==",
        signed()["authorization"][7:] + "." + SIGNATURE,
        SIGNATURE,
        "." + SIGNATURE,
        b64(b"team-blue") + ".",
        b64(b"team-blue") + "." + "!" * 44,
        b64(b"team-blue") + "." + "é" * 44,
        b64("téam".encode()) + "." + SIGNATURE,
        b64(b"team-blue\x00") + "." + SIGNATURE,
        b64(b"team-blue\n") + "." + SIGNATURE,
        b64(b"") + "." + SIGNATURE,
        "team-blue." + SIGNATURE,
        b64(b"team-blue") + "." + SIGNATURE + " x",
        b64(b"team-blue") + "," + SIGNATURE,
        "A" * 100_000 + "." + SIGNATURE,
        b64(b"team-blue") + "." + "A" * 100_000,
        PAIRS["team-blue"],
        b64(b"team-blue") + "." + b64(PAIRS["team-blue"].encode()),
        b64(f"team-blue:{PAIRS['team-blue']}".encode()),
    ],
)
def test_what_only_looks_like_a_signature_is_refused_quickly(served: Served, credential: str) -> None:
    started = time.monotonic()
    headers = [("authorization", f"Bearer {credential}".encode()), ("x-date", str(NOW).encode())]
    reply = raw(served.address, request_bytes("POST", PATH, headers, CHAT))
    assert reply.status in (400, 401)  # 400: the server itself refuses the bytes
    assert "team" not in reply.body.decode()
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("name", ["x-api-key", "api-key"])
def test_a_signature_comes_in_authorization_only(served: Served, name: str) -> None:
    headers = signed()
    bare = headers["authorization"].removeprefix("Bearer ")
    assert "Incorrect" in served.refusal({name: bare, "x-date": headers["x-date"]})
    assert "contradict" in served.refusal(headers | {name: KEY})
    assert served.post(headers | {name: bare}).status == 200


def test_an_exact_key_or_a_prefix_wins_over_the_form_of_a_signature() -> None:
    credential = signed()["authorization"].removeprefix("Bearer ")
    headers = [(b"authorization", f"Bearer {credential}".encode())]
    assert Authenticator([credential], pairs=PAIRS.items()).caller(headers).token is None
    assert Authenticator([], [credential[:12]], pairs=PAIRS.items()).caller(headers).token == credential[12:]


def test_without_the_guard_a_signed_request_is_nobody() -> None:
    headers = [(name.encode(), value.encode()) for name, value in signed().items()]
    with pytest.raises(AuthenticationError, match="not accepted here"):
        Authenticator([KEY], pairs=PAIRS.items(), now=lambda: NOW).caller(headers)


def test_without_pairs_a_signature_is_an_unknown_key() -> None:
    headers = [(name.encode(), value.encode()) for name, value in signed().items()]
    with pytest.raises(AuthenticationError, match="Incorrect API key"):
        Authenticator([KEY]).caller(headers)
    with pytest.raises(AuthenticationError, match="KEY_PAIRS"):
        Authenticator([]).caller(headers)


def test_the_secrets_show_nowhere() -> None:
    assert "canary" not in repr(Authenticator([KEY], pairs=PAIRS.items()))


def test_every_endpoint_that_needs_a_key_checks_the_signature(served: Served) -> None:
    paths = [
        (method, row.path.replace("{id}", "x"))
        for row in made(ScriptedRelay()).endpoints()
        for method in row.methods
        if row.needs_key
    ]
    assert len(paths) >= 7
    for method, path in paths:
        body = CHAT if method == "POST" else b""
        good, other = signed(method, path, body), signed(method, path, body + b" ")
        assert ask(served.address, method, path, good, body).status not in (401, 500), path
        assert ask(served.address, method, path, other, body).status == 401, path
        assert ask(served.address, method, path, {}, body).status == 401, path


def test_the_refusal_has_the_shape_of_its_api_family(served: Served) -> None:
    reply = served.post(signed(), path="/v1/messages")
    assert (reply.status, reply.json()["type"], reply.json()["error"]["type"]) == (401, "error", "authentication_error")


def test_a_body_beyond_the_limit_is_not_read_to_its_end() -> None:
    relay = ScriptedRelay()
    with serving(build_app(made(relay, max_request_bytes=50)), access_log=False) as url:
        reply = Served(url, relay).post(signed(body=b"other"), b"x" * 51)
    assert (reply.status, reply.error["code"]) == (413, "payload_too_large")


def test_a_client_that_leaves_before_its_body_is_whole_asks_for_nothing(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(served.relay.calls)
    caplog.set_level("INFO", "chat2api")
    with connect(served.address) as client:
        client.sendall(request_bytes("POST", PATH, signed(), CHAT)[:-5])
    assert wait_until(lambda: any(getattr(line, "fields", {}).get("status") == 499 for line in caplog.records))
    assert len(served.relay.calls) == before


@pytest.mark.parametrize("door", FRONT_DOORS)
def test_signatures_hold_behind_the_front_doors_of_lambda(door: str) -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # Mangum takes the thread's current one
    handler: Any = Mangum(build_app(made(ScriptedRelay())), lifespan="off")
    try:
        event = FRONT_DOORS[door](
            "POST", PATH, headers=signed(query="a=%C3%A9&b=x%20y"), body=CHAT, query="b=x%20y&a=é"
        )
        assert seen_by_client(door, handler(event, None)).status == 200
        event = FRONT_DOORS[door]("POST", PATH, headers=signed(), body=CHAT + b" ")
        assert seen_by_client(door, handler(event, None)).status == 401
    finally:
        asyncio.set_event_loop(None)
        loop.close()
