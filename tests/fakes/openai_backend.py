"""A strict fake of the OpenAI API over real sockets, for synchronous tests.

    with OpenAIBackend(keys=("sk-one", "sk-two")) as backend:
        backend.script(chat_stream(*chunks("Hello"), cut=7))       # the next valid request on this path
        backend.script(quota(), key="sk-one", path="/responses")   # the next one with this key
        backend.handlers["/embeddings"] = embeddings               # an endpoint of the test's own
        ...                                                        # drive the client at backend.url
        assert backend.requests[-1].json["stream"] is True

Requests are judged by the rules first; only a valid one consumes a script, others get OpenAI's own refusal. Without a
script the answer reacts to the request. Every path of `handlers` is behind the check of the key; paths are those after
the base URL.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.fakes import openai_rules as rules
from tests.fakes.codex_answers import answer
from tests.fakes.codex_behaviours import Behaviour, Http, Scene, Stream, http_error
from tests.fakes.codex_errors import Refused, error_body
from tests.fakes.codex_http import Exchange, Server
from tests.fakes.openai_chat import answered, chat_stream, completion
from tests.fakes.serving import LoopThread, loopback_socket

CHAT = "/chat/completions"
RESPONSES = "/responses"
MODELS = "/models"


@dataclass(slots=True, eq=False)
class Recorded:
    """One request as it arrived, and what became of it."""

    method: str
    path: str
    """After the base URL."""
    headers: dict[str, str]
    """Lower-case names."""
    body: bytes = field(repr=False)
    connection: int
    """Number of the TCP connection, from 1."""
    json: Any = None
    """The decoded body; None for what is no JSON."""
    key: str = ""
    status: int = 0
    """Of the answer; 0 if no status line was sent."""
    finished: bool = False
    """The whole answer was written."""
    closed: threading.Event = field(default_factory=threading.Event)
    """Set when the exchange is over."""


Handler = Callable[[Exchange, Recorded], Awaitable[None]]
"""Answers one request whose key is good; may raise `codex_errors.Refused`."""


class OpenAIBackend:
    """The fake. Public members are safe to use from the test's thread while it runs.

    keys: those that are good. key_header: `authorization` (Bearer), or `api-key` as on Azure. models: those that there
    are; None takes any name. base: the path of the base URL. only_urls: whether pictures as data are refused.
    """

    def __init__(
        self,
        *,
        keys: Sequence[str] = ("sk-test",),
        key_header: str = "authorization",
        models: Sequence[str] | None = ("gpt-test", "gpt-test-mini"),
        base: str = "/v1",
        only_urls: bool = False,
    ) -> None:
        self.requests: list[Recorded] = []
        self.handlers: dict[str, Handler] = {
            CHAT: self._chat,
            RESPONSES: self._responses,
            MODELS: self._models,
        }
        self.models = models
        self._keys = frozenset(keys)
        self._key_header = key_header
        self._base = base
        self._only_urls = only_urls
        self._scripts: dict[tuple[str, str | None], deque[Behaviour]] = {}
        self._always: dict[tuple[str, str | None], Behaviour] = {}
        self._lock = threading.Lock()
        self._threads = LoopThread()
        self._server = Server(self._handle)

    def __enter__(self) -> OpenAIBackend:
        listener = loopback_socket()
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}{self._base}"
        """The base URL, with its version."""
        self._threads.__enter__()
        self._threads.run(self._server.start(listener))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._threads.run(self._server.stop())
        self._threads.__exit__()
        if kind is None and self._server.errors:
            raise AssertionError(f"errors: {self._server.errors}")

    @property
    def connections(self) -> int:
        """TCP connections that are open now."""
        return len(self._server.connections)

    def script(self, *behaviours: Behaviour, key: str | None = None, path: str = CHAT) -> None:
        """Queues behaviours, one for each valid request on this path; those of a key go first."""
        with self._lock:
            self._scripts.setdefault((path, key), deque()).extend(behaviours)

    def always(self, behaviour: Behaviour, *, key: str | None = None, path: str = CHAT) -> None:
        """What valid requests meet when no queued behaviour is left."""
        self._always[path, key] = behaviour

    def scripted(self, record: Recorded) -> Behaviour | None:
        """What is queued for this request, which consumes it; for handlers of tests."""
        with self._lock:
            for key in ((record.path, record.key), (record.path, None)):
                if self._scripts.get(key):
                    return self._scripts[key].popleft()
                if key in self._always:
                    return self._always[key]
        return None

    def wait_closed(self, timeout_s: float = 2) -> bool:
        """Waits until every request so far is over: answered, or given up by its client."""
        end = time.monotonic() + timeout_s
        return all(request.closed.wait(max(0, end - time.monotonic())) for request in list(self.requests))

    async def _handle(self, exchange: Exchange) -> None:
        path = exchange.path.removeprefix(self._base)
        record = Recorded(exchange.method, path, dict(exchange.headers), exchange.body, exchange.connection)
        try:
            record.json = msgspec.json.decode(exchange.body) if exchange.body else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            record.json = None
        exchange.on_head = functools.partial(setattr, record, "status")
        self.requests.append(record)
        try:
            await self._answer(exchange, record)
        finally:
            record.finished = exchange.finished
            record.closed.set()

    async def _answer(self, exchange: Exchange, record: Recorded) -> None:
        try:
            handler = self.handlers.get(record.path)
            if handler is None or not exchange.path.startswith(self._base):
                rules.refuse(f"Invalid URL ({record.method} {exchange.path})", status=404)
            record.key = self._authenticate(exchange)
            await handler(exchange, record)
        except Refused as refused:
            await play(exchange, http_error(refused.status, refused.body, refused.headers))

    def _authenticate(self, exchange: Exchange) -> str:
        found = [value for name, value in exchange.headers if name == self._key_header]
        if len(found) > 1:
            rules.refuse("The request has more than one key.", status=400)
        key = "".join(found)
        if self._key_header == "authorization":
            kind, _, key = key.partition(" ")
            key = key if kind == "Bearer" else ""
        if key not in self._keys:
            message = f"Incorrect API key provided: {key[:5]}***{key[-4:]}. You can find your API key at the platform."
            raise Refused(401, error_body(message, code="invalid_api_key"))
        return key

    def _body(self, record: Recorded) -> Any:
        if record.method != "POST":
            rules.refuse(f"Not allowed to {record.method} on {record.path}.", status=405, code="method_not_supported")
        body = rules.json_object(record.headers.get("content-type", ""), record.body)
        model = body.get("model")
        if not isinstance(model, str) or (self.models is not None and model not in self.models):
            message = f"The model `{model}` does not exist or you do not have access to it."
            rules.refuse(message, param="model", code="model_not_found", status=404)
        if self._only_urls:
            rules.check_addresses(body)
        return body

    async def _chat(self, exchange: Exchange, record: Recorded) -> None:
        body = self._body(record)
        rules.check_chat(body)
        said = answered(body)
        if body.get("stream") and not body.get("stream_options", {}).get("include_usage"):
            said = [each for each in said if each["choices"]]
        own = chat_stream(*said) if body.get("stream") else http_error(200, completion(said))
        await play(exchange, self.scripted(record) or own)

    async def _responses(self, exchange: Exchange, record: Recorded) -> None:
        body = self._body(record)
        rules.check_responses(body)
        events = answer({"instructions": "", **body, "input": rules.items_of(body)}, "key")
        own = Stream(events=events) if body.get("stream") else http_error(200, events[-1]["response"])
        await play(exchange, self.scripted(record) or own)

    async def _models(self, exchange: Exchange, record: Recorded) -> None:
        if record.method != "GET":
            rules.refuse(f"Not allowed to {record.method} on {MODELS}.", status=405)
        entries = [
            {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "system"}
            for name in self.models or ()
        ]
        await play(exchange, self.scripted(record) or http_error(200, {"object": "list", "data": entries}))


async def play(exchange: Exchange, behaviour: Behaviour) -> None:
    """Answers with a behaviour of `codex_behaviours` or `openai_chat`."""
    await behaviour.play(exchange, Scene(list, {}))


def api_error(
    status: int, message: str = "It went wrong.", *, type: str | None = None, code: str | None = None, **headers: str
) -> Http:
    """An error in OpenAI's shape; header names are given with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    behaviour = http_error(status, error_body(message, type=type, code=code), named)
    assert isinstance(behaviour, Http)
    return behaviour


def rate_limited(**headers: str) -> Http:
    """The short-term 429."""
    message = "Rate limit reached for gpt-test in organization org-1 on requests per min (RPM)."
    return api_error(429, message, type="requests", code="rate_limit_exceeded", **headers)


def quota() -> Http:
    """The 429 of a key without credit."""
    message = "You exceeded your current quota, please check your plan and billing details."
    return api_error(429, message, type="insufficient_quota", code="insufficient_quota")
