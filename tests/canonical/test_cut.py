"""Answers that have to end in the middle."""

from __future__ import annotations

import pytest

from lib.canonical.build import Builder
from lib.canonical.cut import cut
from lib.canonical.events import Collector, Event
from lib.canonical.request import CanonicalRequest

REQUEST = CanonicalRequest(model="m", input=[])


def builder() -> Builder:
    return Builder(REQUEST, response_id="1", created_at=0)


def ended(events: list[Event]) -> tuple[list[str], list[dict[str, object]]]:
    """The kinds of the closing events, and the output of the last one."""
    collector = Collector()
    for event in events:
        collector.feed(event)
    closing = cut(collector)
    response = closing[-1].fields["response"]
    assert response["incomplete_details"] == {"reason": "max_output_tokens"} and response["status"] == "incomplete"
    return [event.type.removeprefix("response.") for event in closing], response["output"]


def test_open_text_is_closed_as_far_as_it_came() -> None:
    made = builder()
    kinds, output = ended([*made.start(), *made.text("Hel"), *made.text("lo")])
    assert kinds == ["output_text.done", "content_part.done", "output_item.done", "incomplete"]
    assert output[0]["status"] == "incomplete" and output[0]["content"][0]["text"] == "Hello"  # type: ignore[index]


def test_a_finished_item_is_left_alone() -> None:
    made = builder()
    events = [*made.start(), *made.text("done"), *made.close()]
    kinds, output = ended(events)
    assert kinds == ["incomplete"] and output[0]["status"] == "completed"


def test_thoughts_and_calls_are_closed_in_their_order() -> None:
    made = builder()
    events = [*made.start(), *made.reasoning("hm"), *made.call(0, "look", call_id="call_1"), *made.arguments(0, '{"a')]
    kinds, output = ended(events)
    assert kinds == ["function_call_arguments.done", "output_item.done", "incomplete"]
    assert [item["type"] for item in output] == ["reasoning", "function_call"]
    assert output[1]["arguments"] == '{"a' and output[1]["status"] == "incomplete"
    kinds, _ = ended([*builder().start(), *builder().reasoning("hm")])
    assert kinds[:2] == ["reasoning_summary_text.done", "reasoning_summary_part.done"]


def test_what_has_ended_within_an_open_item_is_not_ended_again() -> None:
    made = builder()
    kinds, output = ended([*made.start(), *made.text("Hi"), *made.refusal("No")])
    assert kinds == ["refusal.done", "content_part.done", "output_item.done", "incomplete"]
    assert len(output[0]["content"]) == 2  # type: ignore[arg-type]
    made = builder()
    call = [*made.start(), *made.call(0, "look", call_id="call_1"), *made.arguments(0, "{}"), *made.close()]
    kinds, output = ended(call[:-1])
    assert kinds == ["output_item.done", "incomplete"] and output[0]["arguments"] == "{}"


def test_an_answer_that_has_not_begun_ends_with_nothing() -> None:
    assert ended(builder().start()) == (["incomplete"], [])


@pytest.mark.parametrize("kind", ["web_search_call", "image_generation_call"])
def test_other_items_are_ended_as_they_were_announced(kind: str) -> None:
    item = {"id": "x_1", "type": kind, "status": "in_progress"}
    added = Event.of({"type": "response.output_item.added", "output_index": 0, "item": item})
    kinds, output = ended([*builder().start(), added])
    assert kinds == ["output_item.done", "incomplete"] and output == [item]
