"""The endpoints of kept responses: to look at one, to list its input, and to forget it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from lib.errors import InvalidRequest, NotFound
from lib.types import Caller
from lib.web.asgi import TRACE_KEY, App, Receive, Scope, Send, send_json
from lib.web.auth import Authenticator, caller_of
from lib.web.bodies import read_body
from lib.web.paths import Endpoint
from lib.web.stream import Watch

if TYPE_CHECKING:
    from lib.dialects.responses_stored import Turn


class KeptResponses(Protocol):
    """What the endpoints need of `lib.stored_responses.StoredResponses`."""

    async def find(self, response_id: str, caller: Caller) -> Turn:
        """Raises NotFound, GatewayError."""

    async def delete(self, response_id: str, caller: Caller) -> None:
        """Raises NotFound, GatewayError."""


Query = Mapping[str, str]
Act = Callable[[KeptResponses, str, Caller, Query], Awaitable[dict[str, Any]]]


class StoredApi:
    """The endpoints around the kept responses, which are made with the first request; None: nothing is kept."""

    def __init__(
        self, responses: Callable[[], KeptResponses | None], auth: Authenticator, *, max_request_bytes: int
    ) -> None:
        self._responses = responses
        self._auth = auth
        self._max_request_bytes = max_request_bytes

    def endpoints(self) -> list[Endpoint]:
        """The rows for the table, the longer paths first."""
        rows = [
            Endpoint(
                "/v1/responses/{id}/input_items", {"GET": self._app(input_items)}, "What a kept response was asked"
            ),
            Endpoint("/v1/responses/{id}/cancel", {"POST": self._app(cancel)}, "Cancel a response: refused, see there"),
            Endpoint(
                "/v1/responses/{id}",
                {"GET": self._app(response), "DELETE": self._app(delete)},
                "A kept response: read it, or forget it",
            ),
        ]
        return [self._auth.guarded(row, max_bytes=self._max_request_bytes) for row in rows]

    def _app(self, act: Act) -> App:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            scope[TRACE_KEY].dialect = "responses"
            await read_body(scope, receive, max_bytes=self._max_request_bytes)  # now only a disconnect can come
            responses = self._responses()
            if responses is None:
                raise NotFound(
                    "This gateway keeps no responses. Its operator sets STATE_URL to have them kept.",
                    code="endpoint_not_served",
                )
            async with Watch(receive):
                found = await act(responses, scope["path_params"]["id"], caller_of(scope), _query(scope))
            await send_json(send, 200, found)

        return answer


async def response(responses: KeptResponses, response_id: str, caller: Caller, query: Query) -> dict[str, Any]:
    """GET /v1/responses/{id}: as it was when it was made, with all that was included then."""
    if query.get("stream", "false").lower() not in ("false", "0", "") or "starting_after" in query:
        raise InvalidRequest(
            "A kept response cannot be streamed: only background responses could be, and this gateway has none. Leave "
            "out 'stream' and 'starting_after'.",
            param="stream",
            code="unsupported_value",
        )
    return (await responses.find(response_id, caller)).response


async def input_items(responses: KeptResponses, response_id: str, caller: Caller, query: Query) -> dict[str, Any]:
    """GET /v1/responses/{id}/input_items"""
    from lib.dialects.responses_stored import input_items

    return input_items(await responses.find(response_id, caller), query)


async def delete(responses: KeptResponses, response_id: str, caller: Caller, query: Query) -> dict[str, Any]:
    """DELETE /v1/responses/{id}"""
    await responses.delete(response_id, caller)
    return {"id": response_id, "object": "response", "deleted": True}


async def cancel(responses: KeptResponses, response_id: str, caller: Caller, query: Query) -> dict[str, Any]:
    """POST /v1/responses/{id}/cancel: none is still being made once it is kept."""
    await responses.find(response_id, caller)
    raise InvalidRequest(
        "Cannot cancel a synchronous response: it was complete before it was kept, and this gateway has no background "
        "responses.",
        code="invalid_value",
    )


def _query(scope: Scope) -> Query:
    """The parameters; of one that is given twice, the last."""
    from urllib.parse import parse_qsl

    return dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
