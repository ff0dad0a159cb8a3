"""A scripted relay and a bare HTTP client, so that the web layer is tested by itself and byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from lib.canonical.request import CanonicalRequest
from lib.types import Caller, Dialect, Model, Renderer, Reply, Trace
from lib.web.app import build_app
from lib.web.auth import Authenticator
from lib.web.gate import Gate
from lib.web.routes import Api
from tests.fakes.serving import serving

KEY = "local-key-canary-0123456789"
PREFIX = "prefix-canary-"
TOKEN = "at-token-canary-abcdef"
AUTHORIZED = {"authorization": f"Bearer {KEY}"}
CHAT = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'

Piece = bytes | float | Exception
Pairs = Mapping[str, str | bytes] | Mapping[str, str] | Sequence[tuple[str, str | bytes]]


class NamedDialect:
    """A dialect that only has a name: the scripted relay never parses."""

    def __init__(self, name: str) -> None:
        self.name = name

    def parse(self, body: Mapping[str, Any]) -> CanonicalRequest:
        raise NotImplementedError

    def renderer(self, request: CanonicalRequest, *, response_id: str, now: float) -> Renderer:
        raise NotImplementedError


class ScriptedRelay:
    """Answers with what `answer` makes: a Reply, or an awaitable of one. Records calls and how they ended."""

    def __init__(self, answer: Callable[[ScriptedRelay], Any] | None = None) -> None:
        self.answer = answer or (lambda relay: Reply(200, {}, body=b'{"ok":true}'))
        self.calls: list[tuple[str, Mapping[str, Any], Caller, bool, str | None]] = []
        self.closed = 0
        self.cancelled = 0
        self.sent = 0
        self.catalogue = [
            (Model("gpt-a", "GPT A", 1000, ("text", "image")), "chatgpt"),
            (Model("org/gpt-b"), "chatgpt"),
            (Model("secret", hidden=True), "chatgpt"),
        ]

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
        self.calls.append((dialect.name, body, caller, strict, session))
        trace.dialect, trace.model, trace.upstream = dialect.name, "m", "scripted"
        trace.accounts.append("a1-abcdef")
        answer = self.answer(self)
        reply: Reply = answer if isinstance(answer, Reply) else await answer
        return reply

    async def models(self, caller: Caller, trace: Trace) -> list[tuple[Model, str]]:
        return self.catalogue

    def accounts(self) -> tuple[int, int]:
        return 3, 2

    async def stream(self, *pieces: Piece) -> AsyncGenerator[bytes, None]:
        """Bytes are sent, numbers are seconds to sleep, exceptions are raised."""
        try:
            for piece in pieces:
                if isinstance(piece, bytes):
                    self.sent += 1
                    yield piece
                elif isinstance(piece, Exception):
                    raise piece
                else:
                    await asyncio.sleep(piece)
        finally:
            self.closed += 1

    async def forever(self) -> Reply:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        raise AssertionError("nobody cancelled")


def streamed(*pieces: Piece, keep_alive: bytes = b": k\n\n", headers: Mapping[str, str] | None = None) -> ScriptedRelay:
    return ScriptedRelay(lambda relay: Reply(200, headers or {}, stream=relay.stream(*pieces), keep_alive=keep_alive))


def gateway(relay: ScriptedRelay | None = None, **options: Any) -> Gate:
    """The app around a scripted relay; options are Api's, and `keys`, `prefixes`."""
    auth = Authenticator(options.pop("keys", [KEY]), options.pop("prefixes", [PREFIX]))
    api = Api(
        relay or ScriptedRelay(),
        auth,
        **{
            "max_request_bytes": 100_000,
            "chat": lambda: NamedDialect("chat"),
            "responses": lambda: NamedDialect("responses"),
            "messages": lambda: NamedDialect("messages"),
            **options,
        },
    )
    return build_app(api)


@contextlib.contextmanager
def served(relay: ScriptedRelay | None = None, **options: Any) -> Iterator[tuple[str, int]]:
    """The address of the app on a real socket."""
    with serving(gateway(relay, **options), access_log=False) as url:
        yield "127.0.0.1", int(url.rpartition(":")[2])


class HttpReply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=5)


def raw(address: tuple[str, int], request: bytes) -> HttpReply:
    """Sends exactly these bytes and reads to the end of the connection; the request asks for `connection: close`."""
    with connect(address) as client:
        client.sendall(request)
        received = b""
        while chunk := client.recv(65536):
            received += chunk
    return parsed(received)


def parsed(received: bytes) -> HttpReply:
    head, _, body = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    named = (line.lower().partition(":") for line in lines)
    headers = {name: value.strip() for name, _, value in named}
    if headers.get("transfer-encoding") == "chunked":
        body = _unchunked(body)
    return HttpReply(int(status_line.split()[1]), headers, body)


def _unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        whole += rest[:length]
        body = rest[length + 2 :]
    return whole


def request_bytes(method: str, path: str, headers: Pairs = (), body: bytes = b"") -> bytes:
    given = headers.items() if isinstance(headers, Mapping) else headers
    pairs: list[tuple[str, str | bytes]] = [("host", "gateway"), ("connection", "close"), *given]
    if body:
        pairs.append(("content-length", str(len(body))))
    lines = [f"{method} {path} HTTP/1.1".encode()]
    lines += [
        name.encode() + b": " + (value if isinstance(value, bytes) else value.encode("latin-1"))
        for name, value in pairs
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def ask(
    address: tuple[str, int],
    method: str,
    path: str,
    headers: Pairs = AUTHORIZED,
    body: bytes = b"",
) -> HttpReply:
    return raw(address, request_bytes(method, path, headers, body))
