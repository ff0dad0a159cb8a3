"""One streamed reply: batches of events in, the client's bytes out, and a clean end whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from lib.canonical.events import COMPLETED, Event
from lib.deadline import CUT_COMMENT
from lib.failures import told
from lib.types import Clock, EventStream, Renderer, Trace


class RelayStream:
    """The bytes of one streamed reply; what the upstream sent in one read leaves as one piece. keep: what else has to
    be done when the answer is complete, before its last bytes leave."""

    def __init__(
        self,
        events: EventStream,
        renderer: Renderer,
        trace: Trace,
        now: Clock,
        keep: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._events = events
        self._read = events.__anext__
        self._renderer = renderer
        self._feed = renderer.feed
        self._trace = trace
        self._now = now
        self._keep = keep
        self._first: list[Event] = []
        self._is_open = False
        self._opening: asyncio.Task[list[Event]] | None = None
        self._ended = False

    async def open(self, wait_s: float) -> None:
        """Waits for the first output, or for `wait_s` after the upstream's sign of life. Raises GatewayError."""
        try:
            batch = await anext(self._events)
            if not batch:
                self._opening = asyncio.ensure_future(_first_output(self._events))
                done, _ = await asyncio.wait({self._opening}, timeout=wait_s)
                if not done:
                    return
                task, self._opening = self._opening, None
                batch = task.result()
            self._first = batch
            self._trace.first_byte_at = self._now()
        except BaseException:
            await self.aclose()
            raise

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._ended:
            try:
                batch = await (self._read() if self._is_open else self._opened())
                if len(batch) == 1 and batch[0].type not in COMPLETED:
                    piece = self._feed(batch[0])  # nearly all of a live stream
                else:
                    piece = await self._rendered(batch)
            except StopAsyncIteration:
                raise
            except Exception as error:  # noqa: BLE001 - a stream that breaks must say so, whatever broke it
                piece = await self._failed(error)
            if piece:
                return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Lets go of the upstream; harmless when called again."""
        self._ended = True
        try:
            if self._opening is not None:
                task, self._opening = self._opening, None
                task.cancel()
                await asyncio.wait({task})
        finally:  # a second cancellation may come in between
            await self._events.aclose()

    async def _rendered(self, batch: list[Event]) -> bytes:
        pieces: list[bytes] = []
        try:
            pieces.extend(map(self._feed, batch))
            if batch and batch[-1].type in COMPLETED:
                note_usage(self._trace, batch[-1].fields["response"])
                if self._trace.error is not None:
                    pieces.insert(0, CUT_COMMENT)
                # Everything is done before the last bytes leave: a sandbox may freeze right after them.
                await self.aclose()
                if self._keep is not None:
                    await self._keep()
                pieces.append(self._renderer.finish())
        except Exception as error:  # noqa: BLE001 - as above; what was rendered before it stays
            pieces.append(await self._failed(error))
        return b"".join(pieces)

    async def _failed(self, error: Exception) -> bytes:
        """The end of the stream in the dialect's words."""
        if self._trace.first_byte_at is None:
            self._trace.first_byte_at = self._now()
        end = self._renderer.fail(told(error, self._trace))
        await self.aclose()
        return end

    async def _opened(self) -> list[Event]:
        """The first output, which `open` has, or is still waited for."""
        self._is_open = True
        if self._opening is None:
            return self._first
        batch = await asyncio.shield(self._opening)
        self._opening = None
        self._trace.first_byte_at = self._now()
        return batch


async def _first_output(events: EventStream) -> list[Event]:
    while not (batch := await anext(events)):
        pass
    return batch


def note_usage(trace: Trace, response: Mapping[str, Any]) -> None:
    """Token counts of an answer, for its log line."""
    usage = response.get("usage")
    if isinstance(usage, dict):
        trace.input_tokens, trace.output_tokens = usage.get("input_tokens"), usage.get("output_tokens")
