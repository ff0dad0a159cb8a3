"""What arrives of this deployment at its own public address: whether streams stream, and whether browsers may ask.

The gateway calls itself over HTTP, at PUBLIC_URL or where the request says that it was sent. That address is not to be
believed blindly: it has to lead to a public host or to the very socket that is listened on, only fixed paths are asked
for, no redirect is followed, and nothing of the answer is repeated but its status, times and CORS headers.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lib.doctor.finding import Finding, duration
from lib.doctor.upstreams import Measured, note_date
from lib.errors import UpstreamError
from lib.types import Clock
from lib.upstreams.addresses import is_public
from lib.upstreams.guarded import resolve
from lib.upstreams.http import HttpClients, Timeouts

STREAM_PATH = "/v1/doctor/stream"
PIECES, PAUSE_S = 5, 0.2
"""What is streamed there: so many events, with this pause between them."""

_MAX_STREAM_BYTES = 64 * 1024
_STREAM, _CORS = "streaming", "browsers (CORS)"
_SET_IT = "Set PUBLIC_URL to the gateway's address, or run `make doctor` from outside."

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port → every address. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the deployment is to be found."""

    base_url: str
    """Without /v1."""
    is_configured: bool
    """Whether the operator said so, and not the request."""
    listens_on: tuple[str, int] | None
    """The address of the socket that the request came in by; None where a platform stands before it."""
    credential: Mapping[str, str] = field(repr=False)
    """The header by which the request's own sender was let in."""


class OwnAddress:
    """The checks. first_byte_s: patience; a cold start may be in it."""

    def __init__(
        self, address: Address, *, now: Clock, resolve_name: Resolve = resolve, first_byte_s: float = 10.0
    ) -> None:
        self._address = address
        self._now = now
        self._resolve = resolve_name
        self._first_byte_s = first_byte_s

    async def findings(self, measured: Measured) -> Sequence[Finding]:
        """Two of them: streams and browsers."""
        refusal = await self._refusal()
        if refusal is not None:
            return [Finding(name, "unknown", refusal, _SET_IT) for name in (_STREAM, _CORS)]
        clients = HttpClients(timeouts=Timeouts(connect_s=5.0, first_byte_s=self._first_byte_s, idle_s=5.0))
        try:
            return await asyncio.gather(self._streaming(clients, measured), self._cors(clients))
        finally:
            await clients.aclose()

    async def _refusal(self) -> str | None:
        """Why the address is not asked; None: it may be."""
        if self._address.is_configured:
            return None
        parts = urlsplit(self._address.base_url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        try:
            addresses = await self._resolve(host, port)
        except OSError:
            return "The gateway's own name cannot be resolved from here."
        if addresses and all(map(is_public, addresses)):
            return None
        own = self._address.listens_on
        if own is not None and port == own[1] and all(_is_same(address, own[0]) for address in addresses):
            return None
        return "The request's Host is neither a public address nor the one that is listened on, so it was not called."

    async def _streaming(self, clients: HttpClients, measured: Measured) -> Finding:
        headers = {**self._address.credential, "accept": "text/event-stream"}
        loop = asyncio.get_running_loop()
        arrivals: list[float] = []
        try:
            answer = await clients.open("GET", self._address.base_url + STREAM_PATH, headers=headers)
            try:
                if self._address.listens_on is None:  # else it is this very clock that is told
                    note_date(measured, answer.headers.get("date"), self._now())
                if answer.status != 200:
                    return _not_reached(_STREAM, answer.status)
                size = 0
                async for chunk in answer.chunks():
                    arrivals += [loop.time()] * chunk.count(b"\n\n")
                    size += len(chunk)
                    if size > _MAX_STREAM_BYTES:
                        break
            finally:
                await answer.aclose()
        except UpstreamError as error:
            return _no_answer(_STREAM, error)
        return judge_stream(arrivals)

    async def _cors(self, clients: HttpClients) -> Finding:
        asked = {
            "origin": "https://doctor.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization, content-type, x-stainless-os",
        }
        try:
            answer = await clients.open("OPTIONS", f"{self._address.base_url}/v1/chat/completions", headers=asked)
            await answer.aclose()
        except UpstreamError as error:
            return _no_answer(_CORS, error)
        return judge_preflight(answer.status, answer.headers)


def judge_stream(arrivals: Sequence[float]) -> Finding:
    """When the events of STREAM_PATH arrived, in seconds of any clock."""
    if len(arrivals) < PIECES:
        found = f"{len(arrivals)} of {PIECES} events arrived."
        return Finding(_STREAM, "problem", found, "Something in front of the gateway cuts its streams off.")
    spread_s, whole_s = arrivals[-1] - arrivals[0], (PIECES - 1) * PAUSE_S
    if spread_s >= whole_s / 2:
        return Finding(_STREAM, "ok", f"{PIECES} events arrived one by one, over {duration(spread_s)}.")
    return Finding(
        _STREAM,
        "problem",
        f"Events that are sent over {duration(whole_s)} arrived within {duration(spread_s)}: something collects them.",
        "Let what stands in front of the gateway stream: a proxy's buffering or compression, Lambda's InvokeMode "
        "RESPONSE_STREAM with the bootstrap wrapper (docs/deploy.md).",
    )


def judge_preflight(status: int, headers: Mapping[str, str]) -> Finding:
    """The answer to a preflight; lower-case names."""
    allowed = {name.strip().lower() for name in headers.get("access-control-allow-headers", "").split(",")}
    origin = headers.get("access-control-allow-origin", "")
    missing = [name for name in ("authorization", "content-type") if name not in allowed]
    if not 200 <= status < 300:
        wrong = f"A preflight is answered with {status}"
    elif origin != "*":
        wrong = f"The allowed origin comes {'twice' if ',' in origin else 'changed' if origin else 'not at all'}"
    elif missing:
        wrong = f"A preflight does not allow {' and '.join(missing)}"
    else:
        return Finding(_CORS, "ok", "A preflight is answered as the gateway answers it.")
    advice = "Something in front of the gateway answers for it, or adds CORS headers: turn its CORS settings off."
    return Finding(_CORS, "problem", f"{wrong}.", advice)


def _not_reached(name: str, status: int) -> Finding:
    found = f"The gateway's own address answered it with {status}."
    if status in (429, 503):
        return Finding(name, "unknown", f"{found} No second request fits beside this one.", _SET_IT)
    if 300 <= status < 400:
        return Finding(
            name, "warning", f"{found} Many clients do not follow that.", "Use the address that it leads to."
        )
    return Finding(name, "unknown", f"{found} Perhaps another deployment is there.", _SET_IT)


def _no_answer(name: str, error: UpstreamError) -> Finding:
    found = f"The gateway could not call itself: {error.code}."
    return Finding(name, "unknown", f"{found} It may serve one request at a time.", _SET_IT)


def _is_same(address: str, own: str) -> bool:
    """Every loopback address is as good as the other: `localhost` has two."""
    try:
        return address == own or (ipaddress.ip_address(address).is_loopback and ipaddress.ip_address(own).is_loopback)
    except ValueError:
        return False
