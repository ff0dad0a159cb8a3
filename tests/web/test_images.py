"""The image endpoints around a scripted relay, byte by byte."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import msgspec
import pytest

from lib.canonical.images import ImagesRequest
from lib.errors import UpstreamError, Verdict
from lib.types import Caller, Reply, Trace
from lib.web.auth import Authenticator
from lib.web.gate import Gate
from lib.web.images import ImageApi
from lib.web.paths import Table
from tests.canonical.pictures import png
from tests.fakes.serving import serving, wait_until
from tests.web.scripted import AUTHORIZED, KEY, PREFIX, ask

BOUNDARY = "b0undary"
FORM = AUTHORIZED | {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
PICTURE = "data:image/png;base64," + base64.b64encode(png()).decode()


class ScriptedPictureRelay:
    """Answers with the scripted reply, an error, or a stream; records what it was asked."""

    def __init__(self, answer: Any = None) -> None:
        self.calls: list[tuple[ImagesRequest, Caller, bool]] = []
        self.cancelled = 0
        self.closed = 0
        self._answer = answer

    async def reply(self, request: ImagesRequest, caller: Caller, trace: Trace, *, strict: bool) -> Reply:
        self.calls.append((request, caller, strict))
        if isinstance(self._answer, Exception):
            raise self._answer
        if self._answer == "for ever":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if request.stream:
            return Reply(200, {"x-gateway-ignored": "style"}, stream=self._stream(), keep_alive=b": k\n\n")
        return Reply(200, {"x-gateway-ignored": "style"}, body=b'{"created":1}')

    async def _stream(self) -> AsyncGenerator[bytes, None]:
        try:
            yield b"data: 1\n\n"
            await asyncio.sleep(self._answer or 0)
            yield b"data: 2\n\n"
        finally:
            self.closed += 1


@contextlib.contextmanager
def served(relay: ScriptedPictureRelay, **options: Any) -> Iterator[tuple[str, int]]:
    api = ImageApi(lambda: relay, Authenticator([KEY], [PREFIX]), **{"max_request_bytes": 100_000, **options})
    with serving(Gate(Table(api.endpoints()), now=lambda: 1000.0)) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        yield host, int(port)


def form(*parts: tuple[str, str | bytes]) -> bytes:
    """A multipart body; bytes are files."""
    body = b""
    for name, value in parts:
        filename = '; filename="a.png"' if isinstance(value, bytes) else ""
        data = value if isinstance(value, bytes) else value.encode()
        head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"{filename}\r\n\r\n'
        body += head.encode() + data + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def test_a_generation_reaches_the_relay() -> None:
    relay = ScriptedPictureRelay()
    with served(relay) as address:
        for path in ("/v1/images/generations", "/images/generations"):
            reply = ask(address, "POST", path, body=b'{"prompt":"A cat","n":2}')
            assert (reply.status, reply.body) == (200, b'{"created":1}')
            assert reply.headers["content-type"] == "application/json"
            assert reply.headers["x-gateway-ignored"] == "style"
    request, caller, strict = relay.calls[0]
    assert (request.prompt, request.n, request.is_edit, caller.token, strict) == ("A cat", 2, False, None, False)


def test_an_edit_is_taken_as_json_and_as_a_form() -> None:
    relay = ScriptedPictureRelay()
    json = msgspec.json.encode({"prompt": "p", "images": [{"image_url": PICTURE}], "n": 2})
    fields = form(("prompt", "p"), ("n", "2"), ("image[]", png()), ("image[]", png(9)), ("mask", png()))
    with served(relay) as address:
        assert ask(address, "POST", "/v1/images/edits", body=json).status == 200
        assert ask(address, "POST", "/v1/images/edits", FORM, fields).status == 200
    (first, _, _), (second, _, _) = relay.calls
    assert (first.is_edit, first.n, len(first.images), first.mask) == (True, 2, 1, None)
    assert (second.is_edit, second.n, len(second.images), second.mask) == (True, 2, 2, first.images[0])


def test_a_stream_is_sent_with_its_keep_alive() -> None:
    relay = ScriptedPictureRelay(0.1)
    with served(relay, keep_alive_s=0.04) as address:
        reply = ask(address, "POST", "/v1/images/generations", body=b'{"prompt":"p","stream":true}')
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.body.startswith(b"data: 1\n\n: k\n\n") and reply.body.endswith(b"data: 2\n\n")
    assert relay.closed == 1


@pytest.mark.parametrize(
    ("headers", "setting", "strict"), [({"x-gateway-strict": "true"}, False, True), ({}, True, True)]
)
def test_strictness_comes_from_the_header_or_the_settings(headers: dict[str, str], setting: bool, strict: bool) -> None:
    relay = ScriptedPictureRelay()
    with served(relay, strict=setting) as address:
        ask(address, "POST", "/v1/images/generations", AUTHORIZED | headers, b'{"prompt":"p"}')
    assert relay.calls[0][2] is strict


def test_the_callers_own_token_reaches_the_relay() -> None:
    relay = ScriptedPictureRelay()
    with served(relay) as address:
        headers = {"authorization": f"Bearer {PREFIX}at-1,acc"}
        ask(address, "POST", "/v1/images/generations", headers, b'{"prompt":"p"}')
    assert (relay.calls[0][1].token, relay.calls[0][1].account_id) == ("at-1", "acc")


@pytest.mark.parametrize(
    ("path", "headers", "body", "status", "param"),
    [
        ("generations", {}, b'{"prompt":"p"}', 401, None),
        ("generations", AUTHORIZED, b"{}", 400, "prompt"),
        ("generations", AUTHORIZED, b"[]", 400, None),
        ("generations", FORM, form(("prompt", "p")), 415, None),
        ("generations", AUTHORIZED, b'{"prompt":"' + b"x" * 100_000 + b'"}', 413, None),
        ("edits", AUTHORIZED, b'{"prompt":"p"}', 400, "image"),
        ("edits", AUTHORIZED, b'{"prompt":"p","image":"file:///etc/passwd"}', 400, "image"),
        ("edits", FORM, form(("prompt", "p")), 400, "image"),
        ("edits", FORM, form(("prompt", "p"), ("image", b"<svg onload='x'/>")), 400, "image[0]"),
        ("edits", FORM, form(("prompt", "p"), *[("image[]", png())] * 17), 400, "image"),
        ("edits", FORM, form(("prompt", "p"), *[("x", "y")] * 1000), 400, None),
        ("edits", FORM, b"nonsense", 400, None),
        ("edits", AUTHORIZED | {"content-type": "multipart/form-data"}, form(("prompt", "p")), 400, None),
        ("variations", AUTHORIZED, b"{}", 404, None),
        ("variations", {}, b"{}", 401, None),
    ],
)
def test_what_cannot_be_answered_is_refused(
    path: str, headers: dict[str, str], body: bytes, status: int, param: str | None
) -> None:
    relay = ScriptedPictureRelay()
    with served(relay) as address:
        reply = ask(address, "POST", f"/v1/images/{path}", headers, body)
    assert reply.status == status
    assert msgspec.json.decode(reply.body)["error"]["param"] == param
    assert relay.calls == []


def test_a_failure_of_the_relay_is_told() -> None:
    error = UpstreamError("blocked", verdict=Verdict.REQUEST, status=400, code="moderation_blocked")
    with served(ScriptedPictureRelay(error)) as address:
        reply = ask(address, "POST", "/v1/images/generations", body=b'{"prompt":"p"}')
    assert (reply.status, msgspec.json.decode(reply.body)["error"]["code"]) == (400, "moderation_blocked")


def test_a_client_who_leaves_cancels_the_request() -> None:
    import socket

    relay = ScriptedPictureRelay("for ever")
    with served(relay) as address:
        body = b'{"prompt":"p"}'
        head = f"POST /v1/images/generations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
        with socket.create_connection(address) as client:
            client.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
            assert wait_until(lambda: relay.calls)
        assert wait_until(lambda: relay.cancelled == 1)
