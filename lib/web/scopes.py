"""What a scoped key (`lib/scoped_keys.py`) may do: its endpoints and its rate, in front of every endpoint.

Its models are looked at where a request's model is known, in `lib/routing.py`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass

from lib.errors import AuthenticationError, GatewayError, NotAllowed
from lib.model_map import matches
from lib.scoped_keys import PREFIX, KeyRefused, Refusal, ScopedKey, check
from lib.types import Caller, Clock
from lib.web.asgi import Headers, Message, Send

ENDPOINT_NAMES = (
    "chat",
    "responses",
    "messages",
    "images",
    "audio",
    "embeddings",
    "moderations",
    "completions",
    "models",
    "accTokens",
    "dashboard",
)
"""How a key may name endpoints: the first member of their paths after `/v1`."""

ALWAYS = frozenset({"models", "setup"})
"""Open to every key: what it may be used for, and how."""

_MAX_BUCKETS = 4096

_REASONS = {
    Refusal.MALFORMED: "Incorrect API key.",
    Refusal.FORGED: "Incorrect API key.",
    Refusal.UNKNOWN: "This key has a limit that this gateway does not know, so it is refused.",
    Refusal.EARLY: "This key is not valid yet.",
    Refusal.EXPIRED: "This key has expired. Ask for a new one.",
    Refusal.REVOKED: "This key has been revoked. Ask for a new one.",
}


class Scopes:
    """Knows the secrets that keys are minted from (all that are accepted), and the ids of revoked keys."""

    def __init__(self, secrets: Sequence[bytes], revoked: Collection[str], now: Clock) -> None:
        self._secrets = secrets
        self._revoked = frozenset(revoked)
        self._now = now
        self._rates = Rates(now)

    def identify(self, credential: str) -> Scoped | None:
        """The caller with this key; None for what is no scoped key. Raises AuthenticationError."""
        if not credential.startswith(PREFIX):
            return None
        try:
            key = check(credential, self._secrets, self._now(), self._revoked)
        except KeyRefused as refused:
            raise AuthenticationError(_REASONS[refused.reason]) from refused
        return Scoped(Caller(key=key.id, identity=key.marks[-1], allowed_models=key.models), key, self._rates)


@dataclass(frozen=True, slots=True)
class Scoped:
    """A caller with a scoped key, and what the key allows."""

    caller: Caller
    key: ScopedKey
    rates: Rates

    def admit(self, path: str, send: Send) -> Send:
        """Lets one request pass to the endpoint with this path in the table, and counts it. The `send` to use instead
        tells of the rate. Raises NotAllowed, and GatewayError (429) for too many."""
        names = names_of(path)
        if names[-1] not in ALWAYS and not all(_is_listed(group, names) for group in self.key.endpoints):
            groups = ", and of these only ".join(", ".join(group) for group in self.key.endpoints)
            raise NotAllowed(f"This key is not for {path}. It is for {groups}.")
        return _announcing(send, self.rates.take(self.key)) if self.key.rates else send


class Rates:
    """Counts the requests of each key on this instance alone."""

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._minted = Buckets()
        self._narrowed = Buckets()
        """Apart, because whoever has a key can make any number of narrowed ones, and push others out."""

    def take(self, key: ScopedKey) -> Headers:
        """One request out of each of the key's buckets, or out of none: a narrowed key that is used up takes nothing
        from the one it was made from. The headers that say what is left. Raises GatewayError (429)."""
        now = self._now()
        buckets = [(self._minted if mark == key.marks[0] else self._narrowed, mark, rate) for mark, rate in key.rates]
        left, rate = min((kept.level(mark, rate, now), rate) for kept, mark, rate in buckets)
        if left < 1:
            raise _too_many(rate, wait_s=(1 - left) * 60 / rate)
        for kept, mark, per_minute in buckets:
            kept.take(mark, per_minute, now)
        return _rate_headers(rate, left - 1)


class Buckets:
    """Token buckets of this process, each as large as what it gets in a minute. The ones least recently used are
    forgotten, which fills them."""

    def __init__(self, limit: int = _MAX_BUCKETS) -> None:
        self._limit = limit
        self._kept: dict[bytes, tuple[float, float]] = {}
        """Mark → what was left, and when."""

    def level(self, mark: bytes, per_minute: int, now: float) -> float:
        """What is left."""
        left, at = self._kept.get(mark, (float(per_minute), now))
        return min(float(per_minute), left + max(0.0, now - at) * per_minute / 60)

    def take(self, mark: bytes, per_minute: int, now: float) -> None:
        """Takes one."""
        left = self.level(mark, per_minute, now) - 1
        self._kept.pop(mark, None)
        if len(self._kept) >= self._limit:
            self._kept.pop(next(iter(self._kept)))
        self._kept[mark] = left, now


def names_of(path: str) -> tuple[str, ...]:
    """What a key may call an endpoint: `/v1/chat/completions`, `/chat/completions`, `chat`."""
    bare = path.removeprefix("/v1")
    return path, bare, bare.split("/")[1]


def _is_listed(group: Sequence[str], names: Sequence[str]) -> bool:
    return any(matches(pattern, name) for pattern in group for name in names)


def _too_many(rate: int, *, wait_s: float) -> GatewayError:
    return GatewayError(
        f"This key is for {rate} requests per minute. Try again in {math.ceil(wait_s)} seconds.",
        status=429,
        type="rate_limit_error",
        code="rate_limit_exceeded",
        retry_after_s=wait_s,
        should_retry=True,
    )


def _rate_headers(rate: int, left: float) -> Headers:
    """In the names that OpenAI gives them; the last one says that other instances count for themselves."""
    return [
        (b"x-ratelimit-limit-requests", b"%d" % rate),
        (b"x-ratelimit-remaining-requests", b"%d" % left),
        (b"x-ratelimit-reset-requests", b"%ds" % math.ceil((rate - left) * 60 / rate)),
        (b"x-gateway-ratelimit-scope", b"instance"),
    ]


def _announcing(send: Send, headers: Headers) -> Send:
    def announced(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *headers]
        return send(message)

    return announced
