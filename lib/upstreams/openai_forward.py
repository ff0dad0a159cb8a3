"""Forwarding to an OpenAI-compatible API: a body goes there as it came, and so does the answer come back.

Only how an answer begins is looked at, as long as nothing of it has left: there a failure can still move to another
key. An answer of JSON is read whole, so that one that breaks off is a failure like any other. Where a stream was asked
for and the server has none, its whole answer becomes one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any

import msgspec

from lib.canonical.events import PREAMBLE
from lib.errors import UpstreamError, Verdict, ended_early
from lib.sse import Decoder, Frame, FrameTooLarge
from lib.types import Clock, Forwarded, Lease
from lib.upstreams import openai_errors
from lib.upstreams.http import HttpAnswer
from lib.upstreams.openai_api import OpenAIApi
from lib.upstreams.openai_whole import as_stream
from lib.upstreams.refusals import decoded

_EVENTS = "text/event-stream"
_JSON = "application/json"
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_AUDIO = "/audio/"
_BEGINNING = 512
_MAX_FRAME_BYTES = 1024 * 1024
"""A longer event at the beginning of a stream is not looked at."""
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,64}/[\w.+-]{1,64}(?:; ?[\w-]{1,32}=\"?[\w.+-]{1,64}\"?){0,4}", re.ASCII)
_DISPOSITION = re.compile(r"(?:inline|attachment)(?:; ?filename=(?:[\w.-]{1,128}|\"[\w. -]{1,128}\"))?", re.ASCII)
_LENGTH = re.compile(r"\d{1,15}", re.ASCII)
_ERROR = re.compile(rb'\s*\{\s*"error"\s*:\s*[{"]')


class OpenAIForwarder:
    """`lib.types.Forwarder` for one API.

    endpoints: the paths that it serves. takes_tools: whether the API has tools and structured output; else the gateway
    has to see to them. max_body_bytes: the longest answer of JSON. commit_wait_s: how long the beginning of a stream is
    waited for once its headers are there. beginning_s: after how long a stream without any output is given up.
    """

    def __init__(
        self,
        api: OpenAIApi,
        *,
        endpoints: frozenset[str],
        now: Clock,
        takes_tools: bool = True,
        max_body_bytes: int = 64 * 1024 * 1024,
        commit_wait_s: float = 1.0,
        beginning_s: float = 120.0,
    ) -> None:
        self.endpoints = endpoints
        self.takes_tools = takes_tools
        self._api = api
        self._now = now
        self._max_body_bytes = max_body_bytes
        self._commit_wait_s = commit_wait_s
        self._beginning_s = beginning_s

    async def forward(self, request: Forwarded, lease: Lease, *, timeout_s: float) -> ForwardedBody:
        """Send it, and wait for the beginning of a good answer. Raises UpstreamError."""
        http = await self._api.open(
            "POST",
            request.path,
            lease,
            content=request.content,
            content_type=request.content_type,
            accept=_accepted(request),
            timeout_s=timeout_s,
        )
        try:
            return await self._begin(request, http)
        except BaseException:
            await http.aclose()
            raise

    async def _begin(self, request: Forwarded, http: HttpAnswer) -> ForwardedBody:
        kind = http.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not 200 <= http.status < 300 or kind in _PAGES:
            raise await self._api.refusal(http)
        is_sound = request.path.startswith(_AUDIO)
        if kind == _JSON or (kind != _EVENTS and not request.stream and not is_sound):  # not all servers say what it is
            body = await http.read(self._max_body_bytes)
            if request.stream and not is_sound:  # sound goes its own way: not every model of speech can stream
                return ForwardedBody(http, {"content-type": _EVENTS}, _nothing(), self._streamed(request, http, body))
            self._check(http, body)
            return ForwardedBody(http, {"content-type": _JSON}, _nothing(), body)
        if kind == _EVENTS or not is_sound:
            return await self._begin_stream(request, http, http.chunks())
        chunks = http.chunks()
        first = await anext(chunks, b"")
        if not first:
            raise ended_early(has_begun=False)
        if _ERROR.match(first):
            raise await self._api.refusal(http, first)
        return ForwardedBody(http, _headers(http.headers), chunks, first)

    def _check(self, http: HttpAnswer, body: bytes) -> None:
        """Raises UpstreamError for an error or a web page under a 200."""
        beginning = body[:_BEGINNING].lstrip()
        if not beginning and not body.strip():
            raise ended_early(has_begun=False)
        if beginning[:1] == b"<":
            raise openai_errors.from_http(http.status, http.headers, body, self._now())
        if b'"error"' in beginning or b'"detail"' in beginning:
            try:
                error = openai_errors.error_of(msgspec.json.decode(body))
            except _UNREADABLE:
                error = {}
            if error is not None:
                raise openai_errors.from_http(http.status, http.headers, body, self._now())

    def _streamed(self, request: Forwarded, http: HttpAnswer, body: bytes) -> bytes:
        """A whole answer as a stream. Raises UpstreamError for anything else."""
        if not body.strip():
            raise ended_early(has_begun=False)
        whole = decoded(body)
        events = None
        if openai_errors.error_of(whole) is None:
            events = as_stream(request.path, whole, with_usage=_wants_usage(request))
        if events is None:
            raise openai_errors.from_http(http.status, http.headers, body, self._now())
        return events

    async def _begin_stream(self, request: Forwarded, http: HttpAnswer, chunks: AsyncIterator[bytes]) -> ForwardedBody:
        headers = {"content-type": _EVENTS}
        beginning = asyncio.ensure_future(self._beginning(request, http, chunks))
        try:
            await asyncio.wait({beginning}, timeout=self._commit_wait_s)
        except BaseException:
            await _cancelled(beginning)
            raise
        if beginning.done():
            return ForwardedBody(http, headers, chunks, beginning.result())
        return ForwardedBody(http, headers, chunks, waited=beginning)

    async def _beginning(self, request: Forwarded, http: HttpAnswer, chunks: AsyncIterator[bytes]) -> bytes:
        """The stream up to its first output, in any cut."""
        try:
            async with asyncio.timeout(self._beginning_s):
                return await self._first_output(request, http, chunks)
        except TimeoutError as error:
            raise UpstreamError(
                "The upstream's stream brought no output in time.",
                verdict=Verdict.SERVICE,
                status=504,
                code="upstream_timeout",
            ) from error

    async def _first_output(self, request: Forwarded, http: HttpAnswer, chunks: AsyncIterator[bytes]) -> bytes:
        decoder = Decoder(_MAX_FRAME_BYTES)
        head = b""
        try:
            async for chunk in chunks:
                head += chunk
                if (first := head.lstrip()[:1]) and first in b"{[<":
                    return self._streamed(request, http, await self._whole(head, chunks))
                if any(self._is_output(frame, http) for frame in decoder.feed(chunk)) or len(head) > _MAX_FRAME_BYTES:
                    return head
            if any(self._is_output(frame, http) for frame in decoder.flush()):
                return head
        except FrameTooLarge:
            return head
        if not any(line.startswith(b"data") for line in head.splitlines()):
            raise ended_early(has_begun=False)
        raise ended_early(has_begun=True)

    async def _whole(self, head: bytes, chunks: AsyncIterator[bytes]) -> bytes:
        body = bytearray(head)
        while len(body) <= self._max_body_bytes:
            chunk = await anext(chunks, None)
            if chunk is None:
                return bytes(body)
            body += chunk
        raise UpstreamError(
            f"The upstream sent a body of more than {self._max_body_bytes} bytes.",
            verdict=Verdict.SERVICE,
            code="upstream_bad_response",
        )

    def _is_output(self, frame: Frame, http: HttpAnswer) -> bool:
        """False for a preamble. Raises UpstreamError for a failure."""
        name, data = frame
        if name.decode("utf-8", "replace").strip() in PREAMBLE:
            return False  # spares decoding it: a preamble repeats the caller's instructions and tools
        try:
            event: Any = msgspec.json.decode(data)
        except _UNREADABLE:
            return True
        if not isinstance(event, dict):
            return True
        kind = event.get("type")
        if kind == "error" or kind == "response.failed" or event.get("error"):
            failed = event.get("response") if kind == "response.failed" else event
            raise openai_errors.from_object(openai_errors.error_of(failed) or {}, self._now(), headers=http.headers)
        return kind not in PREAMBLE


class ForwardedBody:
    """`lib.types.ForwardedAnswer`: the body of a good answer. Raises UpstreamError where it breaks off."""

    def __init__(
        self,
        http: HttpAnswer,
        headers: Mapping[str, str],
        rest: AsyncIterator[bytes],
        first: bytes = b"",
        *,
        waited: asyncio.Future[bytes] | None = None,
    ) -> None:
        """first: what was read before `rest`. waited: or what is still being read."""
        self.headers = headers
        self._http = http
        self._first = first
        self._waited = waited
        self._rest = rest

    @property
    def has_begun(self) -> bool:
        return self._waited is None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    def __anext__(self) -> Awaitable[bytes]:
        # No coroutine of its own: this is the way of every token.
        return self._begin() if self._first or self._waited else self._rest.__anext__()

    async def release(self) -> None:
        """Close it after its proper end was seen: the connection is kept if the body ends soon."""
        await self._drop_waited()
        await self._http.release()

    async def aclose(self) -> None:
        """Close it at once. May be called again, and after `release`."""
        await self._drop_waited()
        await self._http.aclose()

    async def _begin(self) -> bytes:
        if self._waited is not None:
            self._first = await asyncio.shield(self._waited)
            self._waited = None
        first, self._first = self._first, b""
        return first

    async def _drop_waited(self) -> None:
        waited, self._waited = self._waited, None
        if waited is not None:
            await _cancelled(waited)


async def _cancelled(future: asyncio.Future[bytes]) -> None:
    future.cancel()
    await asyncio.wait({future})
    if not future.cancelled():
        future.exception()  # a failure that nobody waits for any more


async def _nothing() -> AsyncIterator[bytes]:
    for nothing in list[bytes]():
        yield nothing


def _wants_usage(request: Forwarded) -> bool:
    asked = decoded(request.content)
    options = asked.get("stream_options") if isinstance(asked, dict) else None
    return isinstance(options, dict) and options.get("include_usage") is True


def _accepted(request: Forwarded) -> str:
    if request.stream:
        return _EVENTS
    return "*/*" if request.path.startswith(_AUDIO) else _JSON


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What the caller gets of the upstream's headers: what the body is, and nothing that speaks of the connection, the
    account or the upstream's own doings."""
    kind = headers.get("content-type", "")
    found = {"content-type": kind if _MEDIA_TYPE.fullmatch(kind) else "application/octet-stream"}
    disposition, length = headers.get("content-disposition", ""), headers.get("content-length", "")
    if _DISPOSITION.fullmatch(disposition):
        found["content-disposition"] = disposition
    if "content-encoding" not in headers and _LENGTH.fullmatch(length):
        found["content-length"] = length
    return found
