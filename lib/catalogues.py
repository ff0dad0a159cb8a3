"""What each upstream's accounts may use, kept for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from lib.errors import GatewayError, PoolExhausted, UpstreamError, Verdict, refused_tokens
from lib.types import Caller, Clock, Credentials, Forwarder, ImageUpstream, Model, Outcome, Upstream

AFFINITY = "models"
"""The conversation key of catalogue calls: every instance asks the same account."""

_REST_S = 30.0
"""How long it is not asked again when it failed them."""
_MAX_CATALOGUES = 64
_MAX_ACCOUNTS = 3

_Key = tuple[str, str | None, str | None]
"""Upstream, token and account id of the caller."""


@dataclass(frozen=True, slots=True)
class Target:
    """An upstream, all that it serves, and the credentials that pay for it."""

    upstream: Upstream
    credentials: Credentials
    images: ImageUpstream | None = None
    forwarder: Forwarder | None = None
    any_vendor: bool = False
    """Whether its models may be of any vendor, so that its catalogue decides what a foreign name means."""

    @property
    def name(self) -> str:
        """The upstream's name, which a caller may put before a model's: `openai/gpt-5.5`."""
        return self.upstream.name


class Catalogues:
    """The model lists of targets.

    cache_s: how long one is good; after that it serves on while no new one is to be had.
    wait_s: how long one of several upstreams may keep the others' requests waiting.
    """

    def __init__(self, *, cache_s: float, now: Clock, wait_s: float = 10.0) -> None:
        self._cache_s = cache_s
        self._wait_s = wait_s
        self._now = now
        self._kept: dict[_Key, tuple[float, list[Model]]] = {}
        """When to ask again, and the list."""
        self._failed: dict[_Key, tuple[float, GatewayError]] = {}
        """Until when it is not asked, and why."""

    async def of(self, target: Target, caller: Caller) -> list[Model]:
        """One target's list, best first; hidden ones are in it. Raises GatewayError."""
        key = _key(target, caller)
        kept = self._kept.get(key)
        if kept is not None and kept[0] > self._now():
            return kept[1]
        try:
            models = await _fetch(target)
        except GatewayError as error:
            if kept is None or error.status == 401:
                self._kept.pop(key, None)
                raise
            models = kept[1]
        if len(self._kept) >= _MAX_CATALOGUES:
            self._kept.pop(next(iter(self._kept)))
        self._kept[key] = (self._now() + self._cache_s, models)
        return models

    async def of_all(self, targets: Sequence[Target], caller: Caller) -> list[list[Model]]:
        """Every target's list, fetched side by side. One that cannot be had in time is empty, unless none can: then the
        first failure is raised."""
        if len(targets) == 1:
            return [await self.of(targets[0], caller)]
        found = await self._all_soon(targets, caller)
        failures = [each for each in found if isinstance(each, GatewayError)]
        if len(failures) == len(found):
            raise failures[0].with_traceback(None)  # it may be raised many times while it is remembered
        return [[] if isinstance(each, GatewayError) else each for each in found]

    async def lists(self, model: str, targets: Sequence[Target], caller: Caller) -> Target | None:
        """The first target that has the model. A list that cannot be had in time has none: the call itself will meet
        the failure, and try all accounts."""
        for target, models in zip(targets, await self._all_soon(targets, caller), strict=True):
            if not isinstance(models, GatewayError) and any(each.id == model for each in models):
                return target
        return None

    async def _all_soon(self, targets: Sequence[Target], caller: Caller) -> list[list[Model] | GatewayError]:
        return await asyncio.gather(*(self._soon(target, caller) for target in targets))

    async def _soon(self, target: Target, caller: Caller) -> list[Model] | GatewayError:
        key = _key(target, caller)
        until, failure = self._failed.get(key, (0.0, None))
        if failure is not None and until > self._now():
            return failure
        try:
            async with asyncio.timeout(self._wait_s):
                return await self.of(target, caller)
        except TimeoutError:
            if key in self._kept:
                _, models = self._kept[key]
                self._kept[key] = (self._now() + _REST_S, models)
                return models
            error: GatewayError = UpstreamError(
                f"The model list of the upstream '{target.name}' did not come in time.",
                verdict=Verdict.SERVICE,
                status=504,
                code="upstream_timeout",
            )
        except GatewayError as exc:
            error = exc
        if len(self._failed) >= _MAX_CATALOGUES:
            self._failed.pop(next(iter(self._failed)))
        self._failed[key] = (self._now() + _REST_S, error)
        return error


def _key(target: Target, caller: Caller) -> _Key:
    return target.name, caller.token, caller.account_id


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
            failure.hide(lease.secrets())
            error = refused_tokens([lease.account], failure.code) if failure.verdict is Verdict.ACCOUNT else failure
            await target.credentials.report(lease, Outcome(failure), None)
            if failure.verdict is Verdict.REQUEST:
                break
    assert error is not None
    raise error
