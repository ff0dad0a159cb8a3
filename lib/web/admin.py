"""The operator's page, and what it shows. The page is the same for everybody and says nothing about the deployment;
what it shows is for the holder of one of the gateway's own keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs

from lib.errors import NotAllowed
from lib.web.asgi import ClientGone, Headers, Receive, Scope, Send, send_json, send_whole
from lib.web.auth import Authenticator, caller_of
from lib.web.inlined import inlined
from lib.web.instance import Instance
from lib.web.paths import Endpoint
from lib.web.stream import Watch

_FOLDER = Path(__file__).with_name("admin_page")
_STYLES = ("page.css", "doctor.css", "playground.css")
_SCRIPTS = ("texts.js", "core.js", "status.js", "chat.js", "doctor.js", "playground.js", "clients.js", "page.js")
_ALLOWED = "connect-src 'self'; img-src 'self' data: blob:"

_FRESH = (b"cache-control", b"no-store")


class StatusSource(Protocol):
    """What the endpoint needs of `lib.status.Status`."""

    def report(self) -> dict[str, Any]: ...

    async def measure(self) -> None: ...


class AdminApi:
    """GET /admin and /admin/status.

    status: called when somebody looks. offers: paths of other endpoints, so that the page asks for nothing that is not
    there.
    """

    def __init__(
        self,
        status: Callable[[], StatusSource],
        auth: Authenticator,
        instance: Instance,
        *,
        offers: Collection[str] = (),
    ) -> None:
        self._status = status
        self._auth = auth
        self._instance = instance
        self._offers = offers
        self._page = b""
        self._page_headers: Headers = []

    def endpoints(self) -> list[Endpoint]:
        """The rows for the table."""
        return [
            Endpoint("/admin", {"GET": self.page}, "The operator's page", needs_key=False),
            self._auth.guarded(
                Endpoint("/admin/status", {"GET": self.status}, "What the operator's page shows"),
                max_bytes=0,
            ),
        ]

    async def page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /admin: read from the package with the first request for it."""
        if not self._page:
            self._page, headers = inlined(_FOLDER, styles=_STYLES, scripts=_SCRIPTS, allowed=_ALLOWED)
            self._page_headers = [*headers, (b"cache-control", b"no-cache")]
        await send_whole(send, 200, self._page, self._page_headers)

    async def status(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /admin/status; with `?usage=1` the accounts are asked for their usage windows first."""
        if not self._auth.is_local(caller_of(scope)):
            raise NotAllowed(
                "This is for the holder of one of the gateway's own keys (AUTH_TOKENS).", code="local_key_required"
            )
        if (await receive())["type"] == "http.disconnect":
            raise ClientGone
        status = self._status()
        if parse_qs(scope["query_string"].decode("latin-1")).get("usage") == ["1"]:
            async with Watch(receive):
                await status.measure()
        report = {
            **status.report(),
            "instance": self._instance.described(os.environ),
            "endpoints": list(self._offers),
        }
        await send_json(send, 200, report, [_FRESH])
