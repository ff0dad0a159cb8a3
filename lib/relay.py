"""Carries one request from parse to last byte: the way of a request as code.

parse (dialect) → route (router) → attempts (failover) → render (dialect) → reply. It knows no dialect, no upstream and
no account by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from lib.canonical.events import COMPLETED, Event
from lib.canonical.request import CanonicalRequest
from lib.errors import GatewayError, InvalidRequest
from lib.failover import Failover
from lib.routing import Router
from lib.types import Caller, Clock, Dialect, Model, Renderer, Reply, Route, Trace

IGNORED = "x-gateway-ignored"


class Relay:
    """Answers model requests.

    commit_wait_s: how long the reply's headers wait for output after the upstream's first sign of life. Until they
    leave, a failure still has an HTTP status of its own; after it the stream itself must tell.
    """

    def __init__(
        self,
        router: Router,
        failover: Failover,
        *,
        commit_wait_s: float,
        now: Clock,
        new_id: Callable[[], str],
        accounts: Callable[[], tuple[int, int]],
    ) -> None:
        self._router = router
        self._failover = failover
        self._commit_wait_s = commit_wait_s
        self._now = now
        self._new_id = new_id
        self.accounts = accounts
        """How many accounts the pool has, and how many are usable now."""

    async def reply(
        self,
        dialect: Dialect,
        body: Mapping[str, Any],
        caller: Caller,
        trace: Trace,
        *,
        strict: bool,
        session: str | None = None,
    ) -> Reply:
        """One answer. `session`: the caller's conversation header. Raises GatewayError before anything is sent."""
        trace.dialect = dialect.name
        request = dialect.parse(body)
        if session is not None and request.prompt_cache_key is None:
            request = replace(request, affinity=session)
        route = await self._router.pick(request.model, caller)
        trace.model, trace.upstream = route.model, route.upstream.name
        headers = _ignored(request, route, strict)
        if request.model is None:
            request = replace(request, model=route.model)
        renderer = dialect.renderer(request, response_id=self._new_id(), now=self._now())
        events = self._failover.stream(request, route, trace)
        if request.stream:
            stream = RelayStream(events, renderer, trace, self._now)
            await stream.open(self._commit_wait_s)
            return Reply(200, headers, stream=stream, keep_alive=renderer.keep_alive)
        try:
            response = await _collect(events)
        finally:
            await events.aclose()
        trace.first_byte_at = self._now()
        _note_usage(trace, response)
        return Reply(200, headers, body=msgspec.json.encode(renderer.body(response)))

    async def models(self, caller: Caller) -> list[tuple[Model, str]]:
        """The catalogue that this caller may use, with the owner of each entry."""
        return await self._router.models(caller)


class RelayStream:
    """The bytes of one streamed reply; what the upstream sent in one read leaves as one piece."""

    def __init__(self, events: AsyncGenerator[list[Event], None], renderer: Renderer, trace: Trace, now: Clock) -> None:
        self._events = events
        self._renderer = renderer
        self._trace = trace
        self._now = now
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
        except BaseException:
            await self.aclose()
            raise

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._ended:
            pieces: list[bytes] = []
            try:
                batch = await (anext(self._events) if self._is_open else self._opened())
                pieces.extend(map(self._renderer.feed, batch))
                if batch and batch[-1].type in COMPLETED:
                    _note_usage(self._trace, batch[-1].fields["response"])
                    pieces.append(self._renderer.finish())
                    # Everything is done before the last bytes leave: a sandbox may freeze right after them.
                    await self.aclose()
            except StopAsyncIteration:
                raise
            except Exception as error:  # noqa: BLE001 - a stream that breaks must say so, whatever broke it
                pieces.append(self._failed(error))
                await self.aclose()
            piece = b"".join(pieces)
            if piece:
                if self._trace.first_byte_at is None:
                    self._trace.first_byte_at = self._now()
                return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Lets go of the upstream; harmless when called again."""
        self._ended = True
        if self._opening is not None:
            task, self._opening = self._opening, None
            task.cancel()
            await asyncio.wait({task})
        await self._events.aclose()

    def _failed(self, error: Exception) -> bytes:
        """The end of the stream in the dialect's words; events that were rendered before it stay."""
        if not isinstance(error, GatewayError):
            self._trace.failure = error
            error = GatewayError("The gateway met an internal error.", code="internal_error")
        self._trace.error = error.code
        return self._renderer.fail(error)

    async def _opened(self) -> list[Event]:
        """The first output, which `open` has, or is still waited for."""
        self._is_open = True
        if self._opening is None:
            return self._first
        batch = await asyncio.shield(self._opening)
        self._opening = None
        return batch


async def _first_output(events: AsyncGenerator[list[Event], None]) -> list[Event]:
    while not (batch := await anext(events)):
        pass
    return batch


async def _collect(events: AsyncGenerator[list[Event], None]) -> Mapping[str, Any]:
    """The Response of the terminal event, which the upstream's reader has made complete."""
    async for batch in events:
        if batch and batch[-1].type in COMPLETED:
            response: Mapping[str, Any] = batch[-1].fields["response"]
            return response
    raise AssertionError("an event stream ends with a terminal event or an exception")


def _ignored(request: CanonicalRequest, route: Route, strict: bool) -> dict[str, str]:
    """The reply header that names what the upstream does not take. Raises InvalidRequest when the caller is strict."""
    asked = (names for field, names in request.asked.items() if field not in route.upstream.accepts)
    names = sorted({name for joined in asked for name in joined.split(", ")})
    if not names:
        return {}
    if strict:
        raise InvalidRequest(
            f"Unsupported parameter: '{names[0]}' has no effect on the upstream '{route.upstream.name}'. Leave it out, "
            "or drop the strict mode to have it named in the x-gateway-ignored header instead.",
            param=names[0],
            code="unsupported_parameter",
        )
    return {IGNORED: ", ".join(names)}


def _note_usage(trace: Trace, response: Mapping[str, Any]) -> None:
    usage = response.get("usage")
    if isinstance(usage, dict):
        trace.input_tokens, trace.output_tokens = usage.get("input_tokens"), usage.get("output_tokens")
