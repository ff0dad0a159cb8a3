"""Calls to an API that speaks OpenAI's language: one base URL, a lease's credentials, answers of any status.

How a request proves who sends it is a function, so that keys, Azure's second header and signatures share the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from lib.errors import UpstreamError
from lib.types import Clock, Lease
from lib.upstreams import openai_errors
from lib.upstreams.http import HttpAnswer, HttpClients
from lib.upstreams.refusals import misconfigured

OPENAI_URL = "https://api.openai.com/v1"

Authorize = Callable[[Lease, str, str, bytes], Mapping[str, str]]
"""(lease, method, path of the URL with the base's own, body) → the headers that authorise this one request."""

_AZURE = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")


def bearer(lease: Lease, method: str, path: str, body: bytes) -> Mapping[str, str]:
    """The lease's own headers."""
    return lease.headers


def api_key(lease: Lease, method: str, path: str, body: bytes) -> Mapping[str, str]:
    """The same, and the key once more as Azure wants it: there a bearer is either an Entra token or this key."""
    kind, _, key = lease.headers.get("authorization", "").partition(" ")
    return {**lease.headers, "api-key": key} if kind.lower() == "bearer" and key else lease.headers


def authorize_for(base_url: str | None) -> Authorize:
    """What the host of this address asks for."""
    host = urlsplit(base_url or "").hostname or ""
    return api_key if host.endswith(_AZURE) else bearer


class OpenAIApi:
    """One OpenAI-compatible API.

    base_url: with its version (`https://api.openai.com/v1`), without a slash at its end. now: epoch seconds.
    misdirected: why no request may leave (an unusable address or proxy); then each one is refused with it.
    """

    def __init__(
        self,
        clients: HttpClients,
        *,
        base_url: str | None,
        authorize: Authorize = bearer,
        user_agent: str = "chat2api",
        now: Clock,
        misdirected: str | None = None,
    ) -> None:
        self._clients = clients
        self._base = (base_url or "").rstrip("/")
        parts = urlsplit(self._base)
        self.host = parts.hostname or ""
        """Lower-case, without the port."""
        self._base_path = parts.path
        self._authorize = authorize
        self._user_agent = user_agent
        self._now = now
        self._misdirected = misdirected if misdirected is not None or base_url else "the upstream has no address"

    async def open(
        self,
        method: str,
        path: str,
        lease: Lease,
        *,
        content: bytes = b"",
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout_s: float | None = None,
        idle_s: float | None = None,
    ) -> HttpAnswer:
        """Send a request and wait for the answer's headers, at most `timeout_s`. `path` begins with a slash and follows
        the base URL. idle_s: how long the body may be silent, if longer than usual. The answer has any status:
        `refusal` says what a bad one means. Raises UpstreamError."""
        if self._misdirected is not None:
            raise misconfigured(self._misdirected)
        headers = {
            **self._authorize(lease, method, self._base_path + path, content),
            "accept": accept,
            "user-agent": self._user_agent,
        }
        if content or method == "POST":
            headers["content-type"] = content_type
        return await self._clients.open(
            method,
            self._base + path,
            headers=headers,
            content=content,
            proxy=lease.proxy,
            first_byte_s=timeout_s,
            idle_s=idle_s,
        )

    async def refusal(self, answer: HttpAnswer, head: bytes = b"") -> UpstreamError:
        """What an answer that is not good stands for; reads and closes it. `head`: the part of its body that was read
        before."""
        try:
            body = head + await answer.read(openai_errors.MAX_ERROR_BYTES)
        except UpstreamError:
            body = head  # an endless or broken error page: status and headers decide alone
        return openai_errors.from_http(answer.status, answer.headers, body, self._now())
