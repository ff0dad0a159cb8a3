from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lib.canonical.build import Builder, usage
from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.errors import UpstreamError, Verdict
from lib.prompted.policy import CallFilter, EnforcedUpstream, Rule, rule_of
from tests.prompted.speaking import (
    LEASE,
    Speaking,
    asked,
    batches_of,
    events_of,
    function,
    makes_calls,
    outline,
    response_of,
    says,
    text_of,
)

TOOLS = [function("a"), function("b")]
ONLY_A = {"type": "function", "name": "a"}


def request(**fields: Any) -> CanonicalRequest:
    return asked(tools=TOOLS, **fields)


def outlined(upstream: Speaking, asked_for: CanonicalRequest) -> list[tuple[str, str]]:
    return outline(response_of(EnforcedUpstream(upstream), asked_for))


@pytest.mark.parametrize("fields", [{}, {"tool_choice": "auto"}, {"parallel_tool_calls": True}])
def test_without_a_rule_the_answer_is_the_upstreams_own(fields: dict[str, Any]) -> None:
    upstream = Speaking(makes_calls("a", "b", text="so"))
    batches = batches_of(EnforcedUpstream(upstream), request(**fields))
    assert rule_of(request(**fields)) is None
    assert [event for batch in batches for event in batch if event.type.endswith("completed")]
    assert outline(batches[-1][-1].fields["response"]) == [
        ("message", "so"),
        ("function_call", "a"),
        ("function_call", "b"),
    ]


def test_without_parallel_calls_the_first_one_is_kept() -> None:
    upstream = Speaking(makes_calls("a", "b", "a", text="so"))
    events = events_of(EnforcedUpstream(upstream), request(parallel_tool_calls=False))
    assert outline(events[-1].fields["response"]) == [("message", "so"), ("function_call", "a")]
    assert not [event for event in events if event.fields.get("output_index", 0) > 1]


def test_without_parallel_calls_text_goes_out_at_once() -> None:
    upstream = Speaking(makes_calls("a", text="so"))
    batches = batches_of(EnforcedUpstream(upstream), request(parallel_tool_calls=False))
    assert batches[0][0].type == "response.created"
    assert len(batches) == 6


@pytest.mark.parametrize("choice", ["required", ONLY_A])
def test_a_demanded_call_is_asked_for_once_more(choice: Any) -> None:
    upstream = Speaking("no", makes_calls("a", text="well"))
    response = response_of(EnforcedUpstream(upstream), request(tool_choice=choice))
    assert outline(response) == [("message", "well"), ("function_call", "a")]
    assert response["usage"]["total_tokens"] == 30
    assert "not accepted" in text_of(upstream.requests[1].input[-1])
    assert [answer.closed for answer in upstream.answers] == [True, True]


@pytest.mark.parametrize(
    "choice", ["required", ONLY_A, {"type": "allowed_tools", "mode": "required", "tools": [ONLY_A]}]
)
def test_a_demanded_call_that_never_comes_is_a_typed_error(choice: Any) -> None:
    upstream = Speaking("no", "no again")
    with pytest.raises(UpstreamError) as caught:
        events_of(EnforcedUpstream(upstream), request(tool_choice=choice))
    assert (caught.value.code, caught.value.status, caught.value.verdict) == (
        "tool_choice_not_met",
        502,
        Verdict.REQUEST,
    )
    assert caught.value.should_retry is False
    assert len(upstream.requests) == 2


def test_nothing_goes_out_before_the_demanded_call() -> None:
    batches = batches_of(EnforcedUpstream(Speaking("no", makes_calls("a", text="x"))), request(tool_choice="required"))
    first = next(batch for batch in batches if batch)
    assert first[-1].type == "response.output_item.added"
    assert sum(event.type == "response.created" for batch in batches for event in batch) == 1


def test_a_named_tool_excludes_the_others() -> None:
    assert outlined(Speaking(makes_calls("b", "a")), request(tool_choice=ONLY_A)) == [("function_call", "a")]
    upstream = Speaking(makes_calls("b"), makes_calls("a", "a"))
    assert outlined(upstream, request(tool_choice=ONLY_A, parallel_tool_calls=False)) == [("function_call", "a")]


def test_allowed_tools_exclude_the_others() -> None:
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [ONLY_A]}
    upstream = Speaking(makes_calls("b", text="so"))
    assert outlined(upstream, request(tool_choice=choice)) == [("message", "so")]


def test_none_excludes_all_calls() -> None:
    upstream = Speaking(makes_calls("a", text="so"), "never asked for")
    assert outlined(upstream, request(tool_choice="none")) == [("message", "so")]


def test_nothing_but_calls_is_no_answer_to_none() -> None:
    upstream = Speaking(makes_calls("a", thought="hm"), "fine")
    assert outlined(upstream, request(tool_choice="none")) == [("message", "fine")]
    with pytest.raises(UpstreamError, match="although"):
        events_of(EnforcedUpstream(Speaking(makes_calls("a"), makes_calls("a"))), request(tool_choice="none"))


def test_an_empty_answer_breaks_no_rule() -> None:
    assert outlined(Speaking(says("")), request(tool_choice="none")) == []


def test_an_answer_that_was_cut_short_is_handed_on() -> None:
    upstream = Speaking(says("I was about to", reason="max_output_tokens"))
    response = response_of(EnforcedUpstream(upstream), request(tool_choice="required"))
    assert response["status"] == "incomplete"


def test_windows_of_both_tries_are_seen() -> None:
    async def run() -> list[float]:
        upstream = EnforcedUpstream(Speaking("no", makes_calls("a")))
        answer = await upstream.open(request(tool_choice="required"), LEASE, timeout_s=7)
        async for _ in answer:
            pass
        return [window.used_percent for window in answer.windows]

    assert asyncio.run(run()) == [10.0, 20.0]


def test_hosted_calls_are_never_dropped() -> None:
    calls = CallFilter(Rule(frozenset(), single=True))
    done = search_done()
    assert calls.feed([done]) == [done]
    assert calls.dropped == 0


def test_calls_that_only_the_terminal_event_has_are_filtered_too() -> None:
    items = [{"type": "function_call", "call_id": f"c{n}", "name": n} for n in ("a", "b")]
    end = Event.of({"type": "response.completed", "response": {"status": "completed", "output": items}})
    kept = CallFilter(Rule(single=True)).feed([end])
    assert kept[0].fields["response"]["output"] == items[:1]


def test_custom_tools_are_told_from_functions_of_the_same_name() -> None:
    rule = rule_of(request(tool_choice={"type": "custom", "name": "a"}))
    assert rule is not None
    assert rule.allows({"type": "custom_tool_call", "name": "a"})
    assert not rule.allows({"type": "function_call", "name": "a"})


def test_a_refusal_is_an_answer_to_every_demand() -> None:
    def refuses(builder: Builder) -> list[list[Event]]:
        return [builder.refusal("I won't"), builder.finish(usage(1, 1))]

    def only_at_the_end(builder: Builder) -> list[list[Event]]:
        builder.refusal("I won't")
        return [builder.finish(usage(1, 1))[-1:]]

    for script in (refuses, only_at_the_end):
        upstream = Speaking(script, "never asked for")
        batches = batches_of(EnforcedUpstream(upstream), request(tool_choice="required"))
        assert outline(batches[-1][-1].fields["response"]) == [("message", "I won't")]
        assert len(upstream.requests) == 1


def search_done(index: int = 0) -> Event:
    call = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
    return Event.of({"type": "response.output_item.done", "output_index": index, "item": call})


@pytest.mark.parametrize(
    ("choice", "met"),
    [
        ("required", True),
        (ONLY_A, False),
        ({"type": "web_search"}, True),
        ({"type": "image_generation"}, False),
        ({"type": "allowed_tools", "mode": "required", "tools": [ONLY_A]}, False),
        ({"type": "allowed_tools", "mode": "required", "tools": [ONLY_A, {"type": "web_search"}]}, True),
    ],
)
def test_a_search_meets_the_demand_for_a_search_alone(choice: Any, met: bool) -> None:
    rule = rule_of(request(tool_choice=choice))
    assert rule is not None
    calls = CallFilter(rule)
    assert calls.feed([search_done()])
    assert calls.called is met


def test_a_function_is_not_the_hosted_tool_that_was_asked_for() -> None:
    upstream = Speaking(makes_calls("a"), makes_calls("a"))
    with pytest.raises(UpstreamError, match="the tool 'web_search'"):
        events_of(EnforcedUpstream(upstream), request(tool_choice={"type": "web_search"}))


def test_none_without_tools_holds_nothing_back() -> None:
    assert rule_of(asked(tool_choice="none")) is None


def test_an_event_of_unknown_shape_is_the_upstreams_failure() -> None:
    def odd(builder: Builder) -> list[list[Event]]:
        item = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "b"}
        return [[Event.of({"type": "response.output_item.added", "output_index": [], "item": item})]]

    with pytest.raises(UpstreamError) as caught:
        batches_of(EnforcedUpstream(Speaking(odd)), request(tool_choice=ONLY_A))
    assert (caught.value.code, caught.value.verdict) == ("upstream_bad_response", Verdict.SERVICE)
