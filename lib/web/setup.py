"""GET /v1/setup: the configuration of a client, ready for this deployment but for the key.

The address in it is PUBLIC_URL, else the one that the request says it was sent to. Nothing is done with that address
but to show it to the very client that sent it, and only if it looks like one: host and port, http or https.

The model in it is the one that the request names, else DEFAULT_MODEL if the caller's key is for it, else the first of
the caller's own list that writes text.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from lib.errors import GatewayError, InvalidRequest, NotFound
from lib.model_map import matches
from lib.types import Caller, Model, Trace
from lib.web.asgi import TRACE_KEY, ClientGone, Headers, Receive, Scope, Send, header, send_json, send_whole
from lib.web.auth import Authenticator, caller_of
from lib.web.paths import Endpoint
from lib.web.stream import Watch

if TYPE_CHECKING:
    from lib.web.setup_clients import Client

PLACEHOLDER = "<your key>"
MODEL = "gpt-5.5"
"""What a configuration names when nobody says anything better: neither request nor operator, and no catalogue."""
CATALOGUE_WAIT_S = 3.0
"""How long the catalogue is waited for. Somebody looks at the configuration and can put another model there."""

# Compiled with the first request: together they take longer than the rest of this module's import.
_MODEL = r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,199}"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?"
_ROOT = r"(?:/[A-Za-z0-9._~-]{1,100}){0,8}"
_FRESH: Headers = [(b"cache-control", b"no-store"), (b"vary", b"accept, host, x-forwarded-proto")]
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_FORMATS = {"text": True, "json": False}


Catalogue = Callable[[Caller, Trace], Awaitable[list[tuple[Model, str]]]]
"""What a caller may use, best first, each with its owner. Raises GatewayError."""


class SetupApi:
    """The endpoint. public_url: where clients find the gateway, with or without /v1; None: where they say. model: the
    one that configurations name; None: the first of the catalogue, which is waited for at most `wait_s` seconds."""

    def __init__(
        self,
        auth: Authenticator,
        catalogue: Catalogue,
        *,
        public_url: str | None = None,
        model: str | None = None,
        wait_s: float = CATALOGUE_WAIT_S,
    ) -> None:
        self._auth = auth
        self._catalogue = catalogue
        self._public_url = public_url
        self._model = model
        self._wait_s = wait_s

    def endpoints(self) -> list[Endpoint]:
        """The row for the table."""
        row = Endpoint("/v1/setup", {"GET": self.setup}, "The configuration of a client for this deployment")
        return [self._auth.guarded(row, max_bytes=0)]

    async def setup(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /v1/setup: all clients; with `?client=` one of them, `?model=` another model. As JSON, or as text with
        `?format=text` or `accept: text/plain`."""
        from urllib.parse import parse_qsl

        from lib.web.setup_clients import CLIENTS

        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        wants_text = _wants_text(scope, query.get("format"))
        name = query.get("client")
        if name is None:
            listed = [{"client": name, "name": client.name} for name, client in CLIENTS.items()]
            text = "".join(f"{each['client']:18}{each['name']}\n" for each in listed)
            await _answer(send, text if wants_text else {"object": "list", "data": listed})
            return
        client = CLIENTS.get(name)
        if client is None:
            raise NotFound(
                f"There is no setup for '{_shown(name)}'. There is one for {', '.join(CLIENTS)}.",
                param="client",
                code="client_not_found",
            )
        base, model = self._public_url or address_of(scope), query.get("model", self._default(caller_of(scope)))
        if "model" in query and not _is_name(query["model"]):
            raise InvalidRequest("'model' must be the name of a model.", param="model", code="invalid_value")
        if client.names_model and (model is None or not _is_name(model)):
            model = await self._first_listed(scope, receive)
        client = filled(client, base, model or MODEL)
        await _answer(send, as_text(client) if wants_text else {"client": name, **described(client)})

    def _default(self, caller: Caller) -> str | None:
        model = self._model
        if model is None or all(any(matches(each, model) for each in group) for group in caller.allowed_models):
            return model
        return None

    async def _first_listed(self, scope: Scope, receive: Receive) -> str | None:
        """None when the catalogue has none or cannot be had in time: a configuration is worth having all the same."""
        if (await receive())["type"] == "http.disconnect":  # else the empty body; then only disconnection is left
            raise ClientGone
        try:
            async with Watch(receive), asyncio.timeout(self._wait_s):
                listed = await self._catalogue(caller_of(scope), scope[TRACE_KEY])
        except (GatewayError, TimeoutError):
            return None
        from lib.upstreams.openai_catalogue import writes_text  # a key may be for models of other kinds alone

        fit = (model.id for model, _ in listed if not model.hidden and _is_name(model.id))
        return next((name for name in fit if writes_text({"id": name})), None)


def filled(client: Client, base: str, model: str, key: str = PLACEHOLDER) -> Client:
    """The client's configuration. base: of the gateway, with or without /v1."""
    root = base.rstrip("/").removesuffix("/v1")
    return client.filled({"@V1@": f"{root}/v1", "@ROOT@": root, "@KEY@": key, "@MODEL@": model})


def described(client: Client) -> dict[str, Any]:
    """As members of an answer."""
    return {
        "name": client.name,
        "files": [{"path": path, "content": content} for path, content in client.files.items()],
        "environment": client.environment,
        "notes": client.notes,
    }


def as_text(client: Client) -> str:
    """As a page for people; the environment in the words of a shell."""
    parts = [f"# {client.name}\n"]
    parts += [f"## {path}\n\n{content}" for path, content in client.files.items()]
    if client.environment:
        parts.append("## Environment\n\n" + exports(client.environment))
    if client.notes:
        parts.append("".join(f"- {note}\n" for note in client.notes))
    return "\n".join(parts)


def exports(environment: Mapping[str, str]) -> str:
    """Lines for a shell; a placeholder is quoted, as it would mean a file otherwise."""
    import shlex

    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def address_of(scope: Scope) -> str:
    """Where the client found the gateway, by its own account. Raises InvalidRequest for what is no address."""
    match = re.fullmatch(_HOST, header(scope, b"host") or "")
    root = scope.get("root_path", "")
    if match is None or not 0 < int(match[1] or 1) < 65_536 or not re.fullmatch(_ROOT, root):
        raise InvalidRequest(
            "The request's Host header is no address that a client could be pointed at. Send it to the gateway's own "
            "address; its operator can set PUBLIC_URL.",
            code="invalid_host",
        )
    forwarded = (header(scope, b"x-forwarded-proto") or "").partition(",")[0].strip().lower()
    scheme = forwarded if forwarded in ("http", "https") else scope.get("scheme", "http")
    return f"{scheme}://{match[0]}{root}"


def _wants_text(scope: Scope, form: str | None) -> bool:
    if form is None:
        accepted = header(scope, b"accept") or ""
        return "text/plain" in accepted and "application/json" not in accepted
    if form not in _FORMATS:
        raise InvalidRequest("'format' must be json or text.", param="format", code="invalid_value")
    return _FORMATS[form]


async def _answer(send: Send, content: str | dict[str, Any]) -> None:
    if isinstance(content, str):
        await send_whole(send, 200, content.encode(), [_TEXT, *_FRESH])
    else:
        await send_json(send, 200, content, _FRESH)


def _is_name(model: str) -> bool:
    return re.fullmatch(_MODEL, model) is not None


def _shown(name: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in name[:100])
