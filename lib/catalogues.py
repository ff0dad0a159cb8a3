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
    image_urls_only: bool = False
    """Whether it takes pictures in a conversation by their address alone."""

    @property
    def name(self) -> str:
        """The upstream's name, which a caller may put before a model's: `openai/gpt-5.5`."""
        return self.upstream.name


class Catalogues:
    """The model lists of targets.

    cache_s: how long one is good; after that it serves on while no new one is to be had.
    wait_s: how long a request waits for one. Requests that want the same one at the same time wait for one fetch, which
    goes on as long as any of them is there.
    """

    def __init__(self, *, cache_s: float, now: Clock, wait_s: float = 10.0) -> None:
        self._cache_s = cache_s
        self._wait_s = wait_s
        self._now = now
        self._kept: dict[_Key, tuple[float, list[Model]]] = {}
        """When to ask again, and the list."""
        self._failed: dict[_Key, tuple[float, GatewayError]] = {}
        """Until when it is not asked, and why."""
        self._fetches: dict[_Key, _Fetch] = {}
        """Those under way."""

    async def of(self, target: Target, caller: Caller) -> list[Model]:
        """One target's list, best first; hidden ones are in it. Raises GatewayError."""
        key = _key(target, caller)
        kept = self._kept.get(key)
        if kept is not None and kept[0] > self._now():
            return kept[1]
        try:
            async with asyncio.timeout(self._wait_s):
                models = await self._fetched(key, target)
        except TimeoutError as error:
            if kept is None:
                raise _late(target) from error
            self._keep(key, kept[1], _REST_S)
            return kept[1]
        except GatewayError as error:
            if kept is None or error.status == 401:
                self._kept.pop(key, None)
                raise
            models = kept[1]
        self._keep(key, models, self._cache_s)
        return models

    async def _fetched(self, key: _Key, target: Target) -> list[Model]:
        fetch = self._fetches.get(key)
        if fetch is None or fetch.task.get_loop() is not asyncio.get_running_loop():
            fetch = self._fetches[key] = _Fetch(asyncio.ensure_future(_fetch(target)))
        fetch.waiting += 1
        try:
            return await asyncio.shield(fetch.task)
        finally:
            fetch.waiting -= 1
            if not fetch.waiting:
                if self._fetches.get(key) is fetch:
                    del self._fetches[key]
                fetch.task.cancel()  # without effect on one that is over
                await asyncio.wait({fetch.task})
                if not fetch.task.cancelled():
                    fetch.task.exception()  # nobody waits for it any more

    def _keep(self, key: _Key, models: list[Model], life_s: float) -> None:
        if len(self._kept) >= _MAX_CATALOGUES:
            self._kept.pop(next(iter(self._kept)))
        self._kept[key] = (self._now() + life_s, models)

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
            return await self.of(target, caller)
        except GatewayError as error:
            if len(self._failed) >= _MAX_CATALOGUES:
                self._failed.pop(next(iter(self._failed)))
            self._failed[key] = (self._now() + _REST_S, error)
            return error


@dataclass(slots=True)
class _Fetch:
    """A list on its way, and how many requests wait for it."""

    task: asyncio.Future[list[Model]]
    waiting: int = 0


def _late(target: Target) -> UpstreamError:
    return UpstreamError(
        f"The model list of the upstream '{target.name}' did not come in time. A request that names its model does "
        "without it.",
        verdict=Verdict.SERVICE,
        status=504,
        code="upstream_timeout",
    )


def _key(target: Target, caller: Caller) -> _Key:
    return target.name, caller.token, caller.account_id


async def _fetch(target: Target) -> list[Model]:
    tried: list[str] = []
    error: GatewayError | None = None
    while len(tried) < _MAX_ACCOUNTS:
        try:
            lease = await target.credentials.lease(affinity=AFFINITY, model=None, tried=tried)
        except PoolExhausted as exhausted:
            raise exhausted if error is None or exhausted.code != "no_account_left" else error from exhausted
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
