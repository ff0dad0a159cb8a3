"""The row "Response splitting": line ends in whatever comes back in headers or in events."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.hostile.asking import AUTHORIZED, BODIES, DIALECTS, Asked
from tests.web.documented import KEY

ENDS = ["\r\n", "\n", "\r", "\r\n\r\n", "\u2028", "\x85", "\x00", "\x0b", "%0d%0a", "\\r\\n"]
INJECTED = "injected: yes"
SHORT: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"stream": True, "max_tokens": 1},
    "/v1/responses": {"stream": True, "max_output_tokens": 1},
    "/v1/messages": {"stream": True, "max_tokens": 1},
    "/v1/completions": {"stream": True, "max_tokens": 1},
}
"""What makes the answer a stream, and no long one."""


def has_injected(received: Any) -> bool:
    """Whether any line of the answer, head or body, begins with what was injected."""
    head = "injected" in received.headers
    body = received.body.replace(b"\r", b"\n").split(b"\n")
    return head or any(line.lstrip().startswith(b"injected") for line in body)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("field", ["model", "user", "prompt_cache_key", "service_tier", "safety_identifier"])
def test_no_field_splits_an_answer(gateway: Asked, path: str, field: str) -> None:
    for end in ENDS:
        for more in ({}, SHORT[path]) if path in SHORT else ({},):
            answer = gateway.post(path, {**BODIES[path], field: f"a{end}{INJECTED}", **more})
            assert not has_injected(answer)
            assert answer.status in (200, 400)


@pytest.mark.parametrize("path", BODIES)
def test_unknown_names_that_are_told_split_nothing(gateway: Asked, path: str) -> None:
    for end in ENDS:
        answer = gateway.post(path, {**BODIES[path], f"a{end}{INJECTED}": 1, "é": 2})
        assert not has_injected(answer)
        assert answer.headers.get("x-gateway-ignored", "").isprintable()


@pytest.mark.parametrize("path", DIALECTS)
def test_texts_that_are_quoted_in_events_split_nothing(gateway: Asked, path: str) -> None:
    text = "".join(f"{end}{INJECTED}{end}data: {{}}{end}{end}event: error" for end in ENDS)
    name = "input" if path == "/v1/responses" else "messages"
    body = {**BODIES[path], name: [{"role": "user", "content": text}], "stream": True}
    answer = gateway.post(path, body, max_s=3)
    assert answer.status == 200
    assert not has_injected(answer)
    lines = answer.body.split(b"\n")
    assert all(line == b"" or line.startswith((b"data: ", b"event: ", b":")) for line in lines)
    assert b"event: error" not in lines


@pytest.mark.parametrize("end", ENDS, ids=ascii)
def test_ids_of_calls_split_nothing(gateway: Asked, end: str) -> None:
    function = {"name": "f", "arguments": "{}"}
    id = f"call{end}{INJECTED}"
    said = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [{"id": id, "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": id, "content": "ok"},
    ]
    answer = gateway.post("/v1/chat/completions", {"messages": said, **SHORT["/v1/chat/completions"]})
    assert answer.status in (200, 400)
    assert not has_injected(answer)


@pytest.mark.parametrize("name", ["x-request-id", "origin", "access-control-request-headers", "session-id"])
def test_headers_that_come_back_split_nothing(gateway: Asked, name: str) -> None:
    for value in (b"a\rinjected: yes", b"a\x00injected: yes", b"a\x0binjected: yes", b"\xff\xfe", b"<b>a</b>"):
        for method in ("GET", "OPTIONS"):
            answer = gateway.send(method, "/ping", headers=[*AUTHORIZED.items(), (name, value)])
            assert answer.status in (200, 400)
            assert not has_injected(answer)


def test_an_unknown_path_is_told_without_its_line_ends(gateway: Asked) -> None:
    answer = gateway.send("GET", "/v1/none%0d%0ainjected:%20yes")
    assert answer.status == 404
    assert not has_injected(answer)
    assert KEY.encode() not in answer.body


def test_metadata_is_echoed_as_json(gateway: Asked) -> None:
    body = {**BODIES["/v1/responses"], "metadata": {"a\r\ninjected": "yes\r\ninjected: yes"}, "stream": True}
    answer = gateway.send("POST", "/v1/responses", msgspec.json.encode(body))
    assert answer.status == 200
    assert not has_injected(answer)
