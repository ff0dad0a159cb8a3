"""Model lists of several upstreams; `tests/test_routing.py` has what routing makes of them."""

from __future__ import annotations

import asyncio

import pytest

from lib.catalogues import Catalogues, Target
from lib.errors import UpstreamError, Verdict
from lib.types import Caller, Lease, Model
from tests.fakes.scripted import ScriptedCredentials, ScriptedUpstream, failure

KEY = Caller("k1")


class SlowUpstream(ScriptedUpstream):
    name = "slow"

    async def models(self, lease: Lease) -> list[Model]:
        self.catalogue_calls += 1
        await asyncio.sleep(60)
        return []


def test_a_slow_upstream_does_not_keep_the_others_waiting() -> None:
    made = Catalogues(cache_s=10, now=lambda: 0.0, wait_s=0.02)
    targets = [Target(SlowUpstream(), ScriptedCredentials()), Target(ScriptedUpstream(), ScriptedCredentials())]

    async def main() -> None:
        for _ in range(2):  # the second time it is not even asked
            slow, quick = await made.of_all(targets, KEY)
            assert slow == [] and [model.id for model in quick] == ["m-best", "m-hidden", "m-other"]

    asyncio.run(asyncio.wait_for(main(), 5))


def test_a_name_is_not_looked_up_for_long_in_a_single_list_either() -> None:
    made = Catalogues(cache_s=10, now=lambda: 0.0, wait_s=0.02)
    upstream = SlowUpstream()
    target = Target(upstream, ScriptedCredentials())

    async def main() -> None:
        for _ in range(2):
            assert await made.lists("m", [target], KEY) is None

    asyncio.run(asyncio.wait_for(main(), 5))
    assert upstream.catalogue_calls == 1


def test_the_last_good_list_outlives_a_server_that_hangs() -> None:
    time = [0.0]
    made = Catalogues(cache_s=10, now=lambda: time[0], wait_s=0.02)
    upstream = SlowUpstream()
    target = Target(upstream, ScriptedCredentials())
    quick = Target(ScriptedUpstream(), ScriptedCredentials())
    upstream.name = quick.name

    async def main() -> None:
        assert await made.lists("m-best", [quick], KEY) is quick
        time[0] = 11.0
        for _ in range(2):  # the second time it is not even asked
            assert await made.lists("m-best", [target], KEY) is target

    asyncio.run(asyncio.wait_for(main(), 5))
    assert upstream.catalogue_calls == 1


def test_one_callers_failure_is_no_others() -> None:
    made = Catalogues(cache_s=10, now=lambda: 0.0)
    upstream = ScriptedUpstream()
    target = Target(upstream, ScriptedCredentials(5))
    listed, upstream.catalogue = upstream.catalogue, failure(Verdict.REQUEST)
    assert asyncio.run(made.lists("m-best", [target], Caller("k2", token="t"))) is None
    upstream.catalogue = listed
    assert asyncio.run(made.lists("m-best", [target], KEY)) is target


def test_the_first_failure_is_told_when_no_list_is_to_be_had() -> None:
    made = Catalogues(cache_s=10, now=lambda: 0.0)
    targets = []
    for name, verdict in (("one", Verdict.SERVICE), ("two", Verdict.REQUEST)):
        upstream = ScriptedUpstream()
        upstream.name, upstream.catalogue = name, failure(verdict)
        targets.append(Target(upstream, ScriptedCredentials()))
    for _ in range(2):
        with pytest.raises(UpstreamError) as caught:
            asyncio.run(made.of_all(targets, KEY))
        assert caught.value.verdict is Verdict.SERVICE


class GatedUpstream(ScriptedUpstream):
    """Lists its models when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.cancelled = 0

    async def models(self, lease: Lease) -> list[Model]:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await super().models(lease)


def test_a_single_list_is_not_waited_for_without_end() -> None:
    made = Catalogues(cache_s=10, now=lambda: 0.0, wait_s=0.02)

    async def main() -> None:
        before = asyncio.all_tasks()
        with pytest.raises(UpstreamError, match="did not come in time") as caught:
            await made.of(Target(SlowUpstream(), ScriptedCredentials()), KEY)
        assert (caught.value.status, caught.value.code) == (504, "upstream_timeout")
        assert asyncio.all_tasks() == before

    asyncio.run(asyncio.wait_for(main(), 5))


def test_requests_at_the_same_time_fetch_a_list_once_and_one_that_leaves_takes_nothing_along() -> None:
    made = Catalogues(cache_s=10, now=lambda: 0.0)
    upstream = GatedUpstream()
    target = Target(upstream, ScriptedCredentials())

    async def main() -> None:
        asking = [asyncio.ensure_future(made.of(target, KEY)) for _ in range(4)]
        await asyncio.sleep(0.01)
        asking[0].cancel()
        await asyncio.sleep(0.01)
        upstream.gate.set()
        left, *found = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(left, asyncio.CancelledError)
        assert all(models == upstream.catalogue for models in found)

    asyncio.run(asyncio.wait_for(main(), 5))
    assert (upstream.catalogue_calls, upstream.cancelled) == (1, 0)


def test_the_last_one_that_leaves_ends_the_fetch_and_the_next_one_begins_anew() -> None:
    made = Catalogues(cache_s=10, now=lambda: 0.0)
    upstream = GatedUpstream()
    target = Target(upstream, ScriptedCredentials())

    async def main() -> None:
        before = asyncio.all_tasks()
        asking = [asyncio.ensure_future(made.of(target, KEY)) for _ in range(2)]
        await asyncio.sleep(0.01)
        for each in asking:
            each.cancel()
        await asyncio.wait(asking)
        assert upstream.cancelled == 1 and asyncio.all_tasks() == before
        upstream.gate.set()
        assert await made.of(target, KEY) == upstream.catalogue

    asyncio.run(asyncio.wait_for(main(), 5))


def test_a_failure_reaches_all_who_wait_for_it() -> None:
    made = Catalogues(cache_s=10, now=lambda: 0.0)
    upstream = GatedUpstream()
    upstream.catalogue = failure(Verdict.REQUEST)
    target = Target(upstream, ScriptedCredentials())

    async def main() -> None:
        upstream.gate.set()
        found = await asyncio.gather(*(made.of(target, KEY) for _ in range(3)), return_exceptions=True)
        assert found == [upstream.catalogue] * 3

    asyncio.run(asyncio.wait_for(main(), 5))
    assert upstream.catalogue_calls == 1
