"""HTTP to the upstreams, for their modules and for the renewal of tokens.

Requests go from httpx.Request straight to a transport. `httpx.AsyncClient.send` costs 80 µs a request on top of the
transport (measured on a 2-core machine: 110 µs with `build_request`, 30 µs without the client), and what it adds is
what a gateway must not do: keep cookies, follow redirects, read `.netrc`, log URLs. A whole small request and answer
through this module take about 120 µs of CPU on a kept connection, where a bare asyncio protocol with httptools takes
75 and httpx 1,000; a stream of small chunks read in bulk, 0.25 µs a chunk against 10.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import httpx

from lib.upstreams.connection import Origin
from lib.upstreams.exchange import Limits
from lib.upstreams.http_answer import HttpAnswer, failed
from lib.upstreams.proxied import BadProxy, ProxiedTransport, environment_proxies, environment_proxy
from lib.upstreams.transport import DirectTransport, checked, origin_of, tls_context

__all__ = ["HttpAnswer", "HttpClients", "Timeouts"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """connect_s: to a connection, TLS included. first_byte_s: from there to the end of the answer's headers.
    idle_s: silence within a body, either way."""

    connect_s: float = 10
    first_byte_s: float = 60
    idle_s: float = 120


class HttpClients:
    """One transport for each event loop and proxy, made when first needed.

    Serverless platforms may run each invocation on an event loop of its own: what belongs to a loop is closed with
    it, at the latest when the next loop sends its first request.
    """

    def __init__(
        self,
        *,
        timeouts: Timeouts,
        proxy: str | None = None,
        user_agent: str = "chat2api",
        tls: Callable[[], ssl.SSLContext] = tls_context,
    ) -> None:
        """proxy: for requests that name none. user_agent: for requests whose headers name none."""
        self._timeouts = timeouts
        self._proxy = proxy
        self._user_agent = user_agent
        self._tls = tls
        self._environment = environment_proxies()
        self._loops: dict[asyncio.AbstractEventLoop, _LoopTransports] = {}

    async def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        proxy: str | None = None,
        first_byte_s: float | None = None,
        idle_s: float | None = None,
    ) -> HttpAnswer:
        """Send a request and wait for the answer's headers, at most `first_byte_s` (default: as configured).

        idle_s: how long the body may be silent, if longer than configured.
        proxy: wins over the constructor's, which wins over the standard variables. No redirect is followed.
        Raises UpstreamError: `upstream_unreachable`, `upstream_timeout`, `upstream_truncated`,
        `upstream_bad_response`; `invalid_header` for a header that HTTP cannot carry.
        """
        host = "the upstream"
        try:
            place = _place(url)
            host = place.url.host
            proxy = (
                proxy or self._proxy or (environment_proxy(place.url, self._environment) if self._environment else None)
            )
            if proxy:
                host += " (through the proxy)"
            times = self._timeouts
            limits = Limits(
                times.idle_s,
                times.first_byte_s if first_byte_s is None else first_byte_s,
                times.idle_s if idle_s is None else max(idle_s, times.idle_s),
            )
            lines = self._lines(method, place, headers, content)
            transport = await self._transport(proxy)
            if isinstance(transport, DirectTransport):
                exchange = await transport.send(
                    place.origin,
                    checked(lines),
                    content or b"",
                    limits,
                    connect_s=times.connect_s,
                    bodiless=method == "HEAD",
                )
                return HttpAnswer(exchange.status, exchange.headers, exchange, host)
            request = _request(method, place.url, lines, content or b"", limits, times.connect_s)
            return HttpAnswer.of(await transport.handle_async_request(request), host)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError, BadProxy) as exc:
            raise failed(exc, host) from exc

    async def aclose(self) -> None:
        """Close the connections of the running loop, the ones in use too."""
        transports = self._loops.pop(asyncio.get_running_loop(), None)
        if transports is not None:
            await transports.aclose()

    def _lines(self, method: str, place: _Place, headers: Mapping[str, str], content: bytes | None) -> list[bytes]:
        """The request's first line, and one for each header."""
        all_headers = {"host": place.host, "user-agent": self._user_agent, "accept-encoding": "identity"}
        if content or method in ("POST", "PUT", "PATCH"):
            all_headers["content-length"] = str(len(content or b""))
        for name, value in headers.items():
            all_headers[name.lower()] = value
        lines = [f"{name}: {value}".encode("ascii") for name, value in all_headers.items()]
        return [b"%b %b HTTP/1.1" % (method.encode("ascii"), place.target), *lines]

    async def _transport(self, proxy: str | None) -> httpx.AsyncBaseTransport:
        loop = asyncio.get_running_loop()
        transports = self._loops.get(loop)
        if transports is None:
            transports = self._loops[loop] = _LoopTransports(self._tls)
            await transports.watch()
            for old in [old for old in self._loops if old.is_closed()]:
                await _bury(old, self._loops.pop(old))
        return transports.get(proxy)


class _LoopTransports:
    """The transports of one event loop, by proxy. Closed with the loop by all that ends its asynchronous generators,
    as `asyncio.run` does."""

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._transports: dict[str | None, httpx.AsyncBaseTransport] = {}
        self._life = self._live()

    async def watch(self) -> None:
        """Call once, on the loop."""
        _living.add(self)
        await self._life.__anext__()

    def get(self, proxy: str | None) -> httpx.AsyncBaseTransport:
        transport = self._transports.get(proxy)
        if transport is None:
            transport = ProxiedTransport(proxy, tls=self._tls) if proxy else DirectTransport(tls=self._tls)
            self._transports[proxy] = transport
        return transport

    async def aclose(self) -> None:
        await self._life.aclose()

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            _living.discard(self)
            for transport in self._transports.values():
                await transport.aclose()
            self._transports.clear()


_living: set[_LoopTransports] = set()
"""Held here, because a generator that is collected is closed in a task, and a loop that is about to end cancels that
task before it has begun."""


async def _bury(loop: asyncio.AbstractEventLoop, transports: _LoopTransports) -> None:
    """Close the sockets of a loop that was closed before them.

    asyncio closes a socket in the next turn of its loop, and this one has no next turn: it does so at once instead,
    and does nothing else any more, least of all wake the tasks that died with it.
    """

    def at_once(callback: Callable[..., object], *args: object, context: object = None) -> None:
        if isinstance(getattr(callback, "__self__", None), asyncio.BaseTransport | asyncio.BaseProtocol):
            callback(*args)

    loop.call_soon = at_once  # type: ignore[method-assign,assignment]
    await transports.aclose()


class _Place(NamedTuple):
    """A URL, and what requests to it have in common."""

    url: httpx.URL
    origin: Origin
    host: str
    """For the header."""
    target: bytes
    """For the first line."""


@functools.lru_cache(maxsize=64)
def _place(url: str) -> _Place:
    parsed = httpx.URL(url)
    return _Place(parsed, origin_of(parsed), parsed.netloc.decode("ascii"), parsed.raw_path)


def _request(
    method: str, url: httpx.URL, lines: list[bytes], body: bytes, limits: Limits, connect_s: float
) -> httpx.Request:
    """The request as httpx's own transports take it."""
    checked(lines)
    named = (line.partition(b": ") for line in lines[1:])
    return httpx.Request(
        method,
        url,
        headers=[(name, value) for name, _, value in named],
        stream=httpx.ByteStream(body),  # `content=` would work out the headers once more, for 14 µs
        extensions={
            "timeout": {"connect": connect_s, "read": limits.idle_s, "write": limits.write_s},
            "first_byte": limits.first_byte_s,
        },
    )
