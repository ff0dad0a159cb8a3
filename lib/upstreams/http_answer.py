"""An upstream's answer over HTTP, and the border where httpx's exceptions become UpstreamError.

Messages name the host, never a header, a token or a proxy's password.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator, Mapping

import httpx

from lib.errors import UpstreamError, Verdict
from lib.upstreams.compression import DamagedData, Decompressor, UnknownEncoding, decompressor
from lib.upstreams.exchange import CutOff, Exchange


class HttpAnswer:
    """Status and headers of an answer whose body is yet to be read. Read it to its end or close it."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: httpx.AsyncByteStream, host: str) -> None:
        self.status = status
        self.headers: Mapping[str, str] = _joined(headers)
        """Lower-case names; repeated ones joined with ", "."""
        self._body = body
        self._host = host

    @classmethod
    def of(cls, response: httpx.Response, host: str) -> HttpAnswer:
        """The answer of an httpx transport."""
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return cls(response.status_code, response.headers.raw, response.stream, host)

    def chunks(self) -> AsyncIterator[bytes]:
        """The body, decompressed, as it comes: plain bytes keep the cut of the reads. Once only.

        Raises UpstreamError: `upstream_stalled`, `upstream_truncated`, `upstream_bad_response`. A failed or
        cancelled read closes the answer.
        """
        body, encoding = self._body, self.headers.get("content-encoding", "")
        if not encoding and isinstance(body, Exchange):  # nearly always: a layer less for each chunk
            body.shown = functools.partial(_shown, self._host)
            return body
        return _Chunks(self, body.__aiter__(), self._host)

    async def read(self, max_bytes: int) -> bytes:
        """The whole body. Raises UpstreamError as `chunks` does, and `upstream_bad_response` beyond `max_bytes`."""
        parts = []
        size = 0
        try:
            async for chunk in self.chunks():
                size += len(chunk)
                if size > max_bytes:
                    raise _bad_response(f"{self._host} sent an answer of more than {max_bytes} bytes.")
                parts.append(chunk)
        finally:
            await self.aclose()
        return b"".join(parts)

    async def aclose(self) -> None:
        """Close it; if there is more to come, the connection goes too. May be called at any time, and again."""
        await self._body.aclose()

    async def release(self) -> None:
        """Close it after all that matters was read: the connection is kept if the body ends soon."""
        if isinstance(self._body, Exchange):
            self._body.drain()
        else:
            await self._body.aclose()


class _Chunks:
    """An iterator rather than a generator: nothing is left suspended when its reader goes away."""

    def __init__(self, answer: HttpAnswer, body: AsyncIterator[bytes], host: str) -> None:
        self._answer = answer
        self._body = body
        self._host = host
        self._started = False
        self._decompressor: Decompressor | None = None
        self._pieces: Iterator[bytes] = iter(())

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            if not self._started:
                self._started = True
                self._decompressor = decompressor(self._answer.headers.get("content-encoding", ""))
            if self._decompressor is None:
                return await self._body.__anext__()
            return await self._decompressed(self._decompressor)
        except StopAsyncIteration:
            raise
        except BaseException as exc:
            await self._answer.aclose()
            error = _broken(exc, self._host)
            if error is None:
                raise
            raise error from exc

    async def _decompressed(self, decompressor: Decompressor) -> bytes:
        while True:
            for piece in self._pieces:
                return piece
            try:
                chunk = await self._body.__anext__()
            except StopAsyncIteration:
                if decompressor.whole:
                    raise
                raise CutOff("the compressed answer is not whole") from None
            self._pieces = decompressor.feed(chunk)


def _joined(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    joined = {str(name, "latin-1").lower(): str(value, "latin-1") for name, value in raw}
    if len(joined) == len(raw):
        return joined
    joined.clear()
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _bad_response(message: str) -> UpstreamError:
    return UpstreamError(message, verdict=Verdict.SERVICE, status=502, code="upstream_bad_response")


def failed(exc: Exception, host: str) -> UpstreamError:
    """What went wrong before the answer's headers were there."""
    if isinstance(exc, httpx.ConnectTimeout | httpx.PoolTimeout):
        return UpstreamError(
            f"{host} could not be reached in time.",
            verdict=Verdict.UNREACHABLE,
            status=504,
            code="upstream_timeout",
        )
    if isinstance(exc, httpx.TimeoutException):
        return UpstreamError(
            f"{host} did not answer in time.", verdict=Verdict.SERVICE, status=504, code="upstream_timeout"
        )
    if isinstance(exc, httpx.LocalProtocolError | UnicodeEncodeError):
        return UpstreamError(
            f"A header for {host} holds a character that HTTP cannot carry.",
            verdict=Verdict.REQUEST,
            status=400,
            type="invalid_request_error",
            code="invalid_header",
        )
    if isinstance(exc, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError):
        error = _broken(exc, host)
        assert error is not None
        return error
    reason = "its URL is not valid" if isinstance(exc, httpx.InvalidURL) else exc
    return UpstreamError(
        f"{host} could not be reached: {reason}.", verdict=Verdict.UNREACHABLE, status=502, code="upstream_unreachable"
    )


def _broken(exc: BaseException, host: str) -> UpstreamError | None:
    """What went wrong once the request was sent; None for what is no fault of the upstream."""
    if isinstance(exc, httpx.TimeoutException):
        return UpstreamError(
            f"{host} fell silent in the middle of its answer.",
            verdict=Verdict.SERVICE,
            status=504,
            code="upstream_stalled",
        )
    if isinstance(exc, httpx.NetworkError) or _is_cut(exc):
        return UpstreamError(
            f"{host} broke off before its answer was whole.",
            verdict=Verdict.SERVICE,
            status=502,
            code="upstream_truncated",
        )
    if isinstance(exc, httpx.ProtocolError):
        return _bad_response(f"{host} sent something that is not valid HTTP.")
    if isinstance(exc, UnknownEncoding):
        return _bad_response(f"{host} answered in {exc}.")
    if isinstance(exc, DamagedData):
        return _bad_response(f"{host} sent an answer that cannot be decompressed.")
    return None


def _shown(host: str, exc: httpx.TransportError) -> Exception:
    # Not a method: the exchange would refer back to the answer, a cycle for each request.
    error = _broken(exc, host)
    if error is not None:
        error.__cause__ = exc
    return error or exc


def _is_cut(exc: BaseException) -> bool:
    # httpcore and h11 have only words for the difference between a cut and a malformed answer.
    return isinstance(exc, CutOff) or str(exc).startswith(("Server disconnected", "peer closed connection"))
