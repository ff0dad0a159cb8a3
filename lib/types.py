"""The sockets: what the floors above promise each other. Values are frozen; behaviour is a Protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec

from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.errors import GatewayError, UpstreamError
from lib.values import Value, replace

if TYPE_CHECKING:
    from lib.canonical.images import ImagesRequest, ImagesResult, PartialImage

Clock = Callable[[], float]
"""Epoch seconds; `time.time` in production."""


class Caller(Value, frozen=True):
    """Who called, after auth: the holder of a gateway key, or of an upstream token of their own."""

    unshown: ClassVar = frozenset({"token", "account_id", "identity"})

    key: str
    """A short hash of the gateway key: safe to log, stable for one key."""
    token: str | None = None
    """The passthrough token; None for a gateway key, which uses the pool."""
    account_id: str | None = None
    """The account id that the caller gave beside the token."""
    identity: bytes = b""
    """A digest of the whole credential: no other caller has the same one. Empty, the key has to do."""
    allowed_models: tuple[tuple[str, ...], ...] = ()
    """Groups of patterns: a model has to match one of each group. Empty: any model will do."""


@dataclass(frozen=True, slots=True)
class Window:
    """One usage window of an account, as the upstream reports it."""

    bucket: str
    """What the window counts: "codex" is the main one, others belong to single model families."""
    used_percent: float
    window_minutes: int | None
    reset_at: float | None
    """Epoch seconds."""
    has_credits: bool = False
    """Whether the account goes on behind the window's limit, on credits that its owner has bought."""


_SHORTEST_SECRET = 8


class Lease(Value, frozen=True):
    """The right to use one account for one attempt."""

    unshown: ClassVar = frozenset({"headers", "proxy"})

    account: str
    """Slot and short hash, for example `a1-3f9c2b`: safe to log."""
    upstream: str
    """The name of the one upstream that the credentials are for."""
    headers: Mapping[str, str]
    """Credential headers, lower-case names."""
    proxy: str | None = None

    def secrets(self) -> list[str]:
        """What no message may show: the values of the headers without a scheme before them."""
        values = (value.rpartition(" ")[2] for value in self.headers.values())
        return [value for value in values if len(value) >= _SHORTEST_SECRET]


class Outcome(Value, frozen=True):
    """How an attempt ended: well (`error` None) or not, and what the upstream said of the account's windows."""

    error: UpstreamError | None = None
    windows: Sequence[Window] = ()


class Credentials(Protocol):
    """Hands out leases: a pool, or one fixed account."""

    async def lease(self, *, affinity: str, model: str | None, tried: Collection[str]) -> Lease:
        """The account to use next; `tried` holds the `Lease.account` names of this request's earlier attempts.
        Raises PoolExhausted when none is left."""

    async def report(self, lease: Lease, outcome: Outcome, model: str | None) -> None:
        """Tell how an attempt went, before its last bytes leave. A lease that met no upstream is not reported."""


class EventStream(Protocol):
    """Batches of canonical events of one request, over all its attempts. Close it in any case."""

    def __aiter__(self) -> AsyncIterator[list[Event]]: ...

    async def __anext__(self) -> list[Event]: ...

    async def aclose(self) -> None: ...


class Answer(Protocol):
    """An upstream's answer: iterate it for batches of canonical events, close it in any case."""

    @property
    def windows(self) -> Sequence[Window]:
        """Usage windows seen so far, in headers and events."""

    def __aiter__(self) -> AsyncIterator[list[Event]]: ...

    async def aclose(self) -> None: ...


class Upstream(Protocol):
    """A service that answers model requests."""

    name: str
    accepts: frozenset[str]
    """Canonical fields that the upstream honours; the others are named to the caller as ignored."""

    async def open(self, request: CanonicalRequest, lease: Lease, *, timeout_s: float) -> Answer:
        """Send the request and wait for the status line, at most `timeout_s`. Raises UpstreamError, InvalidRequest."""

    async def models(self, lease: Lease) -> list[Model]:
        """The catalogue that this account sees, best first. Raises UpstreamError."""


class Model(Value, frozen=True):
    """One entry of an upstream's catalogue."""

    id: str
    name: str | None = None
    context_length: int | None = None
    input_modalities: tuple[str, ...] = ()
    efforts: tuple[str, ...] = ()
    hidden: bool = False

    def named(self, id: str) -> Model:
        """The same model under another name."""
        return self if id == self.id else replace(self, id=id)


class ImagesAnswer(Protocol):
    """Pictures on their way: partial ones, then one ImagesResult. Close it in any case."""

    def __aiter__(self) -> AsyncIterator[PartialImage | ImagesResult]: ...

    async def aclose(self) -> None: ...


class ImageUpstream(Protocol):
    """A service that makes and edits pictures."""

    image_accepts: frozenset[str]
    """Names of `ImagesRequest.parameters` that have an effect here; the others are named to the caller as ignored."""
    max_pictures: int
    """How many pictures one call may ask for; for more of them, calls run side by side."""

    async def images(self, request: ImagesRequest, lease: Lease, *, timeout_s: float) -> ImagesAnswer:
        """Send the request and wait for the status line, at most `timeout_s`. Raises UpstreamError, InvalidRequest."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A request whose body goes to the upstream as it came, but for the model's name."""

    path: str
    """After the upstream's base URL: `/audio/speech`, `/chat/completions`, …"""
    content: bytes = field(repr=False)
    content_type: str
    affinity: str = field(default="", repr=False)
    stream: bool = False
    """Whether the caller asked for server-sent events."""


class ForwardedAnswer(Protocol):
    """A good answer (2xx) whose body is handed on as it comes. Close it in any case."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that the caller gets, lower-case names: the content type and the like."""

    @property
    def has_begun(self) -> bool:
        """Whether the first bytes of the body are there, or have been taken."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises UpstreamError where the answer breaks off."""

    async def release(self) -> None:
        """Close it after its proper end was seen: there may be a rest, which is not waited for."""

    async def aclose(self) -> None: ...


class Forwarder(Protocol):
    """The side of an upstream that takes bodies as they are."""

    endpoints: frozenset[str]
    """The paths that it serves, as in `Forwarded.path`. A dialect's own path among them means that its requests can be
    forwarded, too."""
    takes_tools: bool
    """Whether such requests may have tools and structured output in them."""

    async def forward(self, request: Forwarded, lease: Lease, *, timeout_s: float) -> ForwardedAnswer:
        """Send it; return when the first bytes of a good answer are there. Raises UpstreamError for all but 2xx."""


class Route(Value, frozen=True):
    """Where a request goes."""

    upstream: Upstream
    credentials: Credentials
    model: str | None
    """The upstream's name for the model."""
    images: ImageUpstream | None = None
    forwarder: Forwarder | None = None
    image_urls_only: bool = False
    """Whether the upstream takes pictures in a conversation by their address alone."""


class Renderer(Protocol):
    """The stateful half of a dialect: canonical events → the client's stream, or one body."""

    keep_alive: bytes
    """What to send in silence."""

    def feed(self, event: Event) -> bytes:
        """The frames for one event; empty when the dialect has none for it."""

    def finish(self) -> bytes:
        """What follows the terminal event."""

    def fail(self, error: GatewayError) -> bytes:
        """The end of a stream that broke: the dialect's error and its terminator, never a good ending."""

    def body(self, response: Mapping[str, Any]) -> dict[str, Any]:
        """The whole answer for a collected Response."""


class Dialect(Protocol):
    """A client-facing wire format."""

    name: str

    def parse(self, body: Mapping[str, Any]) -> CanonicalRequest:
        """Raises InvalidRequest."""

    def renderer(self, request: CanonicalRequest, *, response_id: str, now: float) -> Renderer:
        """For one answer. `response_id` is a fresh random suffix; `now` in epoch seconds."""


class Trace(msgspec.Struct):
    """What one request did, for its log line. The relay writes it, the web layer logs it."""

    request_id: str
    started_at: float
    method: str = ""
    path: str = ""
    endpoint: str = ""
    """The path as the table of endpoints has it: one of a few, where `path` is whatever was asked for."""
    dialect: str = ""
    caller: str = ""
    model: str | None = None
    upstream: str = ""
    accounts: list[str] = []
    """One entry for each attempt."""
    status: int = 0
    error: str | None = None
    failure: Exception | None = None
    """An exception that nobody expected, when the answer had begun and could only say so."""
    deadline_at: float | None = None
    """When the answer has to be over, because the platform ends the function soon after it; None for no limit."""
    asked_at: float | None = None
    """When the request was ready for its upstream."""
    first_byte_at: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class ByteStream(Protocol):
    """The bytes of a streamed reply. Whoever takes it closes it, also when not a byte of it was read."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


class Reply(Value, frozen=True):
    """Status, headers and a body or a stream, before HTTP."""

    unshown: ClassVar = frozenset({"body", "stream"})

    status: int
    headers: Mapping[str, str]
    body: bytes | None = None
    stream: ByteStream | None = None
    keep_alive: bytes = b""
