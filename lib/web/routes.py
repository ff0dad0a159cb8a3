"""The endpoints: what is answered on which path, and what each step of a request hands to the next."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from lib.errors import GatewayError, NotFound
from lib.types import Caller, Dialect, Model, Reply, Trace
from lib.web.asgi import (
    TRACE_KEY,
    ApiFamily,
    ClientGone,
    Receive,
    Scope,
    Send,
    encode_headers,
    send_json,
)
from lib.web.auth import Authenticator, caller_of
from lib.web.bodies import read_json, read_json_raw
from lib.web.headers import is_strict, session_of
from lib.web.pages import Documentation, landing
from lib.web.paths import Endpoint
from lib.web.stream import Watch, deliver

ESTIMATED = "x-gateway-estimated"
"""The header that names the members of an answer which are estimates."""

CATALOGUE_DATE = 1_735_689_600
"""`created` of every model: clients want a number, and the upstreams' catalogues have no dates."""

_MAX_SHOWN_CHARS = 100


class ModelRelay(Protocol):
    """What the endpoints need of `lib.relay.Relay`."""

    async def reply(
        self,
        dialect: Dialect,
        body: Mapping[str, Any],
        caller: Caller,
        trace: Trace,
        *,
        strict: bool,
        session: str | None = None,
        raw: bytes = b"",
    ) -> Reply:
        """Raises GatewayError before anything was sent."""

    async def models(self, caller: Caller, trace: Trace) -> list[tuple[Model, str]]:
        """Each model with the name of its owner."""

    def accounts(self) -> tuple[int, int]:
        """How many accounts there are, and how many are usable now."""


@functools.cache
def chat_dialect() -> Dialect:
    """Imported with the first request that speaks it."""
    from lib.dialects.chat import CHAT

    return CHAT


@functools.cache
def responses_dialect() -> Dialect:
    """Imported with the first request that speaks it."""
    from lib.dialects.responses import RESPONSES

    return RESPONSES


@functools.cache
def messages_dialect() -> Dialect:
    """Imported with the first request that speaks it."""
    from lib.dialects.messages import MESSAGES

    return MESSAGES


def _anthropic_envelope(error: GatewayError, request_id: str) -> Mapping[str, Any]:
    from lib.dialects.messages_errors import envelope

    return envelope(error, request_id)


ANTHROPIC = ApiFamily(_anthropic_envelope, (b"x-request-id", b"request-id"))


class Api:
    """The endpoints around one relay.

    strict: refuse parameters without effect even when the request does not ask for that.
    keep_alive_s: the longest silence in a stream. others: further endpoints, which know their callers already.
    """

    def __init__(
        self,
        relay: ModelRelay,
        auth: Authenticator,
        *,
        max_request_bytes: int,
        strict: bool = False,
        keep_alive_s: float = 10.0,
        chat: Callable[[], Dialect] = chat_dialect,
        responses: Callable[[], Dialect] = responses_dialect,
        messages: Callable[[], Dialect] = messages_dialect,
        others: Sequence[Endpoint] = (),
    ) -> None:
        self._relay = relay
        self._auth = auth
        self._max_request_bytes = max_request_bytes
        self._strict = strict
        self._keep_alive_s = keep_alive_s
        self._chat = chat
        self._responses = responses
        self._messages = messages
        self._others = others

    def endpoints(self) -> list[Endpoint]:
        """The whole table, documentation and landing page included."""
        endpoints = [
            Endpoint("/v1/chat/completions", {"POST": self.chat_completions}, "Chat Completions, streamed or whole"),
            Endpoint("/v1/responses", {"POST": self.responses}, "Responses, streamed or whole"),
            Endpoint(
                "/v1/messages", {"POST": self.messages}, "Anthropic Messages, streamed or whole", family=ANTHROPIC
            ),
            Endpoint(
                "/v1/messages/count_tokens",
                {"POST": self.count_tokens},
                "How many input tokens a message has, estimated",
                family=ANTHROPIC,
            ),
            Endpoint("/v1/models", {"GET": self.models}, "The models that this key may use"),
            Endpoint("/v1/models/{id}", {"GET": self.model}, "One model"),
            Endpoint("/v1/accTokens", {"GET": self.acc_tokens}, "How many accounts there are, and are usable"),
            Endpoint("/ping", {"GET": ping}, "Is anybody there", needs_key=False),
            Endpoint("/healthz", {"GET": healthz}, "Is the process healthy", needs_key=False),
        ]
        endpoints = [self._auth.guarded(each, max_bytes=self._max_request_bytes) for each in endpoints]
        endpoints += self._others
        documentation = Documentation(endpoints)
        return [
            *endpoints,
            Endpoint("/", {"GET": landing}, "Landing page", needs_key=False, shown=False),
            Endpoint("/docs", {"GET": documentation.page}, "Documentation", needs_key=False, shown=False),
            Endpoint(
                "/openapi.json", {"GET": documentation.document}, "OpenAPI document", needs_key=False, shown=False
            ),
        ]

    def chat_completions(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """POST /v1/chat/completions"""
        return self._generate(self._chat, scope, receive, send)

    def responses(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """POST /v1/responses"""
        return self._generate(self._responses, scope, receive, send)

    def messages(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """POST /v1/messages"""
        return self._generate(self._messages, scope, receive, send)

    async def count_tokens(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /v1/messages/count_tokens: asks no upstream."""
        from lib.dialects.messages_count import count_tokens

        body = await read_json(scope, receive, max_bytes=self._max_request_bytes)
        await send_json(send, 200, count_tokens(body), encode_headers({ESTIMATED: "input_tokens"}))

    async def models(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /v1/models"""
        catalogue = await self._catalogue(scope, receive)
        data = [_described(model, owner) for model, owner in catalogue if not model.hidden]
        await send_json(send, 200, {"object": "list", "data": data})

    async def model(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /v1/models/{id}"""
        asked = scope["path_params"]["id"]
        for model, owner in await self._catalogue(scope, receive):
            if model.id == asked:
                await send_json(send, 200, _described(model, owner))
                return
        raise NotFound(
            f"The model '{asked[:_MAX_SHOWN_CHARS]}' does not exist or you do not have access to it.",
            param="model",
            code="model_not_found",
        )

    async def acc_tokens(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /v1/accTokens"""
        count, usable = self._relay.accounts()
        await send_json(send, 200, {"count": count, "canUseCount": usable})

    async def _generate(self, dialect: Callable[[], Dialect], scope: Scope, receive: Receive, send: Send) -> None:
        body, raw = await read_json_raw(scope, receive, max_bytes=self._max_request_bytes)
        replying = self._relay.reply(
            dialect(),
            body,
            caller_of(scope),
            scope[TRACE_KEY],
            strict=self._strict or is_strict(scope),
            session=session_of(scope),
            raw=raw,
        )
        await deliver(replying, receive, send, keep_alive_s=self._keep_alive_s)

    async def _catalogue(self, scope: Scope, receive: Receive) -> list[tuple[Model, str]]:
        caller = caller_of(scope)
        if (await receive())["type"] == "http.disconnect":  # else the empty body; then only disconnection is left
            raise ClientGone
        async with Watch(receive):
            return await self._relay.models(caller, scope[TRACE_KEY])


async def ping(scope: Scope, receive: Receive, send: Send) -> None:
    """GET /ping"""
    await send_json(send, 200, {"message": "pong"})


async def healthz(scope: Scope, receive: Receive, send: Send) -> None:
    """GET /healthz"""
    await send_json(send, 200, {"status": "ok"})


def _described(model: Model, owner: str) -> dict[str, Any]:
    described: dict[str, Any] = {"id": model.id, "object": "model", "created": CATALOGUE_DATE, "owned_by": owner}
    if model.name is not None:
        described["name"] = model.name
    if model.context_length is not None:
        described["context_length"] = model.context_length
    if model.input_modalities:
        described["architecture"] = {"input_modalities": list(model.input_modalities)}
    return described
