"""Bytes of an answer to a model request → batches of canonical events, whatever the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

from lib.canonical.events import Event
from lib.errors import UpstreamError, Verdict, ended_early
from lib.sse import Decoder, Frame, FrameTooLarge
from lib.types import Window
from lib.upstreams.http_answer import HttpAnswer

Refusal = Callable[[bytes], Awaitable[UpstreamError]]
"""(the first bytes of the body, if any were read) → what an answer stands for that is not good. Closes it."""
Whole = Callable[[bytes], Awaitable[list[Event]]]
"""(a body that is JSON and no stream) → its events. Raises UpstreamError."""


class EventReader(Protocol):
    """What makes events of one wire's answer. `failure` broke the stream behind the events that were handed out."""

    ended: bool
    seen_any: bool
    failure: UpstreamError | None

    @property
    def may_end(self) -> bool:
        """Whether all that matters has come, so that an end of the body is no loss."""

    def take(self, frames: list[Frame]) -> list[Event]: ...

    def take_last(self, frames: list[Frame]) -> list[Event]:
        """For what the stream ended in without a blank line: an event cut in two is no event."""

    def end(self) -> list[Event]: ...


class EventAnswer:
    """`lib.types.Answer`: raises UpstreamError where it is refused or breaks; ends as soon as all that matters was
    read, not at the end of the body.

    max_bytes: the longest stream event taken, and the longest whole body. whole: for servers that answer with one JSON
    body although a stream was asked for; None: such a body is a refusal. windows: usage windows seen so far, which the
    reader may add to.
    """

    def __init__(
        self,
        http: HttpAnswer,
        events: EventReader,
        *,
        max_bytes: int,
        refusal: Refusal,
        whole: Whole | None = None,
        windows: Sequence[Window] = (),
    ) -> None:
        self.windows = windows
        self._http = http
        self._events = events
        self._max_bytes = max_bytes
        self._refusal = refusal
        self._whole = whole
        self._decoder = Decoder(max_bytes)
        self._chunks = http.chunks()
        self._read = self._chunks.__anext__
        self._is_begun = False
        self._is_flushed = False

    def __aiter__(self) -> AsyncIterator[list[Event]]:
        return self

    async def __anext__(self) -> list[Event]:
        # An iterator and not a generator: it is a layer less for each token, and leaves nothing suspended.
        events = self._events
        if events.ended:
            raise StopAsyncIteration
        if events.failure is not None:
            raise events.failure
        try:
            if not self._is_begun:
                return await self._begin()
            try:
                # Not `anext` with a default, which would hand on each chunk inside an exception.
                chunk = await self._read()
            except StopAsyncIteration:
                return self._end()
            return events.take(self._decoder.feed(chunk))
        except FrameTooLarge as error:
            raise UpstreamError(
                f"The upstream sent {error}.", verdict=Verdict.SERVICE, code="upstream_bad_response"
            ) from error
        except UpstreamError as error:
            if not events.may_end or error is events.failure:
                raise
            return events.end()  # it broke off behind its last word

    async def aclose(self) -> None:
        if self._events.ended:
            await self._http.release()
        else:
            await self._http.aclose()

    async def _begin(self) -> list[Event]:
        """The first events. Status and first byte tell what this is; the content type may be missing or wrong."""
        if not 200 <= self._http.status < 300:
            raise await self._refusal(b"")
        async for chunk in self._chunks:
            first = chunk.lstrip()[:1]
            if not first:
                continue
            if first == b"{" and self._whole is not None:
                return await self._whole(await self._rest(chunk))
            if first in b"{[<":
                raise await self._refusal(chunk)
            self._is_begun = True
            return self._events.take(self._decoder.feed(chunk))
        raise ended_early(has_begun=False)

    async def _rest(self, head: bytes) -> bytes:
        body = bytearray(head)
        async for chunk in self._chunks:
            body += chunk
            if len(body) > self._max_bytes:
                break
        if len(body) > self._max_bytes:
            raise FrameTooLarge(f"a body of more than {self._max_bytes} bytes")
        return bytes(body)

    def _end(self) -> list[Event]:
        """What the end of the body leaves: an event without its blank line, then the end itself."""
        if not self._is_flushed:
            self._is_flushed = True
            return self._events.take_last(self._decoder.flush())
        if self._events.may_end:
            return self._events.end()
        raise ended_early(self._events.seen_any)
