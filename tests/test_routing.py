"""Routes and catalogues."""

from __future__ import annotations

import asyncio

import pytest

from lib.errors import GatewayError, UpstreamError, Verdict
from lib.routing import CLAUDE, ModelMap, Router, Target
from lib.types import Caller
from tests.fakes.scripted import ScriptedCredentials, ScriptedUpstream, failure

KEY = Caller("k1")
TOKEN = Caller("k2", token="caller-token")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def router(
    pooled: ScriptedUpstream, *, own: ScriptedUpstream | None = None, default: str | None = None, count: int = 3
) -> tuple[Router, Clock]:
    clock = Clock()
    target = Target(own or ScriptedUpstream(), ScriptedCredentials(1, fixed=True))
    made = Router(
        Target(pooled, ScriptedCredentials(count)), lambda _: target, default_model=default, cache_s=10, now=clock
    )
    return made, clock


def test_a_named_model_goes_as_it_is() -> None:
    pooled = ScriptedUpstream()
    route = asyncio.run(router(pooled)[0].pick("any-name", KEY))
    assert route.upstream is pooled and route.model == "any-name" and pooled.catalogue_calls == 0


def test_no_model_means_the_default_or_the_best_of_the_catalogue() -> None:
    assert asyncio.run(router(ScriptedUpstream(), default="m-set")[0].pick(None, KEY)).model == "m-set"
    assert asyncio.run(router(ScriptedUpstream())[0].pick(None, KEY)).model == "m-best"


def test_an_empty_catalogue_is_a_clear_error() -> None:
    pooled = ScriptedUpstream()
    pooled.catalogue = []
    with pytest.raises(UpstreamError, match="DEFAULT_MODEL"):
        asyncio.run(router(pooled)[0].pick(None, KEY))


def test_a_passthrough_token_has_a_route_of_its_own() -> None:
    pooled, own = ScriptedUpstream(), ScriptedUpstream()
    made, _ = router(pooled, own=own)
    assert asyncio.run(made.pick("m", TOKEN)).upstream is own
    asyncio.run(made.models(TOKEN))
    assert (pooled.catalogue_calls, own.catalogue_calls) == (0, 1)


def test_the_catalogue_is_kept_for_a_while() -> None:
    pooled = ScriptedUpstream()
    made, clock = router(pooled)
    names = [[model.id for model, _ in asyncio.run(made.models(KEY))] for _ in range(3)]
    assert names == [["m-best", "m-hidden", "m-other"]] * 3 and pooled.catalogue_calls == 1
    clock.now = 11
    asyncio.run(made.models(KEY))
    assert pooled.catalogue_calls == 2


def test_the_last_good_catalogue_outlives_a_failure() -> None:
    pooled = ScriptedUpstream()
    made, clock = router(pooled)
    asyncio.run(made.models(KEY))
    pooled.catalogue, clock.now = failure(Verdict.SERVICE), 11
    assert len(asyncio.run(made.models(KEY))) == 3


def test_a_catalogue_is_asked_of_another_account_when_the_first_fails() -> None:
    pooled = ScriptedUpstream()
    pooled.catalogue = failure(Verdict.ACCOUNT)
    made, _ = router(pooled)
    with pytest.raises(GatewayError, match=r"\(a3\)"):
        asyncio.run(made.models(KEY))
    assert pooled.catalogue_calls == 3


def test_the_callers_fault_and_an_empty_pool_end_the_search() -> None:
    pooled = ScriptedUpstream()
    pooled.catalogue = failure(Verdict.REQUEST)
    with pytest.raises(UpstreamError):
        asyncio.run(router(pooled)[0].models(KEY))
    assert pooled.catalogue_calls == 1
    with pytest.raises(GatewayError) as caught:
        asyncio.run(router(ScriptedUpstream(), count=0)[0].models(KEY))
    assert caught.value.status == 429


def test_a_refused_token_has_no_catalogue_any_more() -> None:
    own = ScriptedUpstream()
    made, clock = router(ScriptedUpstream(), own=own)
    asyncio.run(made.models(TOKEN))
    own.catalogue, clock.now = failure(Verdict.ACCOUNT, status=401), 11
    with pytest.raises(GatewayError):
        asyncio.run(made.models(TOKEN))


def test_two_workspaces_of_one_token_have_a_catalogue_each() -> None:
    own = ScriptedUpstream()
    made, _ = router(ScriptedUpstream(), own=own)
    for account_id in ("w1", "w2", "w1"):
        asyncio.run(made.models(Caller("k2", token="caller-token", account_id=account_id)))
    assert own.catalogue_calls == 2


def mapped(model: str, model_map: ModelMap) -> str | None:
    target = Target(ScriptedUpstream(), ScriptedCredentials(1))
    made = Router(target, lambda _: target, default_model="m-set", cache_s=10, now=Clock(), model_map=model_map)
    return asyncio.run(made.pick(model, KEY)).model


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("claude-opus-4-8", "big"),
        ("claude-haiku-4-5", "small"),
        ("claude-haiku-4-5-exact", "exact"),
        ("claude-", "big"),
        ("claude", "claude"),
        ("gpt-4o", "gpt-4o"),
        ("my-gpt-4o-mini-v2", "infix"),
        ("gpt-4o-mini", "infix"),
        ("prefix-x-suffix", "both"),
        ("prefix-suffix", "prefix-suffix"),
        ("prefix-mid-and-mid-suffix", "both"),
    ],
)
def test_the_pattern_that_says_most_wins(model: str, name: str) -> None:
    rows: ModelMap = [
        ("claude-*", "big"),
        ("claude-haiku-4-5-exact", "exact"),
        ("claude-haiku-*", "small"),
        ("*gpt-4o-mini*", "infix"),
        ("prefix-*-suffix", "both"),
        CLAUDE,
    ]
    assert mapped(model, rows) == name


def test_a_claude_that_matches_nothing_is_the_default() -> None:
    rows: ModelMap = [("claude-haiku-*", "small"), CLAUDE]
    assert mapped("claude-opus-4-8", rows) == "m-set"
    assert mapped("claude-haiku-4-5", rows) == "small"
    best = Router(
        Target(ScriptedUpstream(), ScriptedCredentials(1)),
        lambda _: Target(ScriptedUpstream(), ScriptedCredentials(1)),
        default_model=None,
        cache_s=10,
        now=Clock(),
        model_map=[CLAUDE],
    )
    assert asyncio.run(best.pick("claude-opus-4-8", KEY)).model == "m-best"


def test_a_star_alone_takes_everything_that_is_named() -> None:
    assert mapped("anything", [("*", "one")]) == "one"
    assert mapped("a-b-a", [("a*b*a", "one")]) == "one"
    assert mapped("aba", [("ab*ba", "one")]) == "aba"
