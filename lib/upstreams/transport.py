"""Our own way to an upstream without a proxy: an httpx transport on asyncio and httptools.

httpx's own transport (httpcore, h11, anyio) copies a stream eight times slower than a bare asyncio protocol and
answers whole requests forty times slower; it stays in use behind proxies only.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from lib.upstreams.connection import Connection, Origin
from lib.upstreams.exchange import Exchange, Limits

_PORTS = {"http": 80, "https": 443}
_ADDRESS = re.compile(r"[0-9.]+|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*")
_STALE_S = 0.5
_HAPPY_EYEBALLS_S = 0.25
"""RFC 8305: how long one address family may keep the other waiting."""


@functools.cache
def tls_context() -> ssl.SSLContext:
    """The one context of the process: reading the certificates takes 24 to 29 ms, so not before TLS is needed.
    `SSL_CERT_FILE` and `SSL_CERT_DIR` count as they do for httpx."""
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class DirectTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 straight to the origin, http and https, with kept-alive connections. For one event loop.

    Takes requests with a body in bytes. Reads httpx's `timeout` extension and one of our own, `first_byte`: seconds
    from the end of the request to the end of the answer's headers (default: httpx's `read`, which otherwise is the
    silence allowed between two reads). Raises httpx's exceptions.

    The reader bounds the body. Closing an answer that has not been read to its end closes the connection at once.
    """

    def __init__(
        self,
        *,
        tls: Callable[[], ssl.SSLContext] = tls_context,
        max_idle: int = 100,
        max_idle_s: float = 55.0,
        connect: Callable[[], Awaitable[socket.socket]] | None = None,
    ) -> None:
        """max_idle: connections kept for later, over all origins. max_idle_s: for how long; just below the 60 s
        after which common load balancers hang up. connect: gives a connected socket, for whoever chooses the address
        (raises OSError); by default the origin's name is looked up here."""
        self._tls = tls
        self._connected = connect
        self._max_idle = max_idle
        self._max_idle_s = max_idle_s
        self._idle: list[Connection] = []
        """Longest idle first."""
        self._open: set[Connection] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        timeout = request.extensions.get("timeout", {})
        read_s = timeout.get("read")
        exchange = await self.send(
            origin_of(request.url),
            _head(request),
            await _body(request),
            Limits(timeout.get("write"), request.extensions.get("first_byte", read_s), read_s),
            connect_s=timeout.get("connect"),
            bodiless=request.method == "HEAD",
        )
        return httpx.Response(exchange.status, headers=exchange.headers, stream=exchange)

    async def send(
        self,
        origin: Origin,
        head: bytes,
        body: bytes,
        limits: Limits,
        *,
        connect_s: float | None,
        bodiless: bool = False,
    ) -> Exchange:
        """The same without httpx's Request and Response, which cost as much as all the rest. The exchange has the
        answer's status and headers. head: of the request, from `checked`."""
        connection = self._take(origin)
        if connection is not None:
            exchange = Exchange(connection, limits, bodiless=bodiless)
            loop = asyncio.get_running_loop()
            sent_at = loop.time()
            try:
                return await _answered(exchange, head, body)
            except (httpx.NetworkError, httpx.RemoteProtocolError):
                # The upstream hung up while the connection, or this whole process, was asleep. That is nobody's
                # failure, so it is not shown; a fresh connection shows whether the upstream is there. A dead
                # connection says so within a round trip: what breaks later may have been worked on.
                if exchange.answered or loop.time() - sent_at > _STALE_S:
                    raise
        connection = await self._connect(origin, connect_s)
        return await _answered(Exchange(connection, limits, bodiless=bodiless), head, body)

    async def aclose(self) -> None:
        """Drop every connection, the ones in use too."""
        for connection in tuple(self._open):
            connection.abort()
        await asyncio.sleep(0)  # asyncio closes the sockets in its next turn

    def _take(self, origin: Origin) -> Connection | None:
        """The connection to `origin` that was used last: the one least likely to have gone stale."""
        self._drop_aged()
        for index in range(len(self._idle) - 1, -1, -1):
            if self._idle[index].origin == origin:
                return self._idle.pop(index)
        return None

    def _keep(self, connection: Connection) -> None:
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.append(connection)
        self._drop_aged()

    def _drop_aged(self) -> None:
        if not self._idle:
            return
        oldest_kept = asyncio.get_running_loop().time() - self._max_idle_s
        while self._idle and (self._idle[0].idle_since < oldest_kept or len(self._idle) > self._max_idle):
            self._idle.pop(0).abort()

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    async def _connect(self, origin: Origin, timeout_s: float | None) -> Connection:
        scheme, host, port = origin
        loop = asyncio.get_running_loop()
        tls = self._tls() if scheme == "https" else None
        way: dict[str, Any] = {"host": host, "port": port}
        # uvloop does not know the option; and an address has nothing to race with, but a cancelled race leaves sockets.
        if isinstance(loop, asyncio.BaseEventLoop) and not _ADDRESS.fullmatch(host):
            way["happy_eyeballs_delay"] = _HAPPY_EYEBALLS_S
        try:
            async with asyncio.timeout(timeout_s):
                if self._connected is not None:
                    way = {"sock": await self._connected(), "server_hostname": host if tls else None}
                connection: Connection
                _, connection = await loop.create_connection(
                    lambda: Connection(origin, self._keep, self._forget), ssl=tls, **way
                )
        except TimeoutError as exc:
            raise httpx.ConnectTimeout("no connection in time") from exc
        except (OSError, UnicodeError) as exc:  # UnicodeError: a name that DNS cannot hold
            raise httpx.ConnectError(_reason(exc)) from exc
        self._open.add(connection)
        return connection


async def _answered(exchange: Exchange, head: bytes, body: bytes) -> Exchange:
    exchange.start(head, body)
    try:
        await exchange.head()
    except BaseException:
        exchange.close()
        raise
    return exchange


def origin_of(url: httpx.URL) -> Origin:
    """Where a URL leads. Raises UnsupportedProtocol."""
    if url.scheme not in _PORTS or not url.host:
        raise httpx.UnsupportedProtocol("the URL is not http:// or https:// with a host")
    return url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme]


def checked(lines: list[str]) -> str:
    """The head of a request, of its first line and one for each header. Raises LocalProtocolError for what would be
    another line."""
    text = "".join(lines)
    if "\n" in text or "\r" in text or "\0" in text:
        raise httpx.LocalProtocolError("a header of the request holds a line break or NUL")
    return "\r\n".join([*lines, "\r\n"])


def _head(request: httpx.Request) -> bytes:
    raw = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    raw += [b"%b: %b" % header for header in request.headers.raw]
    head = checked([line.decode("latin-1") for line in raw])
    if "\r\ntransfer-encoding:" in head.lower():  # a tenth of asking httpx's headers
        raise httpx.LocalProtocolError("the body of the request is not bytes")
    return head.encode("latin-1")


async def _body(request: httpx.Request) -> bytes:
    stream = request.stream
    return b"".join(stream) if isinstance(stream, httpx.ByteStream) else await request.aread()


def _reason(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"the certificate was refused: {exc.verify_message}"
    if isinstance(exc, ssl.SSLError):
        return f"TLS failed: {exc.reason or 'handshake'}"
    if isinstance(exc, OSError):
        # asyncio's own text names the address, which is none of the caller's business.
        return os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc.strerror or type(exc).__name__
    return "the host name is not valid"
