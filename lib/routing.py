"""Where a request goes: upstream, credentials, and the upstream's name for the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lib.errors import GatewayError, PoolExhausted, UpstreamError, Verdict, refused_tokens
from lib.types import Caller, Clock, Credentials, Model, Outcome, Route, Upstream

AFFINITY = "models"
"""The conversation key of catalogue calls: every instance asks the same account."""

_MAX_CATALOGUES = 64
_MAX_ACCOUNTS = 3


ModelMap = Iterable[tuple[str, str | None]]
"""(pattern, name): a model that matches the pattern is the upstream's model of that name; None is the default one. `*`
in a pattern stands for anything, and the pattern that says most about a name wins."""

CLAUDE: tuple[str, None] = ("claude-*", None)
"""Clients of the Messages API insist on such names, and no upstream of ours has them."""


@dataclass(frozen=True, slots=True)
class Target:
    """An upstream with the credentials that pay for it."""

    upstream: Upstream
    credentials: Credentials


class Router:
    """Picks routes, and keeps each target's catalogue for a while.

    pooled: serves gateway keys. passthrough: makes the target for a caller's own token. default_model: for requests
    that name none; without it the best entry of the catalogue is taken. cache_s: how long a catalogue is good.
    model_map: other names for models.
    """

    def __init__(
        self,
        pooled: Target,
        passthrough: Callable[[Caller], Target],
        *,
        default_model: str | None,
        cache_s: float,
        now: Clock,
        model_map: ModelMap = (),
    ) -> None:
        self._pooled = pooled
        self._passthrough = passthrough
        self._default_model = default_model
        self._cache_s = cache_s
        self._now = now
        self._names = _Names(model_map)
        self._catalogues: dict[tuple[str | None, str | None], tuple[float, list[Model]]] = {}
        """(token, account id) of the caller, both None for the pool → when to ask again, and the list."""

    async def pick(self, model: str | None, caller: Caller) -> Route:
        """The route for one request. `model` None stands for the default. Raises GatewayError."""
        target = self._target(caller)
        if model is not None:
            model = self._names.find(model)
        if model is None:
            model = self._default_model or await self._best(target, caller)
        return Route(target.upstream, target.credentials, model)

    async def models(self, caller: Caller) -> list[tuple[Model, str]]:
        """What this caller may ask for, best first, each with its owner's name; hidden ones are among them.
        Raises GatewayError."""
        target = self._target(caller)
        owner = "openai" if target.upstream.name == "codex" else target.upstream.name
        return [(model, owner) for model in await self._catalogue(target, caller)]

    def _target(self, caller: Caller) -> Target:
        return self._pooled if caller.token is None else self._passthrough(caller)

    async def _best(self, target: Target, caller: Caller) -> str:
        for model in await self._catalogue(target, caller):
            if not model.hidden:
                return model.id
        raise UpstreamError(
            "The account's model list is empty. Name a model in the request, or set DEFAULT_MODEL.",
            verdict=Verdict.SERVICE,
            status=503,
            code="model_not_found",
        )

    async def _catalogue(self, target: Target, caller: Caller) -> list[Model]:
        key = (caller.token, caller.account_id)
        kept = self._catalogues.get(key)
        if kept is not None and kept[0] > self._now():
            return kept[1]
        try:
            models = await _fetch(target)
        except GatewayError as error:
            if kept is None or error.status == 401:
                self._catalogues.pop(key, None)
                raise
            models = kept[1]  # the last good list serves until the upstream answers again
        if len(self._catalogues) >= _MAX_CATALOGUES:
            self._catalogues.pop(next(iter(self._catalogues)))
        self._catalogues[key] = (self._now() + self._cache_s, models)
        return models


class _Names:
    """A model map, ready for look-ups."""

    def __init__(self, model_map: ModelMap) -> None:
        rows = sorted(model_map, key=lambda row: ("*" not in row[0], len(row[0].replace("*", ""))), reverse=True)
        self._rows = [(row[0].split("*"), row[1]) for row in rows]

    def find(self, model: str) -> str | None:
        """The name to use; the model's own when no pattern matches."""
        for parts, name in self._rows:
            if _matches(parts, model):
                return name
        return model


def _matches(parts: list[str], name: str) -> bool:
    """Whether a name consists of these parts, in order, with anything between them."""
    first, *others = parts
    if not others:
        return name == first
    last = others.pop()
    if not name.startswith(first) or len(name) < len(first) + len(last) or not name.endswith(last):
        return False
    start, end = len(first), len(name) - len(last)
    for part in others:
        start = name.find(part, start, end)
        if start < 0:
            return False
        start += len(part)
    return True


async def _fetch(target: Target) -> list[Model]:
    tried: list[str] = []
    error: GatewayError | None = None
    while len(tried) < _MAX_ACCOUNTS:
        try:
            lease = await target.credentials.lease(affinity=AFFINITY, model=None, tried=tried)
        except PoolExhausted as exhausted:
            raise exhausted if error is None or exhausted.status in (401, 429) else error from exhausted
        tried.append(lease.account)
        try:
            return await target.upstream.models(lease)
        except UpstreamError as failure:
            error = refused_tokens([lease.account], failure.code) if failure.verdict is Verdict.ACCOUNT else failure
            await target.credentials.report(lease, Outcome(failure), None)
            if failure.verdict is Verdict.REQUEST:
                break
    assert error is not None
    raise error
