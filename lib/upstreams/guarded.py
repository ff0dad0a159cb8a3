"""Fetches what a caller points at, from public web servers only.

Each URL, and each one that a redirect leads to, is parsed once, its name is resolved once, every address is checked,
and the connection goes to a checked address without another look-up: a name that answers differently the second time
gains nothing. The certificate is checked against the name.

No proxy is used, neither PROXY nor the standard variables: a proxy would resolve names by itself. No cookie and no
credential is sent, and no connection is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from urllib.parse import urljoin

import httpx

from lib.canonical.fetched import Fetched
from lib.errors import UpstreamError
from lib.upstreams.addresses import Target, is_public, not_fetched, not_public, parse
from lib.upstreams.http_answer import HttpAnswer, failed
from lib.upstreams.transport import DirectTransport, tls_context

_MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_ADDRESSES = 4
_ADDRESS_S = 3.0
"""How many of a name's addresses are tried, and for how long each."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port → every address. Raises OSError."""
Dial = Callable[[str, int], Awaitable[socket.socket]]
"""Address and port → a connected, non-blocking socket. Raises OSError."""


async def resolve(host: str, port: int) -> list[str]:
    """What the system's resolver says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in found]


async def dial(address: str, port: int) -> socket.socket:
    """A connection to an address, which is not looked up again."""
    opened = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        await asyncio.get_running_loop().sock_connect(opened, (address, port))
    except BaseException:
        opened.close()
        raise
    return opened


class GuardedClient:
    """See above. timeout_s: for one `fetch` from the first look-up to the last byte, redirects included."""

    def __init__(
        self,
        *,
        timeout_s: float = 10.0,
        user_agent: str = "chat2api",
        resolve: Resolve = resolve,
        dial: Dial = dial,
        tls: Callable[[], ssl.SSLContext] = tls_context,
    ) -> None:
        self._timeout_s = timeout_s
        self._user_agent = user_agent
        self._resolve = resolve
        self._dial = dial
        self._tls = tls

    async def fetch(self, url: str, *, media_types: Collection[str], max_bytes: int) -> Fetched:
        """GET it. media_types: what it may be, in lower case. max_bytes: packed and unpacked.

        Raises InvalidRequest `url_not_fetched`; the message says why, in words for the caller.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._follow(url, media_types, max_bytes)
        except TimeoutError as error:
            raise not_fetched("it did not come whole in time") from error
        except UpstreamError as error:
            raise not_fetched(error.message.rstrip(".")) from error

    async def _follow(self, url: str, media_types: Collection[str], max_bytes: int) -> Fetched:
        for _ in range(_MAX_REDIRECTS + 1):
            target = parse(url)
            async with self._get(target, media_types, max_bytes) as answer:
                if answer.status not in _REDIRECTS:
                    return await _read(answer, target.url, media_types, max_bytes)
                url = _location(answer, target.url)
        raise not_fetched("it redirects too often")

    @contextlib.asynccontextmanager
    async def _get(self, target: Target, media_types: Collection[str], max_bytes: int) -> AsyncIterator[HttpAnswer]:
        addresses = await self._addresses(target)
        transport = DirectTransport(
            tls=self._tls, max_idle=0, connect=functools.partial(self._connected, addresses, target.port)
        )
        url = httpx.URL(target.url)
        headers = {
            "host": url.netloc.decode("ascii"),
            "user-agent": self._user_agent,
            "accept": ", ".join(sorted(media_types)),
            "accept-encoding": "gzip, deflate",
        }
        try:
            try:
                response = await transport.handle_async_request(httpx.Request("GET", url, headers=headers))
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise failed(error, target.host) from error
            assert isinstance(response.stream, httpx.AsyncByteStream)
            response.stream = _Bounded(response.stream, max_bytes)
            yield HttpAnswer.of(response, target.host)
        finally:
            await transport.aclose()

    async def _addresses(self, target: Target) -> list[str]:
        """Those of the name, of which every one is public."""
        try:
            found = await self._resolve(target.host, target.port)
        except (OSError, UnicodeError) as error:
            raise not_public() from error
        if not found or not all(map(is_public, found)):
            raise not_public()
        return list(dict.fromkeys(found))

    async def _connected(self, addresses: Sequence[str], port: int) -> socket.socket:
        """To the first of these addresses that takes it. Raises OSError."""
        error = OSError("the name has no address")
        for address in addresses[:_MAX_ADDRESSES]:
            try:
                async with asyncio.timeout(_ADDRESS_S):
                    return await self._dial(address, port)
            except OSError as exc:
                error = exc
        raise error


class _Bounded(httpx.AsyncByteStream):
    """A body as it travels, compressed or not. Raises InvalidRequest beyond its bound."""

    def __init__(self, stream: httpx.AsyncByteStream, max_bytes: int) -> None:
        self._stream = stream
        self._chunks = stream.__aiter__()
        self._left = max_bytes

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._chunks.__anext__()
        self._left -= len(chunk)
        if self._left < 0:
            raise _too_large()
        return chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _read(answer: HttpAnswer, url: str, media_types: Collection[str], max_bytes: int) -> Fetched:
    if answer.status != 200:
        raise not_fetched(f"the server answered with status {answer.status}")
    media_type, charset = _content_type(answer.headers.get("content-type", ""))
    if media_type not in media_types:
        raise not_fetched(f"its content type is not one of {', '.join(sorted(media_types))}")
    declared = answer.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 15 or int(declared) > max_bytes):
        raise _too_large()
    data = bytearray()
    async for piece in answer.chunks():
        data += piece
        if len(data) > max_bytes:
            raise _too_large()
    return Fetched(url, media_type, charset, bytes(data))


def _too_large() -> Exception:
    return not_fetched("it is too large")


def _content_type(header: str) -> tuple[str, str | None]:
    media_type, *parameters = header.split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return media_type.strip().lower(), value.strip().strip("\"'") or None
    return media_type.strip().lower(), None


def _location(answer: HttpAnswer, url: str) -> str:
    location = answer.headers.get("location", "")
    if not location:
        raise not_fetched("it redirects to nowhere")
    with contextlib.suppress(UnicodeError):  # headers are read as Latin-1, and URLs in them are UTF-8 if anything
        location = location.encode("latin-1").decode("utf-8")
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise not_fetched("it redirects to what is no URL") from error
