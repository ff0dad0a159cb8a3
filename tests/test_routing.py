"""Routes and catalogues."""

from __future__ import annotations

import asyncio

import pytest

from lib.catalogues import Target
from lib.errors import GatewayError, NotAllowed, NotFound, UpstreamError, Verdict
from lib.model_map import ModelMap
from lib.routing import GENERATE, IMAGES, Router
from lib.types import Caller, Forwarded, ForwardedAnswer, Lease, Model, Trace
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
        [Target(pooled, ScriptedCredentials(count))], lambda _: target, default_model=default, cache_s=10, now=clock
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
    asyncio.run(made.models(TOKEN, Trace("r", 0.0)))
    assert (pooled.catalogue_calls, own.catalogue_calls) == (0, 1)


def test_the_catalogue_is_kept_for_a_while() -> None:
    pooled = ScriptedUpstream()
    made, clock = router(pooled)
    names = [[model.id for model, _ in asyncio.run(made.models(KEY, Trace("r", 0.0)))] for _ in range(3)]
    assert names == [["m-best", "m-hidden", "m-other"]] * 3 and pooled.catalogue_calls == 1
    clock.now = 11
    asyncio.run(made.models(KEY, Trace("r", 0.0)))
    assert pooled.catalogue_calls == 2


def test_the_last_good_catalogue_outlives_a_failure() -> None:
    pooled = ScriptedUpstream()
    made, clock = router(pooled)
    asyncio.run(made.models(KEY, Trace("r", 0.0)))
    pooled.catalogue, clock.now = failure(Verdict.SERVICE), 11
    assert len(asyncio.run(made.models(KEY, Trace("r", 0.0)))) == 3


def test_a_catalogue_is_asked_of_another_account_when_the_first_fails() -> None:
    pooled = ScriptedUpstream()
    pooled.catalogue = failure(Verdict.ACCOUNT)
    made, _ = router(pooled)
    with pytest.raises(GatewayError, match=r"\(a3\)"):
        asyncio.run(made.models(KEY, Trace("r", 0.0)))
    assert pooled.catalogue_calls == 3


def test_the_callers_fault_and_an_empty_pool_end_the_search() -> None:
    pooled = ScriptedUpstream()
    pooled.catalogue = failure(Verdict.REQUEST)
    with pytest.raises(UpstreamError):
        asyncio.run(router(pooled)[0].models(KEY, Trace("r", 0.0)))
    assert pooled.catalogue_calls == 1
    with pytest.raises(GatewayError) as caught:
        asyncio.run(router(ScriptedUpstream(), count=0)[0].models(KEY, Trace("r", 0.0)))
    assert caught.value.status == 429


def test_a_refused_token_has_no_catalogue_any_more() -> None:
    own = ScriptedUpstream()
    made, clock = router(ScriptedUpstream(), own=own)
    asyncio.run(made.models(TOKEN, Trace("r", 0.0)))
    own.catalogue, clock.now = failure(Verdict.ACCOUNT, status=401), 11
    with pytest.raises(GatewayError):
        asyncio.run(made.models(TOKEN, Trace("r", 0.0)))


def test_two_workspaces_of_one_token_have_a_catalogue_each() -> None:
    own = ScriptedUpstream()
    made, _ = router(ScriptedUpstream(), own=own)
    for account_id in ("w1", "w2", "w1"):
        asyncio.run(made.models(Caller("k2", token="caller-token", account_id=account_id), Trace("r", 0.0)))
    assert own.catalogue_calls == 2


def mapped(model: str, model_map: ModelMap) -> str | None:
    target = Target(ScriptedUpstream(), ScriptedCredentials(1))
    made = Router([target], lambda _: target, default_model="m-set", cache_s=10, now=Clock(), model_map=model_map)
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
    ]
    assert mapped(model, rows) == name


def test_a_claude_that_matches_nothing_is_the_default() -> None:
    rows: ModelMap = [("claude-haiku-*", "small")]
    assert mapped("claude-opus-4-8", rows) == "m-set"
    assert mapped("claude-haiku-4-5", rows) == "small"
    assert asyncio.run(router(ScriptedUpstream())[0].pick("claude-opus-4-8", KEY)).model == "m-best"


def test_a_star_alone_takes_everything_that_is_named() -> None:
    assert mapped("anything", [("*", "one")]) == "one"
    assert mapped("a-b-a", [("a*b*a", "one")]) == "one"
    assert mapped("aba", [("ab*ba", "one")]) == "aba"


class Forwards:
    """A forwarder that is only asked what it serves."""

    takes_tools = True

    def __init__(self, *endpoints: str) -> None:
        self.endpoints = frozenset(endpoints)

    async def forward(self, request: Forwarded, lease: Lease, *, timeout_s: float) -> ForwardedAnswer:
        raise NotImplementedError


def target(name: str, *models: str, endpoints: tuple[str, ...] = (), any_vendor: bool = False) -> Target:
    upstream = ScriptedUpstream()
    upstream.name = name
    upstream.catalogue = [Model(model) for model in models]
    return Target(upstream, ScriptedCredentials(), forwarder=Forwards(*endpoints), any_vendor=any_vendor)


def several(*targets: Target, default: str | None = None, clock: Clock | None = None) -> Router:
    return Router(targets, lambda _: targets[0], default_model=default, cache_s=10, now=clock or Clock())


def picked(made: Router, model: str | None, endpoint: str = GENERATE) -> tuple[str, str | None]:
    route = asyncio.run(made.pick(model, KEY, endpoint))
    return route.upstream.name, route.model


def test_a_prefix_names_the_upstream() -> None:
    made = several(target("codex", "gpt"), target("openai", "gpt", "other"))
    assert picked(made, "openai/gpt") == ("openai", "gpt")
    assert picked(made, "codex/unknown") == ("codex", "unknown")
    assert picked(made, "vendor/gpt") == ("codex", "vendor/gpt")
    assert picked(made, "openai/") == ("codex", "openai/")


def test_a_name_that_the_upstream_lists_with_its_own_prefix_is_kept() -> None:
    made = several(target("codex", "gpt"), target("openai", "openai/gpt"))
    assert picked(made, "openai/gpt") == ("openai", "openai/gpt")


def test_without_a_prefix_the_catalogue_decides_and_else_the_order() -> None:
    made = several(target("codex", "gpt"), target("openai", "gpt", "deepseek"))
    assert picked(made, "gpt") == ("codex", "gpt")
    assert picked(made, "deepseek") == ("openai", "deepseek")
    assert picked(made, "nowhere") == ("codex", "nowhere")


def test_only_upstreams_that_serve_the_endpoint_are_considered() -> None:
    made = several(target("codex", "tts"), target("openai", "other", endpoints=("/audio/speech",)))
    assert picked(made, "tts", "/audio/speech") == ("openai", "tts")
    assert picked(made, None, "/audio/speech") == ("openai", None)
    for model, endpoint in (("tts", "/embeddings"), ("tts", IMAGES), ("codex/tts", "/audio/speech")):
        with pytest.raises(NotFound, match="OPENAI_API_KEY") as caught:
            picked(made, model, endpoint)
        assert caught.value.code == "endpoint_not_served"


def test_the_default_model_may_name_its_upstream_and_else_is_the_first_ones_best() -> None:
    targets = target("codex", "gpt"), target("openai", "other")
    assert picked(several(*targets, default="openai/other"), None) == ("openai", "other")
    assert picked(several(*targets), None) == ("codex", "gpt")


def test_a_claude_that_an_upstream_has_is_meant() -> None:
    targets = target("codex", "gpt"), target("openai", "claude-5", any_vendor=True)
    assert picked(several(*targets), "claude-5") == ("openai", "claude-5")
    assert picked(several(*targets), "claude-6") == ("codex", "gpt")


def test_all_catalogues_are_listed_each_name_once() -> None:
    made = several(target("codex", "gpt", "spark"), target("openai", "gpt", "other"))
    listed = [(model.id, owner) for model, owner in asyncio.run(made.models(KEY, Trace("r", 0.0)))]
    assert listed == [("gpt", "codex"), ("spark", "codex"), ("openai/gpt", "openai"), ("other", "openai")]


def test_an_upstream_without_a_catalogue_hides_no_other_and_is_left_alone_for_a_while() -> None:
    broken, clock = ScriptedUpstream(), Clock()
    broken.name, broken.catalogue = "codex", failure(Verdict.REQUEST)
    made = several(Target(broken, ScriptedCredentials()), target("openai", "gpt"), clock=clock)
    assert picked(made, "gpt") == ("openai", "gpt")
    assert [model.id for model, _ in asyncio.run(made.models(KEY, Trace("r", 0.0)))] == ["gpt"]
    assert broken.catalogue_calls == 1
    clock.now = 31
    assert picked(made, "gpt") == ("openai", "gpt")
    assert broken.catalogue_calls == 2


def test_when_no_catalogue_is_to_be_had_the_first_upstream_serves() -> None:
    targets = []
    for name in ("codex", "openai"):
        upstream = ScriptedUpstream()
        upstream.name, upstream.catalogue = name, failure(Verdict.SERVICE)
        targets.append(Target(upstream, ScriptedCredentials()))
    made = several(*targets)
    assert picked(made, "gpt") == ("codex", "gpt")
    with pytest.raises(UpstreamError):
        asyncio.run(made.models(KEY, Trace("r", 0.0)))


def test_what_is_forwarded_is_known() -> None:
    made = several(target("codex"), target("openai", endpoints=("/embeddings",)))
    assert made.forwards("/embeddings", KEY) and not made.forwards("/embeddings", TOKEN)


def limited(made: Router, model: str | None, *groups: tuple[str, ...], endpoint: str = GENERATE) -> str | None:
    return asyncio.run(made.pick(model, Caller("k1", allowed_models=groups), endpoint)).model


@pytest.mark.parametrize(
    ("model", "groups"),
    [
        ("gpt-5.5", [("gpt-5*",)]),
        ("gpt-5.5", [("o3", "gpt-5.5")]),
        ("gpt-5.5", [("codex/*",)]),
        ("codex/gpt-5.5", [("gpt-5*",)]),
        ("openai/o3", [("openai/*",)]),
        ("fast", [("fast",)]),
        ("fast", [("mini",)]),
        ("claude-x", [("claude-*",)]),
        ("claude-x", [("m-set",)]),
        (None, [("m-set",)]),
        ("gpt-5.5", [("gpt-5*",), ("*5.5",), ("*",)]),
    ],
)
def test_a_key_for_certain_models_may_use_them(model: str | None, groups: list[tuple[str, ...]]) -> None:
    assert limited(of_two(), model, *groups) is not None


@pytest.mark.parametrize(
    ("model", "groups"),
    [
        ("o3", [("gpt-5*",)]),
        ("openai/o3", [("codex/*",)]),
        ("o3", [("codex/*",)]),
        ("fast", [("fas",)]),
        ("claude-x", [("gpt-5*",)]),
        (None, [("gpt-5*",)]),
        ("GPT-5.5", [("gpt-5*",)]),
        ("gpt-5.5", [("gpt-5*",), ("o3",)]),
        ("gpt-5.5", [()]),
    ],
)
def test_a_key_for_certain_models_may_use_no_other(model: str | None, groups: list[tuple[str, ...]]) -> None:
    with pytest.raises(NotAllowed) as caught:
        limited(of_two(), model, *groups)
    assert (caught.value.status, caught.value.code, caught.value.param) == (403, "key_not_allowed", "model")


def of_two() -> Router:
    targets = target("codex", "gpt-5.5", "mini"), target("openai", "o3", endpoints=("/moderations",))
    return Router(
        targets, lambda _: targets[0], default_model="m-set", cache_s=10, now=Clock(), model_map=[("fast", "mini")]
    )


def test_a_key_for_certain_models_leaves_no_choice_to_the_upstream() -> None:
    assert picked(of_two(), None, "/moderations") == ("openai", None)
    with pytest.raises(NotAllowed, match="name one"):
        limited(of_two(), None, ("*",), endpoint="/moderations")


def test_a_key_for_certain_models_sees_no_other_and_may_use_what_it_sees() -> None:
    made = several(target("codex", "gpt", "o3"), target("openai", "gpt", "openai/o3"))
    for groups, expected in (
        ([("gpt",)], ["gpt", "openai/gpt"]),
        ([("openai/*",)], ["openai/gpt", "openai/o3"]),
        ([("*gpt",), ("openai/*",)], ["openai/gpt"]),
        ([("other",)], []),
    ):
        caller = Caller("k1", allowed_models=tuple(groups))
        names = [model.id for model, _ in asyncio.run(made.models(caller, Trace("r", 0.0)))]
        assert names == expected
        for name in names:
            assert asyncio.run(made.pick(name, caller)).model


def test_the_upstream_whose_failure_is_told_is_known() -> None:
    broken = target("codex"), target("openai")
    for each in broken:
        assert isinstance(each.upstream, ScriptedUpstream)
        each.upstream.catalogue = failure(Verdict.SERVICE)
    trace = Trace("r", 0.0)
    with pytest.raises(UpstreamError):
        asyncio.run(several(*broken).models(KEY, trace))
    assert trace.upstream == "codex"
    asyncio.run(several(target("codex", "gpt")).models(KEY, good := Trace("r", 0.0)))
    assert good.upstream == ""  # a kept list is no upstream's answer
