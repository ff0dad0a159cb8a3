from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from lib.canonical.build import Builder, usage
from lib.canonical.events import Collector, Event
from lib.canonical.request import CanonicalRequest
from tests.canonical.agreement import accumulated, assert_agreement


def builder(**fields: Any) -> Builder:
    request = CanonicalRequest(model="m-1", input=[], **fields)
    return Builder(request, response_id="abc", created_at=1_795_000_000.9)


def types(events: list[Event]) -> list[str]:
    return [event.type.removeprefix("response.") for event in events]


def test_a_text_answer_opens_and_closes_its_message_by_itself() -> None:
    made = builder()
    events = made.start() + made.text("Hel") + made.text("lo") + made.finish(usage(3, 2))
    assert types(events) == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *("output_text.delta", "output_text.delta", "output_text.done", "content_part.done", "output_item.done"),
        "completed",
    ]
    assert [event.fields["sequence_number"] for event in events] == list(range(10))
    response = events[-1].fields["response"]
    assert response["output"][0]["content"][0]["text"] == "Hello"
    assert response["usage"]["total_tokens"] == 5
    assert response["completed_at"] == 1_795_000_000


def test_log_probabilities_stand_with_their_delta_and_in_the_whole_part() -> None:
    one, two = ({"token": token, "logprob": -0.5, "bytes": [1], "top_logprobs": []} for token in ("a", "b"))
    made = builder()
    events = made.text("a", [one]) + made.text("", [two]) + made.refusal("no") + made.text("c") + made.finish(None)
    told = {event.type: event.fields["logprobs"] for event in events if event.type == "response.output_text.done"}
    assert [each.fields["logprobs"] for each in events if each.type.endswith("text.delta")] == [[one], [two], []]
    assert told == {"response.output_text.done": []}  # the second part has none, and nothing of the first
    first, _, third = events[-1].fields["response"]["output"][0]["content"]
    assert (first["logprobs"], third["logprobs"]) == ([one, two], [])
    added = next(each.fields["part"] for each in events if each.type == "response.content_part.added")
    assert added["logprobs"] == []


def test_interleaved_calls_keep_their_arguments_apart() -> None:
    made = builder()
    events = made.call(0, "a", call_id="call_a") + made.call(1, "b", call_id="call_b", custom=True)
    for key, delta in ((0, '{"x"'), (1, "free "), (0, ":1}"), (1, "text")):
        events += made.arguments(key, delta)
    events += made.finish(None)
    function, custom = events[-1].fields["response"]["output"]
    assert (function["arguments"], function["call_id"], function["status"]) == ('{"x":1}', "call_a", "completed")
    assert (custom["input"], custom["type"]) == ("free text", "custom_tool_call")
    assert made.called
    done = next(event.fields for event in events if event.type == "response.function_call_arguments.done")
    assert done["item_id"] == function["id"]


def test_reasoning_ends_when_text_begins() -> None:
    made = builder()
    events = made.reasoning("Let me ") + made.reasoning("see") + made.text("Yes")
    assert types(events)[-5:] == [
        *("reasoning_summary_part.done", "output_item.done", "output_item.added"),
        *("content_part.added", "output_text.delta"),
    ]
    reasoning, message = made.finish(None)[-1].fields["response"]["output"]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "Let me see"}]
    assert message["type"] == "message"


def test_refusal_and_text_are_parts_of_one_message() -> None:
    made = builder()
    made.text("Hm. ")
    made.refusal("No.")
    [message] = made.finish(None)[-1].fields["response"]["output"]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]


def test_an_incomplete_answer_marks_the_open_item() -> None:
    made = builder()
    made.text("One, tw")
    last = made.finish(usage(1, 2), reason="max_output_tokens")[-1]
    assert last.type == "response.incomplete"
    assert last.fields["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last.fields["response"]["output"][0]["status"] == "incomplete"
    assert last.fields["response"]["completed_at"] is None


def test_arguments_need_a_call() -> None:
    with pytest.raises(KeyError):
        builder().arguments(0, "{}")


def test_the_official_models_take_every_event() -> None:
    made = builder(instructions="Be kind", reasoning={"effort": "low"}, parameters={"temperature": 0.2})
    events = made.start() + made.reasoning("a") + made.text("b") + made.refusal("c")
    events += made.call(0, "f", call_id="call_1") + made.arguments(0, "{}") + made.finish(usage(1, 1))
    adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for event in events:
        adapter.validate_json(event.data, strict=False)
    response = Response.model_validate(events[-1].fields["response"])
    assert (response.temperature, response.instructions, response.model) == (0.2, "Be kind", "m-1")


def test_the_collector_agrees_with_the_builder() -> None:
    made = builder()
    events = made.text("a") + made.call(0, "f", call_id="call_1") + made.arguments(0, "{}") + made.finish(None)
    collector = Collector()
    for event in events:
        collector.feed(event)
    assert collector.output({}) == events[-1].fields["response"]["output"]


def test_the_end_of_a_part_stands_where_its_deltas_stood() -> None:
    made = builder()
    events = made.text("Hm. ") + made.refusal("No.") + made.text("Yes.") + made.finish(None)
    kinds = ("content_part.added", "output_text.delta", "refusal.delta", "output_text.done", "refusal.done")
    for kind in (*kinds, "content_part.done"):
        found = [event.fields["content_index"] for event in events if event.type == f"response.{kind}"]
        assert found == {"o": [0, 2], "r": [1], "c": [0, 1, 2]}[kind[0]], kind


_STEPS = st.one_of(
    st.tuples(st.sampled_from(["text", "refusal", "reasoning"]), st.text(max_size=5)),
    st.tuples(st.sampled_from(["function", "custom", "arguments"]), st.text(max_size=5)),
    st.just(("close", "")),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(_STEPS, max_size=14), st.sampled_from([None, "max_output_tokens"]))
def test_every_sequence_of_steps_makes_events_that_agree(steps: list[tuple[str, str]], reason: str | None) -> None:
    events = built(steps, reason)
    assert_agreement(events)
    output = events[-1].fields["response"]["output"]
    for snapshot, item in zip(accumulated(events), output, strict=True):
        if item["type"] == "message":
            texts = [getattr(part, "text", None) for part in snapshot.content]
            assert texts == [part.get("text") for part in item["content"]]
        if item["type"] == "function_call":
            assert snapshot.arguments == item["arguments"]


def built(steps: list[tuple[str, str]], reason: str | None) -> list[Event]:
    """A whole stream of these steps; arguments go to one of the open calls, if there are any."""
    made = builder()
    events = made.start()
    opened: list[int] = []
    for number, (step, text) in enumerate(steps):
        if step in ("function", "custom"):
            events += made.call(number, "f", call_id=f"call_{number}", custom=step == "custom")
            opened.append(number)
        elif step == "arguments":
            events += made.arguments(opened[len(text) % len(opened)], text) if opened else []
        elif step == "close":
            events += made.close()
            opened.clear()
        else:
            events += getattr(made, step)(text)
    return events + made.finish(usage(1, 2), reason=reason)
