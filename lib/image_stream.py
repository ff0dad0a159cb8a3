"""Calls for pictures side by side, and what they bring as one stream of bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress

from lib.canonical.images import ImagesRequest, ImagesResult, PartialImage, joined
from lib.deadline import in_time
from lib.dialects import images_response
from lib.failures import told
from lib.types import Clock, Trace

Piece = PartialImage | ImagesResult


class SideBySide:
    """Several calls at once: iterate it for what they bring, in the order in which it comes. The first failure ends all
    of them. Close it in any case."""

    def __init__(self, calls: Sequence[AsyncGenerator[Piece, None]]) -> None:
        self.count = len(calls)
        self._calls = calls
        self._arrived: asyncio.Queue[Piece | Exception | None] = asyncio.Queue()
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._running = len(calls)

    async def wait(self, timeout_s: float) -> bool:
        """Starts them, and waits for the first piece or failure; whether there is one."""
        self._start()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        return self._news.is_set()

    def __aiter__(self) -> AsyncIterator[Piece]:
        return self

    async def __anext__(self) -> Piece:
        self._start()
        while self._running:
            arrived = await self._arrived.get()
            if arrived is None:
                self._running -= 1
            elif isinstance(arrived, Exception):
                await self.aclose()
                raise arrived
            else:
                return arrived
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Cancels what still runs, and waits for its end; harmless when called again."""
        self._running = 0
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _start(self) -> None:
        if not self._tasks and self._running:
            self._tasks = [asyncio.ensure_future(self._run(call)) for call in self._calls]

    async def _run(self, call: AsyncGenerator[Piece, None]) -> None:
        ending: Exception | None = None
        try:
            async with aclosing(call):
                async for piece in call:
                    self._put(piece)
        except Exception as error:  # noqa: BLE001 - whatever it is, the reader raises it
            ending = error
        self._put(ending)

    def _put(self, arrived: Piece | Exception | None) -> None:
        self._arrived.put_nowait(arrived)
        self._news.set()


class ImageStream:
    """The bytes of one streamed reply: partial pictures, and each finished one as it comes."""

    def __init__(self, calls: SideBySide, request: ImagesRequest, trace: Trace, now: Clock) -> None:
        self._calls = calls
        self._request = request
        self._trace = trace
        self._now = now
        self._first: Piece | None = None
        self._results: list[ImagesResult] = []
        self._ended = False

    async def open(self, wait_s: float) -> None:
        """Waits for the first piece, at most `wait_s`. Raises GatewayError."""
        try:
            if await self._calls.wait(wait_s):
                self._first = await anext(self._calls)
                self._trace.first_byte_at = self._now()
        except BaseException:
            await self.aclose()
            raise

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        try:
            first, self._first = self._first, None
            if first is None:
                first = await in_time(anext(self._calls), self._trace, self._now, has_begun=True)
            sent = self._rendered(first)
            if len(self._results) == self._calls.count:
                note_usage(self._trace, joined(self._results))
                # Everything is done before the last bytes leave: a sandbox may freeze right after them.
                await self.aclose()
        except Exception as error:  # noqa: BLE001 - a stream that breaks must say so, whatever broke it
            sent = self._failed(error)
            await self.aclose()
        if self._trace.first_byte_at is None:
            self._trace.first_byte_at = self._now()
        return sent

    async def aclose(self) -> None:
        """Lets go of the upstream; harmless when called again."""
        self._ended = True
        await self._calls.aclose()

    def _rendered(self, piece: Piece) -> bytes:
        if isinstance(piece, PartialImage):
            return images_response.partial(self._request, piece, int(self._now()))
        self._results.append(piece)
        return images_response.completed(self._request, piece)

    def _failed(self, error: Exception) -> bytes:
        return images_response.failed(told(error, self._trace))


def note_usage(trace: Trace, result: ImagesResult) -> None:
    """For the request's log line."""
    if result.usage is not None:
        trace.input_tokens, trace.output_tokens = result.usage.get("input_tokens"), result.usage.get("output_tokens")
