"""What the two control relays share: a raw ASGI app over raw connections, one send for each read."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from bench import answers, raw_http

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Translate = Callable[[bytes], bytes]

UPSTREAM_PORT = "BENCH_UPSTREAM_PORT"
"""The environment variable that names the upstream's port."""


class Relay:
    """An ASGI app that posts every request to the upstream and sends back what comes, translated or as it is.

    `translator` makes the translation of one answer; it may hold bytes back. Without one, bytes are copied.
    """

    def __init__(self, translator: Callable[[], Translate] | None = None, path: str = answers.UPSTREAM_PATH) -> None:
        self._translator = translator
        self._path = path
        self._port = int(os.environ[UPSTREAM_PORT])
        self._idle: list[raw_http.Connection] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _whole(receive)
        upstream = self._idle.pop() if self._idle else await raw_http.Connection.open(self._port)
        try:
            upstream.send(raw_http.post(self._path, body))
            await self._answer(upstream, send)
        finally:
            if upstream.done:
                self._idle.append(upstream)
            else:
                upstream.close()

    async def _answer(self, upstream: raw_http.Connection, send: Send) -> None:
        translate = self._translator() if self._translator is not None else None
        batch = await upstream.read()
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": upstream.status, "headers": headers})
        while batch:
            if translate is not None:
                batch = translate(batch)
            if batch:
                await send({"type": "http.response.body", "body": batch, "more_body": True})
            batch = await upstream.read()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _whole(receive: Receive) -> bytes:
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)
