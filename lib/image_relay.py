"""Carries one request for pictures from the parsed form to the last byte.

route (router) → calls side by side, each with its own accounts (failover) → render → reply. Several pictures of an
upstream that makes one at a time are several calls; when one fails, all fail, and the others are cancelled. A stream
makes one picture a call: each then leaves when it is ready, and says what it alone has cost.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace

import msgspec

from lib import sse
from lib.canonical.images import FinishedImage, ImagesRequest, ImagesResult, InputImage, PartialImage, joined
from lib.canonical.pictures import media_type
from lib.deadline import in_time
from lib.dialects import images_response
from lib.dialects.images_input import check_image
from lib.errors import InvalidRequest, NotFound, UpstreamError, Verdict
from lib.failover import Failover
from lib.hosting import ImageHost
from lib.ignored import ignored
from lib.image_stream import ImageStream, Piece, SideBySide, note_usage
from lib.routing import IMAGES, Router
from lib.types import Caller, Clock, ImagesAnswer, ImageUpstream, Lease, Reply, Route, Trace

MAX_CALLS = 4
"""How many calls one request may start."""

Fetch = Callable[[str], Awaitable[InputImage]]
"""Reads a picture from a public address, guarded. Raises GatewayError."""


class ImageRelay:
    """Answers requests for pictures.

    host: where finished pictures are put for callers who want an address; None: they get a data URL. fetch: reads
    pictures from addresses; None: such pictures are refused. commit_wait_s: how long a stream's headers wait for a
    first picture or a failure, which then has an HTTP status of its own. first_byte_s: how long a call waits for its
    status line at least, because most upstreams send it with the finished picture.
    """

    def __init__(
        self,
        router: Router,
        failover: Failover,
        *,
        commit_wait_s: float,
        now: Clock,
        first_byte_s: float = 300.0,
        host: ImageHost | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        self._router = router
        self._failover = failover
        self._commit_wait_s = commit_wait_s
        self._now = now
        self._first_byte_s = first_byte_s
        self._host = host
        self._fetch = fetch

    async def reply(self, request: ImagesRequest, caller: Caller, trace: Trace, *, strict: bool) -> Reply:
        """One answer. Raises GatewayError before anything is sent; that is how an answer ends of which nothing has come
        when `trace.deadline_at` is near."""
        return await in_time(self._reply(request, caller, trace, strict), trace, self._now)

    async def _reply(self, request: ImagesRequest, caller: Caller, trace: Trace, strict: bool) -> Reply:
        trace.dialect = "images"
        route = await self._router.pick(request.model, caller, IMAGES)
        trace.model, trace.upstream = route.model, route.upstream.name
        images = route.images
        if images is None:
            raise NotFound(f"The upstream '{route.upstream.name}' makes no pictures.", code="endpoint_not_served")
        headers = ignored(request.asked, images.image_accepts, route.upstream.name, strict=strict)
        parts = _parts(replace(request, model=route.model), images, route.upstream.name)
        parts = await self._with_bytes(parts)
        trace.asked_at = self._now()
        calls = SideBySide([self._pieces(part, images, route, trace) for part in parts])
        if request.stream:
            stream = ImageStream(calls, request, trace, self._now)
            await stream.open(self._commit_wait_s)
            return Reply(200, headers, stream=stream, keep_alive=sse.KEEP_ALIVE)
        try:
            result = joined([result async for result in calls if isinstance(result, ImagesResult)])
        finally:
            await calls.aclose()
        trace.first_byte_at = self._now()
        note_usage(trace, result)
        return Reply(200, headers, body=msgspec.json.encode(images_response.whole(result)))

    async def _with_bytes(self, parts: Sequence[ImagesRequest]) -> list[ImagesRequest]:
        """The calls with every input picture in bytes, read once for all of them."""
        request = parts[0]
        images = tuple([await self._read(image, f"images[{place}]") for place, image in enumerate(request.images)])
        mask = None if request.mask is None else await self._read(request.mask, "mask")
        return [replace(part, images=images, mask=mask) for part in parts]

    async def _read(self, image: InputImage, param: str) -> InputImage:
        if image.url is None:
            return image
        if self._fetch is None:
            raise InvalidRequest(
                f"The picture in '{param}' is an address, and this gateway reads none. Send the picture as a "
                "data URL or as a file.",
                param=param,
                code="unsupported_value",
            )
        return check_image(await self._fetch(image.url), param)

    async def _pieces(
        self, request: ImagesRequest, images: ImageUpstream, route: Route, trace: Trace
    ) -> AsyncGenerator[Piece, None]:
        """What one call brings. Another account may take over until its first piece."""

        opened: list[ImagesAnswer] = []

        async def send(lease: Lease, timeout_s: float) -> _Call:
            answer = await images.images(request, lease, timeout_s=max(timeout_s, self._first_byte_s))
            opened.append(answer)
            call = _Call(answer)
            await call.next()
            return call

        try:
            call = await self._failover.call(send, route, trace, affinity=request.affinity)
            while isinstance(call.piece, PartialImage):
                yield call.piece
                await call.next()
        finally:
            for answer in opened:
                await answer.aclose()
        result = call.piece
        assert result is not None
        yield replace(result, pictures=tuple([await self._delivered(each, request) for each in result.pictures]))

    async def _delivered(self, picture: FinishedImage, request: ImagesRequest) -> FinishedImage:
        """The picture in the form that the caller wants."""
        wanted = "b64_json" if request.stream else request.response_format
        if picture.b64_json is None and wanted == "b64_json":
            assert picture.url is not None  # a picture has one of the two
            return replace(picture, b64_json=await self._downloaded(picture.url), url=None)
        if picture.b64_json is not None and wanted == "url":
            return replace(picture, b64_json=None, url=await self._address(picture.b64_json))
        return picture

    async def _address(self, b64_json: str) -> str:
        kind = media_type(b64_json) or "image/png"
        if self._host is None:
            return f"data:{kind};base64,{b64_json}"
        try:
            data = binascii.a2b_base64(b64_json)
        except ValueError as error:
            raise _bad("The upstream's picture is not valid base64.") from error
        return await self._host.put(data, kind)

    async def _downloaded(self, url: str) -> str:
        if self._fetch is None:
            raise UpstreamError(
                "The upstream gave an address in place of the picture, and this gateway does not read it. Ask for "
                '"response_format": "url", without "stream".',
                verdict=Verdict.REQUEST,
                code="picture_not_read",
            )
        return base64.b64encode((await self._fetch(url)).data).decode("ascii")


class _Call:
    """One call's answer, and the piece of it that was read last."""

    def __init__(self, answer: ImagesAnswer) -> None:
        self.piece: Piece | None = None
        self._pieces = aiter(answer)

    async def next(self) -> None:
        """Reads one piece. Raises UpstreamError when there is none: an answer ends with a result."""
        self.piece = await anext(self._pieces, None)
        if self.piece is None:
            raise _bad("The upstream's answer ended without a picture.")


def _parts(request: ImagesRequest, images: ImageUpstream, upstream: str) -> list[ImagesRequest]:
    """The calls that one request becomes, each with a key of its own, so that they spread over the accounts."""
    at_once = 1 if request.stream else images.max_pictures
    counts = [min(at_once, request.n - done) for done in range(0, request.n, at_once)]
    if len(counts) > MAX_CALLS:
        how = "in a stream" if request.stream else f"by the upstream '{upstream}'"
        raise InvalidRequest(
            f"'n' is at most {MAX_CALLS * at_once} {how}, where pictures are made {at_once} at a time. Send the "
            "request again for more.",
            param="n",
            code="invalid_value",
        )
    keys = [request.affinity, *(f"{request.affinity}/{place}" for place in range(1, len(counts)))]
    return [replace(request, n=count, affinity=key) for count, key in zip(counts, keys, strict=True)]


def _bad(message: str) -> UpstreamError:
    return UpstreamError(message, verdict=Verdict.SERVICE, code="upstream_bad_response")
