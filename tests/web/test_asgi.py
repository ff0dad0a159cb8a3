from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from lib.errors import GatewayError, InvalidRequest, PoolExhausted
from lib.web.asgi import OPENAI, Message, encode_headers, header, send_error


def sent(error: GatewayError) -> tuple[dict[str, str], Any]:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    asyncio.run(send_error(send, error, OPENAI.envelope(error, "req_1")))
    head, body = messages
    return {name.decode(): value.decode() for name, value in head["headers"]}, msgspec.json.decode(body["body"])


def test_an_error_is_the_openai_object() -> None:
    headers, body = sent(InvalidRequest("No.", param="n", code="c"))
    assert body == {"error": {"message": "No.", "type": "invalid_request_error", "param": "n", "code": "c"}}
    assert headers["content-type"] == "application/json"
    assert headers["x-should-retry"] == "false"
    assert "retry-after" not in headers


@pytest.mark.parametrize(("seconds", "value"), [(0.2, "1"), (0, "1"), (-3, "1"), (7, "7"), (7.01, "8")])
def test_retry_after_is_in_whole_seconds_and_at_least_one(seconds: float, value: str) -> None:
    headers, _ = sent(PoolExhausted("Later.", status=429, retry_after_s=seconds, should_retry=True))
    assert headers["retry-after"] == value
    assert headers["x-should-retry"] == "true"


def test_retry_after_stands_on_429_and_503_always_and_nowhere_else() -> None:
    assert "retry-after" not in sent(GatewayError("Bad.", status=502, retry_after_s=3))[0]
    assert sent(GatewayError("Bad.", status=503, retry_after_s=float("inf")))[0]["retry-after"] == "5"
    assert sent(GatewayError("Bad.", status=429))[0]["retry-after"] == "30"
    assert "x-should-retry" not in sent(GatewayError("Bad.", status=503))[0]


def test_no_header_value_can_split_the_response() -> None:
    encoded = encode_headers({"X-A": "a\r\nset-cookie: b", "x-b": "zß\u2028\x00", "bad name": "x", "x\r\ny": "z"})
    assert encoded == [(b"x-a", b"a??set-cookie: b"), (b"x-b", b"z\xdf??")]
    assert len(encode_headers({"x": "y" * 100_000})[0][1]) == 4096


def test_the_first_of_equal_headers_counts() -> None:
    scope = {"headers": [(b"a", b"1"), (b"a", b"2")]}
    assert header(scope, b"a") == "1"
    assert header(scope, b"b") is None
