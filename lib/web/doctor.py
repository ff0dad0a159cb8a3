"""GET /v1/doctor: the self-check of this very deployment (`lib/doctor`), for the holder of one of the gateway's own
keys; and GET /v1/doctor/stream, by which it is seen whether streams stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl

import msgspec

from lib.errors import InvalidRequest, NotAllowed
from lib.types import Reply
from lib.web.asgi import TRACE_KEY, App, ClientGone, Headers, Receive, Scope, Send, header, send_json, send_whole
from lib.web.auth import Authenticator, caller_of
from lib.web.paths import Endpoint
from lib.web.setup import address_of
from lib.web.stream import Watch, deliver

if TYPE_CHECKING:
    from lib.doctor.examination import Visit
    from lib.doctor.finding import Finding

_CREDENTIALS = (b"authorization", b"x-api-key", b"api-key")
_FRESH: Headers = [(b"cache-control", b"no-store"), (b"vary", b"accept")]
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_FORMS = ("json", "text", "html")
_LIVE = {"1": True, "0": False}


class Examiner(Protocol):
    """What the endpoint needs of `lib.doctor.examination.Doctor`."""

    async def examine(self, visit: Visit) -> list[Finding]:
        """Bounded. Raises nothing."""


class DoctorApi:
    """The endpoints. doctor: made with each request. app: this deployment, for requests of the self-check to itself.
    max_request_bytes: what it takes. public_url: where clients find the gateway, with or without /v1; None: where the
    request says that it was sent. behind_platform: whether something else than a socket of ours brings the requests."""

    def __init__(
        self,
        doctor: Callable[[], Examiner],
        auth: Authenticator,
        *,
        app: Callable[[], App],
        max_request_bytes: int,
        public_url: str | None = None,
        behind_platform: bool = False,
    ) -> None:
        self._doctor = doctor
        self._auth = auth
        self._app = app
        self._max_request_bytes = max_request_bytes
        self._public_url = public_url
        self._behind_platform = behind_platform

    def endpoints(self) -> list[Endpoint]:
        """The rows for the table."""
        rows = [
            Endpoint("/v1/doctor", {"GET": self.report}, "The self-check of this deployment"),
            Endpoint("/v1/doctor/stream", {"GET": self.stream}, "A few events with pauses"),
        ]
        return [self._auth.guarded(row, max_bytes=0) for row in rows]

    async def report(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /v1/doctor: JSON, or what `accept` or `?format=` asks for: text or html. `?live=1` may spend quota."""
        self._check(scope)
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        form, is_live = _form(scope, query.get("format")), _is_live(query.get("live", "0"))
        visit = self._visit(scope, is_live)
        if (await receive())["type"] == "http.disconnect":
            raise ClientGone
        async with Watch(receive):
            found = await self._doctor().examine(visit)
        await self._send(send, form, found)

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /v1/doctor/stream: asks no upstream."""
        self._check(scope)
        if (await receive())["type"] == "http.disconnect":
            raise ClientGone
        await deliver(_streamed(), receive, send, keep_alive_s=60.0)

    async def _send(self, send: Send, form: str, found: Sequence[Finding]) -> None:
        from lib.doctor import report

        if form == "json":
            told = {**report.as_json(found), "max_request_bytes": self._max_request_bytes}
            await send_json(send, 200, told, _FRESH)
        elif form == "text":
            await send_whole(send, 200, report.as_text(found).encode("utf-8", "replace"), [_TEXT, *_FRESH])
        else:
            from lib.web.inlined import page_headers, source_hash

            headers = [*page_headers(f"style-src {source_hash(report.STYLE)}"), *_FRESH]
            await send_whole(send, 200, report.as_html(found), headers)

    def _check(self, scope: Scope) -> None:
        if not self._auth.is_local(caller_of(scope)):
            raise NotAllowed(
                "The self-check is for the holder of one of the gateway's own keys (AUTH_TOKENS).",
                code="local_key_required",
            )

    def _visit(self, scope: Scope, is_live: bool) -> Visit:
        from lib.doctor.examination import Visit
        from lib.doctor.own_address import Address

        own: tuple[str, int] | None = scope.get("server")
        listens_on = None if self._behind_platform or own is None or own[1] is None else (own[0], own[1])
        base = self._public_url or address_of(scope)
        given = ((name, value) for name, value in scope["headers"] if name in _CREDENTIALS)
        address = Address(
            base.rstrip("/").removesuffix("/v1"),
            self._public_url is not None,
            listens_on,
            {name.decode("ascii"): value.decode("latin-1") for name, value in given},
        )
        return Visit(address, self._app(), scope[TRACE_KEY].deadline_at, is_live)


async def _streamed() -> Reply:
    return Reply(200, {}, stream=_events())


async def _events() -> AsyncGenerator[bytes, None]:
    from lib.doctor.own_address import PAUSE_S, PIECES

    for number in range(PIECES):
        if number:
            await asyncio.sleep(PAUSE_S)
        yield b"data: %b\n\n" % msgspec.json.encode({"number": number + 1, "of": PIECES})


def _form(scope: Scope, asked: str | None) -> str:
    if asked is not None:
        if asked not in _FORMS:
            raise InvalidRequest("'format' must be json, text or html.", param="format", code="invalid_value")
        return asked
    accepted = header(scope, b"accept") or ""
    if "application/json" in accepted:
        return "json"
    return "html" if "text/html" in accepted else "text" if "text/plain" in accepted else "json"


def _is_live(asked: str) -> bool:
    if asked not in _LIVE:
        raise InvalidRequest("'live' must be 1 or 0.", param="live", code="invalid_value")
    return _LIVE[asked]
