from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lib.canonical.build import Builder, usage
from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.errors import InvalidRequest, UpstreamError
from lib.prompted.encode import encode_call
from lib.prompted.pieces import Call
from lib.prompted.structured import StructuredUpstream
from lib.prompted.trigger import derive_key
from lib.prompted.wrap import PromptedUpstream
from lib.types import Upstream
from tests.prompted.speaking import LEASE, Speaking, asked, batches_of, events_of, function, outline, response_of, says

SECRET = b"secret"
TOOLS = [function("a"), function("b"), {"type": "custom", "name": "c"}]
KEY = derive_key(SECRET, ["a", "b", "c"], "conversation")


def request(**fields: Any) -> CanonicalRequest:
    return asked(**{"tools": TOOLS, "affinity": "conversation", **fields})


def block(name: str = "a", arguments: str = '{"x":1}') -> str:
    return encode_call(Call(name, arguments, name == "c"), KEY)


def prompted(*scripts: Any) -> PromptedUpstream:
    return PromptedUpstream(Speaking(*scripts), SECRET, new_id=lambda: "0123456789abcdef01234567")


def test_text_becomes_calls() -> None:
    response = response_of(prompted(f"So.\n\n{block()}\n{block('b', '{}')}\n{block('c', 'free')}"), request())
    assert outline(response) == [
        ("message", "So.\n\n"),
        ("function_call", "a"),
        ("function_call", "b"),
        ("custom_tool_call", "c"),
    ]
    calls = response["output"][1:]
    assert [call.get("arguments", call.get("input")) for call in calls] == ['{"x":1}', "{}", "free"]
    ids = {call["call_id"] for call in calls}
    assert len(ids) == 3 and all(len(name) <= 40 for name in ids)
    assert response["usage"]["total_tokens"] == 15
    assert (response["model"], response["created_at"]) == ("m-1", 1_795_000_000)


def test_a_call_has_its_name_first_and_its_arguments_after() -> None:
    kinds = [event.type for event in events_of(prompted(block()), request())]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]


def test_text_goes_out_as_it_comes() -> None:
    batches = batches_of(prompted("one two three"), request())
    deltas = [[e.fields["delta"] for e in batch if e.type == "response.output_text.delta"] for batch in batches]
    assert deltas == [[], ["one"], [" tw"], ["o t"], ["hre"], ["e"], []]


def test_the_upstream_sees_no_tools() -> None:
    upstream = Speaking("fine")
    events_of(PromptedUpstream(upstream, SECRET), request(parallel_tool_calls=True))
    sent = upstream.requests[0]
    assert (sent.tools, sent.tool_choice, sent.parallel_tool_calls) == ([], None, None)
    assert f"<tool_call:{KEY}>" in (sent.instructions or "")


def test_tools_are_among_the_accepted_fields() -> None:
    upstream = PromptedUpstream(Speaking(), SECRET)
    assert {"tools", "tool_choice", "parallel_tool_calls", "input"} <= upstream.accepts
    assert upstream.name == "speaking"


def test_without_tools_nothing_is_touched() -> None:
    upstream = Speaking(f"<think>x</think>{block()}")
    response = response_of(PromptedUpstream(upstream, SECRET), request(tools=[]))
    assert outline(response) == [("message", f"<think>x</think>{block()}")]
    assert upstream.requests[0].instructions is None


def test_none_turns_the_parser_off() -> None:
    upstream = Speaking(block())
    assert outline(response_of(PromptedUpstream(upstream, SECRET), request(tool_choice="none"))) == [
        ("message", block())
    ]
    assert "cannot be called" in (upstream.requests[0].instructions or "")


def test_a_demanded_call_is_checked() -> None:
    assert outline(response_of(prompted("no", block()), request(tool_choice="required"))) == [("function_call", "a")]
    with pytest.raises(UpstreamError) as caught:
        events_of(prompted("no", "no"), request(tool_choice="required"))
    assert caught.value.code == "tool_choice_not_met"


def test_a_named_tool_is_the_only_one() -> None:
    named = request(tool_choice={"type": "function", "name": "b"})
    response = response_of(prompted(f"{block()}\n{block('b')}"), named)
    assert outline(response)[1:] == [("function_call", "b")]
    assert outline(response)[0] == ("message", block() + "\n")


def test_without_parallel_calls_the_first_one_is_kept() -> None:
    response = response_of(prompted(f"{block()}\n{block('b')}"), request(parallel_tool_calls=False))
    assert outline(response) == [("function_call", "a")]


def test_reasoning_in_the_text_becomes_reasoning() -> None:
    response = response_of(prompted(f"<think>hm {block()}</think>\n\n{block()}"), request())
    assert outline(response) == [("reasoning", f"hm {block()}"), ("function_call", "a")]


def test_reasoning_and_refusals_pass() -> None:
    def script(builder: Builder) -> list[list[Event]]:
        return [builder.reasoning("hm"), builder.refusal("I won't"), builder.finish(usage(1, 1))]

    assert outline(response_of(prompted(script), request())) == [("reasoning", "hm"), ("message", "I won't")]


def test_a_text_that_only_the_terminal_event_has_is_read() -> None:
    def script(builder: Builder) -> list[list[Event]]:
        builder.text(f"So: {block()}")
        return [builder.finish(usage(1, 1))[-1:]]

    assert outline(response_of(prompted(script), request())) == [("message", "So: "), ("function_call", "a")]


def test_a_call_that_is_cut_by_the_limit_is_text() -> None:
    response = response_of(prompted(says(f"{block()}\n{block()[:-5]}", reason="max_output_tokens")), request())
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert outline(response) == [("message", block()[:-5]), ("function_call", "a")]


def test_blank_space_alone_stays() -> None:
    assert outline(response_of(prompted(" \n"), request())) == [("message", " \n")]


def test_an_upstream_needs_a_secret() -> None:
    with pytest.raises(ValueError, match="secret"):
        PromptedUpstream(Speaking(), b"")


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search"},
        {"type": "namespace", "name": "n", "tools": []},
        {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}},
    ],
)
def test_tools_that_no_prompt_can_stand_for_are_refused(tool: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        events_of(prompted(), request(tools=[tool]))
    assert caught.value.code == "unsupported_value"


def test_every_turn_has_the_same_key() -> None:
    first, second = Speaking("x"), Speaking("x")
    events_of(PromptedUpstream(first, SECRET), request(tool_choice="none"))
    call = {"type": "function_call", "call_id": "1", "name": "a", "arguments": "{}"}
    items = [*request().input, call, {"type": "function_call_output", "call_id": "1", "output": "ok"}]
    events_of(PromptedUpstream(second, SECRET), request(input=items))
    assert f"<tool_call:{KEY}>" in (second.requests[0].instructions or "")
    assert second.requests[0].input[1]["content"][0]["text"].startswith(f"<tool_call:{KEY}>")


def test_the_catalogue_is_the_upstreams_own() -> None:
    async def names(upstream: Upstream) -> list[str]:
        return [model.id for model in await upstream.models(LEASE)]

    for upstream in (PromptedUpstream(Speaking(), SECRET), StructuredUpstream(Speaking())):
        assert asyncio.run(names(upstream)) == ["m-1"]


def test_wrappers_stack() -> None:
    upstream = StructuredUpstream(PromptedUpstream(Speaking("oops", '{"n": 1}', block()), SECRET))
    wanted = request(text={"format": {"type": "json_object"}})
    assert outline(response_of(upstream, wanted)) == [("message", '{"n": 1}')]
    assert outline(response_of(upstream, wanted)) == [("function_call", "a")]


def test_messages_stay_apart() -> None:
    def script(builder: Builder) -> list[list[Event]]:
        batches = [builder.text("First."), builder.close(), builder.text(f"Second. {block()}")]
        return [*batches, builder.finish(usage(1, 1))]

    assert outline(response_of(prompted(script), request())) == [
        ("message", "First."),
        ("message", "Second. "),
        ("function_call", "a"),
    ]


def test_a_message_that_came_in_one_piece_is_read_too() -> None:
    def script(builder: Builder) -> list[list[Event]]:
        batches = [builder.text("First."), builder.close()]
        builder.text(f"Second. {block()}")
        return [*batches, builder.close()[-1:], builder.finish(usage(1, 1))]

    assert "Second. " in outline(response_of(prompted(script), request()))[-2][1]


def test_a_refusal_that_only_the_terminal_event_has_is_kept() -> None:
    def script(builder: Builder) -> list[list[Event]]:
        builder.refusal("I won't")
        return [builder.finish(usage(1, 1))[-1:]]

    assert outline(response_of(prompted(script), request())) == [("message", "I won't")]


@pytest.mark.parametrize("fields", [{}, {"delta": 5}, {"delta": "x", "output_index": []}])
def test_an_event_of_unknown_shape_is_the_upstreams_failure(fields: dict[str, Any]) -> None:
    def script(builder: Builder) -> list[list[Event]]:
        return [[Event.of({"type": "response.output_text.delta", "output_index": 0, **fields})]]

    with pytest.raises(UpstreamError) as caught:
        events_of(prompted(script), request())
    assert caught.value.code == "upstream_bad_response"
