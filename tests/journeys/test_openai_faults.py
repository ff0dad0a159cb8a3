"""What an OpenAI-compatible upstream may do wrong, and several keys: before the first byte another key takes over, and
after it the caller is told in the words of its dialect. Forwarded and translated, streamed and whole."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import openai
import pytest

from tests.fakes.codex_behaviours import Behaviour, Drop, Http, Never, bad_gateway, http_error, raw, stream
from tests.fakes.openai_backend import api_error, quota, rate_limited
from tests.fakes.openai_chat import chat_stream, chunk, chunks
from tests.journeys.compatible import KEYS, Start, compatible
from tests.journeys.gateway import Host
from tests.journeys.openai_asking import FEW, MODES, SAME, SPOKEN, ask, good, path_of


@pytest.fixture
def start(host: Host, http: httpx.Client) -> Iterator[Start]:
    quick: dict[str, Any] = {"first_byte_timeout_s": 0.2, "idle_timeout_s": 0.2, "commit_wait_s": 0.08, "keys": KEYS}
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(compatible(host, http, **{**quick, **settings}))


FAILING: dict[str, Behaviour] = {
    "429": rate_limited(retry_after="7"),
    "quota": quota(),
    "401": api_error(401, "Incorrect API key.", code="invalid_api_key"),
    "403": api_error(403, "Country not supported."),
    "500": api_error(500),
    "502 html": bad_gateway(),
    "503": api_error(503, "Overloaded."),
    "reset": Drop(),
    "closed": Drop(reset=False),
    "never": Never(),
    "html under 200": http_error(200, "<html><title>Hi</title></html>"),
    "error under 200": http_error(200, {"error": {"message": "Overloaded.", "type": "server_error", "code": None}}),
    "error text under 200": http_error(200, {"error": "model is loading"}),
    "error event": raw(b'data: {"error":{"message":"Overloaded.","type":"overloaded_error"}}\n\n'),
    "empty": raw(b""),
    "empty json": Http(200, b"", {"content-type": "application/json"}),
}


@pytest.mark.parametrize(
    ("client", "wire", "streamed"),
    [
        *[(wire, wire, streamed) for wire in ("chat", "responses") for streamed in (True, False)],
        *[("responses", "chat", True), ("chat", "responses", True), ("messages", "chat", False)],
    ],
)
@pytest.mark.parametrize("fault", FAILING)
def test_another_key_takes_over(start: Start, client: str, wire: str, streamed: bool, fault: str) -> None:
    if fault == "error event":
        streamed = True  # else it would be an upstream that streams unasked
    gateway = start(openai_wire=wire)
    gateway.backend.script(FAILING[fault], path=path_of(wire))
    begun = time.monotonic()
    answer = ask(gateway, client, streamed)
    assert good(client, answer), answer.text
    assert time.monotonic() - begun < 1.5
    assert len(gateway.backend.requests) <= 3
    assert set(gateway.keys()) == set(KEYS), gateway.keys()


@FEW
@MODES
def test_one_key_alone_tells_its_failure(start: Start, client: str, wire: str, streamed: bool) -> None:
    gateway = start(openai_wire=wire, keys=KEYS[:1])
    for behaviour, status in (
        (rate_limited(retry_after="7"), 429),
        (api_error(400, "Too long.", code="context_length_exceeded"), 400),
        (api_error(500), 502),
        (api_error(401, "Incorrect API key provided: sk-up***QzKw.", code="invalid_api_key"), 401),
    ):
        gateway.backend.script(behaviour, path=path_of(wire))
        answer = ask(gateway, client, streamed)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/json"
        if status == 429:
            assert 1 <= float(answer.headers["retry-after"]) <= 7
        else:
            assert answer.headers["x-should-retry"] == ("true" if status == 502 else "false")
        assert "QzKw" not in answer.text


@SAME
def test_a_key_that_is_used_up_rests(start: Start, wire: str) -> None:
    gateway = start(openai_wire=wire)
    gateway.backend.always(rate_limited(retry_after="60"), key=KEYS[0], path=path_of(wire))
    answers = [
        ask(gateway, wire, streamed, f"Conversation {number}") for number in range(6) for streamed in (True, False)
    ]
    assert {answer.status_code for answer in answers} == {200}
    assert gateway.keys().count(KEYS[0]) <= 1
    assert gateway.send("GET", "/v1/accTokens").json() == {"count": 2, "canUseCount": 1}


@SAME
def test_a_conversation_stays_with_its_key(start: Start, wire: str) -> None:
    gateway = start(openai_wire=wire)
    for number in range(12):
        for _ in range(2):
            assert ask(gateway, wire, False, f"Conversation {number}").status_code == 200
    keys = gateway.keys()
    assert all(first == second for first, second in zip(keys[::2], keys[1::2], strict=True))
    assert set(keys) == set(KEYS)


# --- After the first byte ---------------------------------------------------------------------------------------------

BROKEN_CHAT: dict[str, Behaviour] = {
    "cut": chat_stream(*chunks("one two three"), truncate_after=3),
    "closed": chat_stream(*chunks("one two three"), close_after=3),
    "stall": chat_stream(*chunks("one two three"), stall_after=3),
    "error": chat_stream(
        *chunks("one two three")[:3], {"error": {"message": "Broke.", "code": "server_error"}}, done=False
    ),
    "garbage": chat_stream(*chunks("one two three")[:3], b"data: {\n\n", done=False),
    "html": chat_stream(*chunks("one two three")[:3], b"<html>oops</html>", done=False),
}
BROKEN_RESPONSES: dict[str, Behaviour] = {
    "cut": stream(SPOKEN, truncate_after=7),
    "reset": stream(SPOKEN, reset_after=7),
    "closed": stream(SPOKEN, close_after=7),
    "stall": stream(SPOKEN, stall_after=7),
    "half": stream(SPOKEN, truncate_after=7, drop_bytes=20),
    "failed": stream("failed_midstream", pause_s=0.01),
}
BROKEN = [("chat", name) for name in BROKEN_CHAT] + [("responses", name) for name in BROKEN_RESPONSES]


@pytest.mark.parametrize("client", ["chat", "responses", "messages"])
@pytest.mark.parametrize(("wire", "fault"), BROKEN)
def test_a_stream_that_breaks_ends_cleanly(start: Start, client: str, wire: str, fault: str) -> None:
    gateway = start(openai_wire=wire)
    behaviour = (BROKEN_CHAT if wire == "chat" else BROKEN_RESPONSES)[fault]
    gateway.backend.script(behaviour, path=path_of(wire))
    answer = ask(gateway, client, True)
    assert answer.status_code == 200
    assert len(gateway.backend.requests) == 1, "nothing is replayed once content has left"
    frames = [frame for frame in answer.text.split("\n\n") if frame and not frame.startswith(":")]
    for frame in frames:
        data = frame.partition("data: ")[2]
        if client == wire and data == "{":
            continue  # nobody reads single events of a forwarded stream
        assert data == "[DONE]" or msgspec.json.decode(data), frame
    assert not re.search(r'"finish_reason": ?"|"status": ?"completed"|message_stop', answer.text)
    ending = {
        "chat": lambda: frames[-1] == "data: [DONE]" and '"error"' in frames[-2],
        "responses": lambda: "response.failed" in frames[-1],
        "messages": lambda: frames[-1].startswith("event: error"),
    }
    assert ending[client](), frames[-3:]
    assert "error=" in gateway.line()


@pytest.mark.parametrize(("wire", "fault"), [row for row in BROKEN if row[1] != "garbage"])
def test_the_sdk_raises_on_a_stream_that_breaks(start: Start, wire: str, fault: str) -> None:
    gateway = start(openai_wire=wire)
    behaviour = (BROKEN_CHAT if wire == "chat" else BROKEN_RESPONSES)[fault]
    gateway.backend.always(behaviour, path=path_of(wire))
    sdk = gateway.sdk()
    with pytest.raises(openai.APIError):
        list(sdk.chat.completions.create(model="gpt-test", messages=[{"role": "user", "content": "Hi"}], stream=True))
    with pytest.raises(openai.APIError):
        list(sdk.responses.create(model="gpt-test", input="Hi", stream=True))


@pytest.mark.parametrize(
    ("client", "wire", "fault"),
    [(client, *row) for client in ("chat", "responses", "messages") for row in BROKEN if client != row[0]],
)
def test_a_whole_answer_is_never_half(start: Start, client: str, wire: str, fault: str) -> None:
    """Whole translated answers are streams upstream; a broken one is tried again only if nothing came of it."""
    gateway = start(openai_wire=wire)
    behaviour = (BROKEN_CHAT if wire == "chat" else BROKEN_RESPONSES)[fault]
    gateway.backend.always(behaviour, path=path_of(wire))
    answer = ask(gateway, client, False)
    assert answer.status_code in (502, 503, 504), answer.text
    assert answer.json()["error"]["message"]


def test_a_forwarded_whole_answer_that_is_cut_moves_to_another_key(start: Start) -> None:
    gateway = start(openai_wire="chat")
    gateway.backend.script(Cut())
    answer = ask(gateway, "chat", False)
    assert good("chat", answer) and set(gateway.keys()) == set(KEYS)


class Cut:
    """A body shorter than its declared length."""

    async def play(self, exchange: Any, scene: Any) -> None:
        exchange.head(200, {"content-type": "application/json", "content-length": "500"})
        exchange.write(b'{"id":"x","object":"chat.completion","choices":[')
        await exchange.drain()
        exchange.close()


@pytest.mark.parametrize("client", ["chat", "responses", "messages"])
def test_a_missing_done_is_forgiven_after_a_finish_reason(start: Start, client: str) -> None:
    gateway = start(openai_wire="chat")
    for options in ({"done": False}, {"done": False, "keep_open": True}):
        gateway.backend.script(chat_stream(*chunks("You said: Hi"), **options))
        fields: dict[str, Any] = {"stream_options": {"include_usage": True}} if client == "chat" else {}
        answer = ask(gateway, client, True, **fields)
        assert good(client, answer), answer.text
        assert not re.search(r'"error": ?\{', answer.text)
        if client == "chat":
            assert answer.text.endswith("data: [DONE]\n\n")


@FEW
def test_what_comes_after_the_end_does_not_matter(start: Start, client: str, wire: str) -> None:
    gateway = start(openai_wire=wire)
    late: Behaviour = (
        chat_stream(*chunks("You said: Hi"), keep_open=True) if wire == "chat" else stream(SPOKEN, keep_open=True)
    )
    gateway.backend.script(late, path=path_of(wire))
    begun = time.monotonic()
    assert good(client, ask(gateway, client, True))
    assert time.monotonic() - begun < 0.25


@FEW
def test_silence_is_bridged_and_then_told(start: Start, client: str, wire: str) -> None:
    gateway = start(openai_wire=wire, keep_alive_s=0.05, idle_timeout_s=0.4)
    gateway.backend.script(
        chat_stream(*chunks("one two three"), stall_after=3) if wire == "chat" else stream(SPOKEN, stall_after=7),
        path=path_of(wire),
    )
    answer = ask(gateway, client, True)
    assert answer.text.count(": ") > 3 or answer.text.count("event: ping") > 3
    assert "upstream_stalled" in answer.text or "fell silent" in answer.text


@pytest.mark.parametrize(
    ("client", "wire"), [("chat", "responses"), ("responses", "chat"), ("messages", "chat")], ids=lambda name: name
)
def test_headers_leave_in_a_long_silence_and_another_key_still_takes_over(start: Start, client: str, wire: str) -> None:
    """The upstream began and said nothing: the caller's stream begins, and fails over in silence. Only where events
    are read: a forwarded stream whose headers have left stays with its key."""
    gateway = start(openai_wire=wire, idle_timeout_s=0.3, commit_wait_s=0.05)
    first = [chunk({"role": "assistant", "content": ""})]
    gateway.backend.script(
        chat_stream(*first, stall_after=1) if wire == "chat" else stream(SPOKEN, stall_after=2), path=path_of(wire)
    )
    answer = ask(gateway, client, True)
    assert good(client, answer), answer.text
    assert set(gateway.keys()) == set(KEYS)
