"""Carries a forwarded answer from the upstream to the caller: a stream of events, a body as it comes, or a whole one.

Each of them tells the credentials how the attempt went and lets go of the upstream before the last bytes leave, because
a sandbox may freeze right after them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from lib import sse
from lib.deadline import CODE, CUT_COMMENT, in_time
from lib.dialects.forward import DIALECT_PATHS, UnreadJson, forwards, is_plain
from lib.dialects.forward_stream import StreamWatch
from lib.dialects.forward_tail import usage_in
from lib.dialects.forward_wires import Wire
from lib.errors import GatewayError, NotFound, UpstreamError
from lib.failover import Failover, Report
from lib.failures import told
from lib.routing import Router
from lib.types import Caller, Clock, Forwarded, ForwardedAnswer, Lease, Reply, Route, Trace

_EVENTS = "text/event-stream"
_JSON = "application/json"
_OWN_PICTURES = (b"](data:image/", b"](data:image\\/")
"""How the gateway's own chat answers show a picture; some JSON encoders escape slashes. In a history it is not for an
upstream to read as text."""
_PICTURE = b"data:image"
"""A picture that stands in a body itself. In other spellings, which nobody uses, the upstream refuses it."""


class Unread(Protocol):
    """A body of which nothing more than this is known."""

    @property
    def model(self) -> str | None: ...

    def forwarded(self, path: str, model: str | None, *, sole: bool = False) -> Forwarded:
        """The request with the upstream's name for the model; None leaves it as it is. `sole`: no other model may be
        meant in any way. Raises NotAllowed."""


class ForwardRelay:
    """Answers requests whose bodies go to an upstream as they are.

    max_event_bytes: the longest stream event that is taken.
    """

    def __init__(self, router: Router, failover: Failover, *, now: Clock, max_event_bytes: int) -> None:
        self._router = router
        self._failover = failover
        self._now = now
        self._max_event_bytes = max_event_bytes

    async def reply(
        self, unread: Unread, path: str, wire: Wire, caller: Caller, trace: Trace, route: Route | None = None
    ) -> Reply:
        """One answer. path: after the upstream's base URL. route: where to, when that is decided already. Raises
        GatewayError before anything is sent."""
        return await in_time(self._reply(unread, path, wire, caller, trace, route), trace, self._now)

    async def try_reply(
        self, dialect: str, body: Mapping[str, Any], raw: bytes, caller: Caller, trace: Trace, *, session: str | None
    ) -> Reply | None:
        """The answer of an upstream that speaks the dialect and gets the body as it is; None where the gateway itself
        has something to do with it. Raises GatewayError before anything is sent."""
        path, wire = DIALECT_PATHS.get(dialect, ("", None))
        if wire is None or not self._router.forwards(path, caller) or not forwards(dialect, body):
            return None
        if any(shown in raw for shown in _OWN_PICTURES):
            return None
        if caller.allowed_models:  # unread, it might name further models
            return None
        unread = UnreadJson(body, raw, session)
        model = None if unread.model in ("", "auto") else unread.model
        route = await self._router.pick(model, caller, trace=trace)
        if route.forwarder is None or path not in route.forwarder.endpoints:
            return None
        if not (route.forwarder.takes_tools or is_plain(dialect, body)):
            return None
        if route.image_urls_only and _PICTURE in raw:
            return None
        return await self.reply(unread, path, wire, caller, trace, route)

    async def _reply(
        self, unread: Unread, path: str, wire: Wire, caller: Caller, trace: Trace, route: Route | None
    ) -> Reply:
        if route is None:
            route = await self._router.pick(unread.model or None, caller, path)
        forwarder = route.forwarder
        if forwarder is None:
            name = route.upstream.name
            raise NotFound(f"The upstream '{name}' does not serve /v1{path}.", code="endpoint_not_served")
        trace.model, trace.upstream = route.model, route.upstream.name
        request = unread.forwarded(path, route.model, sole=bool(caller.allowed_models))

        async def send(lease: Lease, timeout_s: float) -> ForwardedAnswer:
            return await forwarder.forward(request, lease, timeout_s=timeout_s)

        trace.asked_at = self._now()
        answer, report = await self._failover.begin(send, route, trace, affinity=request.affinity)
        return await forward_reply(answer, wire, trace, self._now, report, max_event_bytes=self._max_event_bytes)


async def forward_reply(
    answer: ForwardedAnswer, wire: Wire, trace: Trace, now: Clock, report: Report, *, max_event_bytes: int
) -> Reply:
    """The reply that an answer becomes; it closes the answer. Raises GatewayError for a whole answer that breaks.

    A stream of events has no content type among its headers, because the sender of streams has it; a body that is
    handed on as it comes has one.
    """
    if answer.has_begun:
        trace.first_byte_at = now()
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if kind == _EVENTS:
        headers = {name: value for name, value in answer.headers.items() if name != "content-type"}
        watch = StreamWatch(wire, max_event_bytes=max_event_bytes, may_cut=trace.deadline_at is not None)
        return Reply(200, headers, stream=ForwardStream(answer, watch, trace, now, report), keep_alive=sse.KEEP_ALIVE)
    body = ForwardBody(answer, trace, now, report)
    if kind != _JSON:
        return Reply(200, answer.headers, stream=body)
    try:
        whole = b"".join([piece async for piece in body])
    finally:
        await body.aclose()
    trace.input_tokens, trace.output_tokens = usage_in(whole)
    return Reply(200, answer.headers, body=whole)


class ForwardStream:
    """The bytes of a forwarded stream of events: whole events only, and a clean end whatever happens."""

    def __init__(self, answer: ForwardedAnswer, watch: StreamWatch, trace: Trace, now: Clock, report: Report) -> None:
        self._attempt = _Attempt(answer, report)
        self._watch = watch
        self._trace = trace
        self._now = now
        self._read = answer.__aiter__().__anext__
        self._next = self._read if trace.deadline_at is None else self._read_in_time
        self._ended = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._ended:
            try:
                piece = self._watch.feed(await self._next())
                if self._watch.ended:
                    await self._end()
            except StopAsyncIteration:
                piece = await self._finish()
            except Exception as error:  # noqa: BLE001 - a stream that breaks must say so, whatever broke it
                piece = await self._fail(error)
            if piece:
                if self._trace.first_byte_at is None:
                    self._trace.first_byte_at = self._now()
                return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Lets go of the upstream; harmless when called again."""
        self._ended = True
        await self._attempt.close()

    async def _read_in_time(self) -> bytes:
        """For platforms that end the function soon after the deadline."""
        return await in_time(self._read(), self._trace, self._now, has_begun=True)

    async def _finish(self) -> bytes:
        try:
            piece = self._watch.finish()
        except UpstreamError as error:
            return await self._fail(error)
        await self._end()
        return piece

    async def _end(self) -> None:
        self._ended = True
        self._trace.input_tokens, self._trace.output_tokens = self._watch.usage()
        self._trace.error = self._watch.error_code()
        await self._attempt.release()

    async def _fail(self, error: Exception) -> bytes:
        """The end of the stream in the dialect's words; empty if it had ended well before."""
        failure = told(error, self._trace)
        end = CUT_COMMENT + cut if failure.code == CODE and (cut := self._watch.cut()) else self._watch.fail(failure)
        self._ended = True
        self._trace.input_tokens, self._trace.output_tokens = self._watch.usage()
        self._trace.error = failure.code if self._watch.is_broken else self._watch.error_code()
        await self._attempt.close(error if self._watch.is_broken and isinstance(error, UpstreamError) else None)
        return end


class ForwardBody:
    """The bytes of any other forwarded body. One that breaks raises GatewayError: it has no words to say so in, and its
    sender must not end it as if it were whole."""

    def __init__(self, answer: ForwardedAnswer, trace: Trace, now: Clock, report: Report) -> None:
        self._attempt = _Attempt(answer, report)
        self._trace = trace
        self._now = now
        self._next = answer.__aiter__().__anext__

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await in_time(self._next(), self._trace, self._now, has_begun=True)
        except StopAsyncIteration:
            await self._attempt.release()
            raise
        except GatewayError as error:
            self._trace.error = error.code
            await self._attempt.close(error if isinstance(error, UpstreamError) else None)
            raise
        if self._trace.first_byte_at is None:
            self._trace.first_byte_at = self._now()
        return piece

    async def aclose(self) -> None:
        """Lets go of the upstream; harmless when called again."""
        await self._attempt.close()


class _Attempt:
    """An answer and the report that is due for it, once."""

    def __init__(self, answer: ForwardedAnswer, report: Report) -> None:
        self._answer = answer
        self._report = report
        self._is_over = False

    async def release(self) -> None:
        """After its proper end."""
        if not self._is_over:
            self._is_over = True
            await self._answer.release()
            await self._report(None)

    async def close(self, error: UpstreamError | None = None) -> None:
        """Before it, because of a failure or because the caller left."""
        if not self._is_over:
            self._is_over = True
            await self._answer.aclose()
            await self._report(error)
