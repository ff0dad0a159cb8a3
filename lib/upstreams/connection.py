"""One connection to an upstream: asyncio calls it, it feeds the exchange that is on it and goes back to the pool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from lib.upstreams.exchange import Exchange

_JOINED = 16 * 1024
"""A request body up to this size leaves in one write with its head."""

Origin = tuple[str, str, int]
"""Scheme, host, port."""


class Connection(asyncio.Protocol):
    """A socket that carries one exchange at a time.

    on_idle: called when it is free for the next one. on_lost: called once when it is gone.
    """

    __slots__ = ("_choked", "_exchange", "_on_idle", "_on_lost", "_transport", "idle_since", "origin", "paused")

    def __init__(
        self, origin: Origin, on_idle: Callable[[Connection], None], on_lost: Callable[[Connection], None]
    ) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self.paused = False
        """Whether the socket is not read because the reader is slow."""
        self._exchange: Exchange | None = None
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._choked = False
        self._transport: asyncio.Transport

    def send(self, exchange: Exchange, head: bytes, body: bytes) -> bool:
        """Start an exchange. True when the socket took it all at once; else `exchange.sent` is called later."""
        self._exchange = exchange
        if len(body) <= _JOINED:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        return not self._choked

    def unsent(self) -> int:
        return self._transport.get_write_buffer_size()

    def pause(self) -> None:
        if not self.paused and not self._transport.is_closing():
            self.paused = True
            self._transport.pause_reading()

    def resume(self) -> bool:
        """Read again; False if it was being read all along."""
        if not self.paused:
            return False
        self.paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
        return True

    def done(self, *, reusable: bool) -> None:
        """The exchange has ended; a connection with anything left on it in either direction is not used again."""
        self._exchange = None
        if reusable and not self._transport.is_closing() and not self.unsent():
            self.resume()
            self._on_idle(self)
        else:
            self.abort()

    def abort(self) -> None:
        self._transport.abort()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own kind is one in all but its class

    def data_received(self, data: bytes) -> None:
        if self._exchange is None:
            self.abort()  # nobody asked
        else:
            self._exchange.feed(data)

    def pause_writing(self) -> None:
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False
        if self._exchange is not None:
            self._exchange.sent()

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost(self)
        if self._exchange is not None:
            self._exchange.lost(exc)
