"""The demo upstream's forwarded endpoints on a real socket, for the official SDK, and directly for everything else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec
import openai
import pytest

from lib.errors import GatewayError, InvalidRequest
from lib.types import Forwarded
from lib.upstreams.demo_forward import DemoForwarder
from tests.fakes.serving import serving
from tests.upstreams.demo_requests import LEASE


class ForwardingApp:
    """ASGI: every body goes to the forwarder as it came, every piece leaves as it comes."""

    def __init__(self, forwarder: DemoForwarder) -> None:
        self._forwarder = forwarder

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        content, more = b"", True
        while more:
            message = await receive()
            content += message.get("body", b"")
            more = message.get("more_body", False)
        given = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        request = Forwarded(scope["path"].removeprefix("/v1"), content, given["content-type"])
        try:
            answer = await self._forwarder.forward(request, LEASE, timeout_s=1)
        except GatewayError as error:
            await _respond(send, error.status, {"content-type": "application/json"})
            await send({"type": "http.response.body", "body": msgspec.json.encode(error.envelope())})
            return
        try:
            await _respond(send, 200, answer.headers)
            async for piece in answer:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            await answer.aclose()


async def _respond(send: Any, status: int, headers: Any) -> None:
    encoded = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})


@contextlib.contextmanager
def sdk() -> Iterator[openai.OpenAI]:
    """The official client of a demo upstream that does not pause."""
    app = ForwardingApp(DemoForwarder(word_s=0, now=lambda: 1_795_000_000.0, new_id=lambda: "x1"))
    with (
        serving(app, lifespan="off") as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0, timeout=10) as client,
    ):
        yield client


def forwarded(
    path: str, content: bytes, content_type: str = "application/json", **options: Any
) -> tuple[dict[str, str], list[bytes]]:
    """Headers and pieces of one answer."""

    async def read() -> tuple[dict[str, str], list[bytes]]:
        forwarder = DemoForwarder(**{"word_s": 0, "now": lambda: 1_795_000_000.0, "new_id": lambda: "x1", **options})
        answer = await forwarder.forward(Forwarded(path, content, content_type), LEASE, timeout_s=1)
        try:
            return dict(answer.headers), [piece async for piece in answer]
        finally:
            await answer.aclose()

    return asyncio.run(read())


def asked(path: str, **members: Any) -> tuple[dict[str, str], bytes]:
    """Headers and body of one answer to a JSON request."""
    headers, pieces = forwarded(path, msgspec.json.encode(members))
    return headers, b"".join(pieces)


def refused(path: str, **members: Any) -> InvalidRequest:
    """Why a JSON request is refused."""
    with pytest.raises(InvalidRequest) as caught:
        forwarded(path, msgspec.json.encode(members))
    return caught.value


def frames(body: bytes) -> list[Any]:
    """The JSON of each event; `[DONE]` as it is."""
    assert body.endswith(b"\n\n")
    data = [frame.removeprefix(b"data: ") for frame in body.split(b"\n\n")[:-1]]
    return [each.decode() if each == b"[DONE]" else msgspec.json.decode(each) for each in data]
