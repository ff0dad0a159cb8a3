"""HTTP to the upstreams, for their modules and for the renewal of tokens.

Requests go from httpx.Request straight to a transport. `httpx.AsyncClient.send` costs 80 µs a request on top of the
transport (measured on a 2-core machine: 110 µs with `build_request`, 30 µs without the client), and what it adds is
what a gateway must not do: keep cookies, follow redirects, read `.netrc`, log URLs. A whole small request and answer
through this module take about 120 µs of CPU on a kept connection, where a bare asyncio protocol with httptools takes
75 and httpx 1,000; a stream of small chunks read in bulk, 0.25 µs a chunk against 10.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import httpx

from lib.loops import PerLoop
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
    """One transport for each event loop and proxy, made when first needed (see `lib.loops`)."""

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
        self._environment = environment_proxies()
        self._transports = PerLoop(functools.partial(_Transports, tls), _Transports.aclose)

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

        headers: lower-case names.
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
            head = self._head(method, place, headers, content)
            transport = (await self._transports.get()).get(proxy)
            if isinstance(transport, DirectTransport):
                exchange = await transport.send(
                    place.origin,
                    head,
                    content or b"",
                    limits,
                    connect_s=times.connect_s,
                    bodiless=method == "HEAD",
                )
                return HttpAnswer(exchange.status, exchange.headers, exchange, host)
            request = _request(method, place.url, head, content or b"", limits, times.connect_s)
            return HttpAnswer.of(await transport.handle_async_request(request), host)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError, BadProxy) as exc:
            raise failed(exc, host) from exc

    async def aclose(self) -> None:
        """Close the connections of the running loop, the ones in use too."""
        await self._transports.aclose()

    def _head(self, method: str, place: _Place, headers: Mapping[str, str], content: bytes | None) -> bytes:
        """The request's first line and headers, as they are sent."""
        named = {"host": place.host, "user-agent": self._user_agent, "accept-encoding": "identity", **headers}
        if content or method in ("POST", "PUT", "PATCH"):
            named["content-length"] = str(len(content or b""))
        lines = [f"{name}: {value}" for name, value in named.items()]
        return checked([f"{method} {place.target} HTTP/1.1", *lines]).encode("ascii")


class _Transports:
    """The transports of one event loop, by proxy."""

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._by_proxy: dict[str | None, httpx.AsyncBaseTransport] = {}

    def get(self, proxy: str | None) -> httpx.AsyncBaseTransport:
        transport = self._by_proxy.get(proxy)
        if transport is None:
            transport = ProxiedTransport(proxy, tls=self._tls) if proxy else DirectTransport(tls=self._tls)
            self._by_proxy[proxy] = transport
        return transport

    async def aclose(self) -> None:
        for transport in self._by_proxy.values():
            await transport.aclose()


class _Place(NamedTuple):
    """A URL, and what requests to it have in common."""

    url: httpx.URL
    origin: Origin
    host: str
    """For the header."""
    target: str
    """For the first line."""


@functools.lru_cache(maxsize=64)
def _place(url: str) -> _Place:
    parsed = httpx.URL(url)
    return _Place(parsed, origin_of(parsed), parsed.netloc.decode("ascii"), parsed.raw_path.decode("ascii"))


def _request(method: str, url: httpx.URL, head: bytes, body: bytes, limits: Limits, connect_s: float) -> httpx.Request:
    """The request as httpx's own transports take it."""
    named = (line.partition(b": ") for line in head.split(b"\r\n")[1:-2])
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
