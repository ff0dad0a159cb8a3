"""The gateway, and beside it what a soak wants to know of its process: `GET /_soak`."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path

import msgspec

from lib.settings import Settings
from lib.web.app import create_app
from lib.web.asgi import Receive, Scope, Send

PATH = "/_soak"

_gateway = create_app(Settings())


class Counts(msgspec.Struct):
    """What a process holds."""

    tasks: int
    """Of asyncio, but for the one that counts."""
    files: int
    """Descriptors: connections among them."""
    rss: int
    """Bytes."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI application."""
    if scope["type"] != "http" or scope["path"] != PATH:
        await _gateway(scope, receive, send)
        return
    body = msgspec.json.encode(_counts())
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _counts() -> Counts:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Counts(len(asyncio.all_tasks()) - 1, len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGE_SIZE"))
