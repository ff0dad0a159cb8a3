"""Carries one request from parse to last byte: the way of a request as code.

parse (dialect) → route (router) → attempts (failover) → render (dialect) → reply. It knows no dialect, no upstream and
no account by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from lib.canonical.events import COMPLETED
from lib.canonical.request import CanonicalRequest
from lib.deadline import TimedEvents, in_time
from lib.failover import Failover
from lib.ignored import ignored
from lib.relay_stream import RelayStream, note_usage
from lib.routing import Router
from lib.types import Caller, Clock, Dialect, EventStream, Model, Reply, Route, Trace
from lib.values import replace

if TYPE_CHECKING:
    from lib.hosting import ImageHost

_SHOW_TEXT = frozenset({"chat", "messages"})
"""Dialects whose answers show a picture as text."""


class Forwarding(Protocol):
    """Answers requests whose upstream speaks their dialect; `lib.forward_relay.ForwardRelay`."""

    async def try_reply(
        self, dialect: str, body: Mapping[str, Any], raw: bytes, caller: Caller, trace: Trace, *, session: str | None
    ) -> Reply | None:
        """The answer to a body that went there as it is; None where the gateway has to read it. Raises GatewayError
        before anything is sent."""


class RequestReader(Protocol):
    """Reads what a request points at; `lib.reading.reader.Reader`."""

    async def read(self, request: CanonicalRequest) -> CanonicalRequest:
        """The request with what it points at in it."""

    def would_read(self, body: Mapping[str, Any]) -> bool:
        """Whether a body that was not parsed yet points at anything."""


class InputPictures(Protocol):
    """Pictures of requests that are, or have to be, on the web; `lib.hosted_inputs.HostedInputs`."""

    async def prepare(self, request: CanonicalRequest, *, only_urls: bool) -> CanonicalRequest:
        """The request with its pictures as an upstream can take them. Raises GatewayError."""

    def concerns(self, raw: bytes) -> bool:
        """Whether a body that was not parsed yet may show a picture that only this knows."""


class Turn(Protocol):
    """One request of a conversation that the gateway keeps."""

    @property
    def dialect(self) -> Dialect:
        """The request's own dialect, which knows what was said before."""

    async def keep(self) -> None:
        """Keeps the answer that the dialect's renderer has made; awaited before its last bytes leave, or the whole
        answer is encoded. Raises nothing."""


class History(Protocol):
    """Conversations that the gateway keeps; `lib.stored_responses.StoredResponses`."""

    def concerns(self, dialect: Dialect, body: Mapping[str, Any]) -> bool:
        """Whether a request continues a kept response, or is to be kept itself."""

    async def begin(self, dialect: Dialect, body: Mapping[str, Any], caller: Caller) -> Turn | None:
        """None for a request that has nothing to do with any. Raises GatewayError."""


class Relay:
    """Answers model requests.

    commit_wait_s: how long the reply's headers wait for output after the upstream's first sign of life. Until they
    leave, a failure still has an HTTP status of its own; after it the stream itself must tell. forwarding: for requests
    to an upstream that speaks their dialect. reader: reads what requests point at; None: nothing is read.
    history: for conversations that are continued by name; None: every request holds its own. inputs: for pictures that
    the upstream needs an address of; None: no upstream does.
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
        forwarding: Forwarding | None = None,
        reader: RequestReader | None = None,
        host: ImageHost | None = None,
        history: History | None = None,
        inputs: InputPictures | None = None,
    ) -> None:
        self._router = router
        self._failover = failover
        self._commit_wait_s = commit_wait_s
        self._now = now
        self._new_id = new_id
        self.accounts = accounts
        """How many accounts the pool has, and how many are usable now."""
        self._forwarding = forwarding
        self._reader = reader
        self._host = host
        self._history = history
        self._inputs = inputs

    async def reply(
        self,
        dialect: Dialect,
        body: Mapping[str, Any],
        caller: Caller,
        trace: Trace,
        *,
        strict: bool,
        session: str | None = None,
        raw: bytes = b"",
    ) -> Reply:
        """One answer. `session`: the caller's conversation header. `raw`: the bytes that the body was read from. Raises
        GatewayError before anything is sent; that is how an answer ends of which nothing has come when
        `trace.deadline_at` is near."""
        trace.dialect = dialect.name
        if self._forwarding is not None and not self._has_to_read(dialect, body, raw):
            forwarded = await self._forwarding.try_reply(dialect.name, body, raw, caller, trace, session=session)
            if forwarded is not None:
                return forwarded
        answer = self._reply(dialect, body, caller, trace, strict=strict, session=session)
        return await (answer if trace.deadline_at is None else in_time(answer, trace, self._now))

    def _has_to_read(self, dialect: Dialect, body: Mapping[str, Any], raw: bytes) -> bool:
        """Whether the gateway itself has something to do with a request, so that it cannot go unread."""
        if self._reader is not None and self._reader.would_read(body):
            return True
        if self._inputs is not None and self._inputs.concerns(raw):
            return True
        return self._history is not None and self._history.concerns(dialect, body)

    async def _reply(
        self,
        dialect: Dialect,
        body: Mapping[str, Any],
        caller: Caller,
        trace: Trace,
        *,
        strict: bool,
        session: str | None,
    ) -> Reply:
        turn = None if self._history is None else await self._history.begin(dialect, body, caller)
        if turn is not None:
            dialect = turn.dialect
        request = dialect.parse(body)
        if session is not None and request.prompt_cache_key is None:
            request = replace(request, affinity=session)
        route = await self._router.pick(request.model, caller, trace=trace)
        trace.model, trace.upstream = route.model, route.upstream.name
        headers = ignored(request.asked, route.upstream.accepts, route.upstream.name, strict=strict)
        if request.model is None:
            request = replace(request, model=route.model)
        renderer = dialect.renderer(request, response_id=self._new_id(), now=self._now())
        request = await self._prepared(request, route)
        trace.asked_at = self._now()
        events: EventStream = self._failover.stream(request, route, trace)
        if self._host is not None and dialect.name in _SHOW_TEXT and _may_draw(request):
            from lib.hosted_pictures import HostedPictures

            events = HostedPictures(events, self._host)
        if trace.deadline_at is not None and request.stream:
            events = TimedEvents(events, trace, self._now)  # around all else: to place a picture takes time, too
        if request.stream:
            stream = RelayStream(events, renderer, trace, self._now, None if turn is None else turn.keep)
            await stream.open(self._commit_wait_s)
            return Reply(200, headers, stream=stream, keep_alive=renderer.keep_alive)
        try:
            response = await _collect(events)
        finally:
            await events.aclose()
        trace.first_byte_at = self._now()
        note_usage(trace, response)
        rendered = renderer.body(response)
        if turn is not None:
            await turn.keep()
        return Reply(200, headers, body=msgspec.json.encode(rendered))

    async def _prepared(self, request: CanonicalRequest, route: Route) -> CanonicalRequest:
        if self._reader is not None:
            request = await self._reader.read(request)
        if self._inputs is not None:
            request = await self._inputs.prepare(request, only_urls=route.image_urls_only)
        return request

    async def models(self, caller: Caller, trace: Trace) -> list[tuple[Model, str]]:
        """The catalogue that this caller may use, with the owner of each entry."""
        return await self._router.models(caller, trace)


def _may_draw(request: CanonicalRequest) -> bool:
    return any(tool.get("type") == "image_generation" for tool in request.tools)


async def _collect(events: EventStream) -> Mapping[str, Any]:
    """The Response of the terminal event, which the upstream's reader has made complete."""
    async for batch in events:
        if batch and batch[-1].type in COMPLETED:
            response: Mapping[str, Any] = batch[-1].fields["response"]
            return response
    raise AssertionError("an event stream ends with a terminal event or an exception")
