"""The image endpoints: pictures from a prompt, and from a prompt with pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lib.canonical.images import ImagesRequest
from lib.errors import NotFound
from lib.types import Caller, Reply, Trace
from lib.web.asgi import TRACE_KEY, Receive, Scope, Send
from lib.web.auth import Authenticator, caller_of
from lib.web.bodies import media_type, read_json
from lib.web.headers import is_strict
from lib.web.paths import Endpoint
from lib.web.stream import deliver


class PictureRelay(Protocol):
    """What the endpoints need of `lib.image_relay.ImageRelay`."""

    async def reply(self, request: ImagesRequest, caller: Caller, trace: Trace, *, strict: bool) -> Reply:
        """Raises GatewayError before anything was sent."""


class ImageApi:
    """The endpoints around one relay. It is made, and dialect and forms are imported, with the first request that needs
    them.

    strict: refuse parameters without effect even when the request does not ask for that. keep_alive_s: the longest
    silence in a stream.
    """

    def __init__(
        self,
        relay: Callable[[], PictureRelay],
        auth: Authenticator,
        *,
        max_request_bytes: int,
        strict: bool = False,
        keep_alive_s: float = 10.0,
    ) -> None:
        self._relay = relay
        self._auth = auth
        self._max_request_bytes = max_request_bytes
        self._strict = strict
        self._keep_alive_s = keep_alive_s

    def endpoints(self) -> list[Endpoint]:
        """The rows for the table."""
        rows = [
            Endpoint("/v1/images/generations", {"POST": self.generations}, "Pictures from a prompt"),
            Endpoint("/v1/images/edits", {"POST": self.edits}, "Pictures from pictures and a prompt"),
            Endpoint("/v1/images/variations", {"POST": variations}, "Retired: see edits", shown=False),
        ]
        return [self._auth.guarded(row, max_bytes=self._max_request_bytes) for row in rows]

    async def generations(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /v1/images/generations: JSON."""
        from lib.dialects.images_request import parse_generation

        body = await read_json(scope, receive, max_bytes=self._max_request_bytes)
        await self._answer(parse_generation(body), scope, receive, send)

    async def edits(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /v1/images/edits: JSON or a form."""
        from lib.dialects.images_request import EDIT, parse_edit

        if media_type(scope).startswith("multipart/"):
            from lib.dialects.images_form import body_of
            from lib.web.forms import read_form

            body = body_of(EDIT, await read_form(scope, receive, max_bytes=self._max_request_bytes))
        else:
            body = await read_json(scope, receive, max_bytes=self._max_request_bytes)
        await self._answer(parse_edit(body), scope, receive, send)

    async def _answer(self, request: ImagesRequest, scope: Scope, receive: Receive, send: Send) -> None:
        strict = self._strict or is_strict(scope)
        replying = self._relay().reply(request, caller_of(scope), scope[TRACE_KEY], strict=strict)
        await deliver(replying, receive, send, keep_alive_s=self._keep_alive_s)


async def variations(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/images/variations: went with the last model that made them."""
    raise NotFound(
        "There are no variations any more. Send the picture with a prompt to POST /v1/images/edits.",
        code="endpoint_not_served",
    )
