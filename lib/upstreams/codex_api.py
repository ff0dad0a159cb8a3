"""Calls to the Codex backend: its address, the headers that name us, and what a refusal means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lib.errors import UpstreamError
from lib.types import Clock, Lease, Window
from lib.upstreams import codex_errors
from lib.upstreams.http import HttpAnswer, HttpClients
from lib.upstreams.refusals import misconfigured

_AGENT = "chat2api"


class CodexApi:
    """The backend, for all that asks it anything.

    base_url: scheme and host, without `/backend-api`. client_version: the protocol version that the catalogue and the
    newer models are gated by. misdirected: why no request may leave (an unusable address or proxy); then each one is
    refused with it.
    """

    def __init__(
        self,
        clients: HttpClients,
        *,
        base_url: str | None,
        client_version: str,
        now: Clock,
        misdirected: str | None = None,
    ) -> None:
        self._clients = clients
        self._base = (base_url or "").rstrip("/") + "/backend-api"
        self.client_version = client_version
        self.now = now
        self._misdirected = misdirected

    async def open(
        self,
        method: str,
        path: str,
        lease: Lease,
        *,
        accept: str,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        area: str = "/codex",
    ) -> HttpAnswer:
        """Send a request and wait for the answer's headers, at most `timeout_s`; the answer has any status. `area`: the
        part of the backend that `path` belongs to. Raises UpstreamError."""
        if self._misdirected is not None:
            raise misconfigured(self._misdirected)
        named = {
            **lease.headers,
            "accept": accept,
            "user-agent": f"{_AGENT}/{self.client_version}",
            "originator": _AGENT,
            "version": self.client_version,
            **(headers or {}),
        }
        if content is not None:
            named["content-type"] = "application/json"
        return await self._clients.open(
            method, self._base + area + path, headers=named, content=content, proxy=lease.proxy, first_byte_s=timeout_s
        )

    async def refusal(self, answer: HttpAnswer, windows: Sequence[Window] = (), head: bytes = b"") -> UpstreamError:
        """The error that a page or a JSON body stands for. `head`: the part of the body that was read before."""
        try:
            body = head + await answer.read(codex_errors.MAX_ERROR_BYTES)
        except UpstreamError:
            body = head  # an endless or broken error page: status and headers decide alone
        return codex_errors.from_http(answer.status, answer.headers, body, windows, self.now())
