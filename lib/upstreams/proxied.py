"""The way to an upstream through a proxy: httpx's own transport, with its gaps closed.

httpcore reads a SOCKS proxy's replies without any timeout, leaves the socket open when that handshake fails, and does
not say whether a failed connection was a new one. Its `trace` extension shows what is going on, so that this module
can time the phases, close what was opened, and try again after a stale connection.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]  # no stub

import httpx

_SCHEMES = ("http", "https", "socks5", "socks5h")


class BadProxy(ValueError):
    """A proxy's URL that is no use. The message holds nothing of it."""


class ProxiedTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 through one HTTP, HTTPS or SOCKS5 proxy. For one event loop. Same extensions and exceptions as
    DirectTransport; whatever fails before the request itself is sent is a ProxyError, ConnectError or ConnectTimeout.
    """

    def __init__(self, proxy: str, *, tls: Callable[[], ssl.SSLContext]) -> None:
        """proxy: with scheme, and with user and password if it wants them. Raises BadProxy."""
        url = _proxy_url(proxy)
        # At level DEBUG httpcore logs headers and the proxy's password.
        logging.getLogger("httpcore").setLevel(logging.INFO)
        self._transport = httpx.AsyncHTTPTransport(
            proxy=httpx.Proxy(url, ssl_context=tls() if url.scheme == "https" else None),
            verify=tls(),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=55.0),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        attempt = _Attempt(request)
        try:
            return await attempt.run(self._transport)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            if attempt.opened is not None or attempt.answered:
                raise
        # A kept connection had gone stale: once more, see DirectTransport.
        return await _Attempt(request).run(self._transport)

    async def aclose(self) -> None:
        await self._transport.aclose()


class _Attempt:
    """One try at a request."""

    def __init__(self, request: httpx.Request) -> None:
        timeout = request.extensions.get("timeout", {})
        self._connect_s: float | None = timeout.get("connect")
        self._idle_s: float | None = timeout.get("read")
        self._first_byte_s: float | None = request.extensions.get("first_byte", self._idle_s)
        # httpcore reads this dictionary again at every step: `read` is set once the headers are there.
        self._timeouts: dict[str, float | None] = {"connect": self._connect_s, "write": timeout.get("write")}
        extensions = {"timeout": self._timeouts, "trace": self._trace}
        self._request = httpx.Request(
            request.method, request.url, headers=request.headers, stream=request.stream, extensions=extensions
        )
        self._deadline = asyncio.timeout(self._connect_s)
        self._sent = False
        self.opened: Any = None
        """The network stream, if a new connection was made."""
        self.answered = False

    async def run(self, transport: httpx.AsyncBaseTransport) -> httpx.Response:
        try:
            async with self._deadline:
                response = await transport.handle_async_request(self._request)
        except BaseException as exc:
            if self.opened is not None:
                await self.opened.aclose()
            meaning = self._meaning(exc)
            if meaning is None:
                raise
            raise meaning from exc
        if response.status_code == 407:
            # To a plain request the proxy answers in the upstream's place.
            await response.aclose()
            raise httpx.ProxyError("407 Proxy Authentication Required")
        self._timeouts["read"] = self._idle_s
        return response

    async def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith("connect_tcp.complete"):
            self.opened = info["return_value"]
        elif event.endswith("receive_response_headers.complete"):
            self.answered = self._sent
        elif event.endswith("send_request_body.complete") and self._sent:
            self._reschedule(self._first_byte_s)
        elif event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
            self._sent = True
            self._reschedule(None)

    def _reschedule(self, seconds: float | None) -> None:
        self._deadline.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)

    def _meaning(self, exc: BaseException) -> httpx.TransportError | None:
        """What `exc` means in this phase, if it does not say so itself."""
        from socksio.exceptions import SOCKSError

        if isinstance(exc, TimeoutError):
            if self._sent:
                return httpx.ReadTimeout("no answer in time")
            return httpx.ConnectTimeout("no connection through the proxy in time")
        if isinstance(exc, SOCKSError | AssertionError):
            return httpx.ProxyError("the proxy does not speak SOCKS5")
        if isinstance(exc, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError) and not self._sent:
            return httpx.ProxyError("the proxy broke off")
        return None


def environment_proxies() -> dict[str, str]:
    """The standard proxy variables of this moment, by scheme; `no` holds the exceptions."""
    return getproxies_environment()


def environment_proxy(url: httpx.URL, proxies: dict[str, str]) -> str | None:
    """The proxy that the standard variables name for this URL."""
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy:
        return None
    host = url.host if url.port is None else f"{url.host}:{url.port}"
    return None if proxy_bypass_environment(host, proxies) else proxy


def _proxy_url(proxy: str) -> httpx.URL:
    try:
        url = httpx.URL(proxy if "://" in proxy else f"http://{proxy}")
    except httpx.InvalidURL:
        raise BadProxy("the proxy's URL cannot be read") from None
    if url.scheme not in _SCHEMES or not url.host:
        raise BadProxy(f"a proxy's URL begins with one of {', '.join(_SCHEMES)} and has a host")
    return url
