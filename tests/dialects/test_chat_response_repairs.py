"""What a chat stream makes of upstreams that leave things out: text, ids, indices, halves of characters."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lib.canonical.events import Event
from tests.dialects.chat_streams import (
    added,
    call,
    created,
    deltas,
    done,
    ended,
    event,
    joined,
    message,
    output_text,
    reasoning,
    rendered,
    renderer,
    text_deltas,
)

# --- Whole texts behind the deltas ------------------------------------------------------------------------------------


def refusal_event(type: str, **members: Any) -> Event:
    return event(f"response.refusal.{type}", output_index=0, content_index=0, **members)


def summary_event(type: str, **members: Any) -> Event:
    return event(f"response.reasoning_summary_text.{type}", output_index=0, summary_index=0, **members)


def text_done(text: str) -> Event:
    return event("response.output_text.done", output_index=0, content_index=0, text=text)


SHORT_DELTAS = {
    "text": (text_deltas("Hel"), text_done("Hello"), "content"),
    "text, by its item": (text_deltas("Hel"), done(0, message(output_text("Hello"))), "content"),
    "text, by the response": (text_deltas("Hel"), ended([message(output_text("Hello"))]), "content"),
    "refusal": ([refusal_event("delta", delta="Hel")], refusal_event("done", refusal="Hello"), "refusal"),
    "summary": ([summary_event("delta", delta="Hel")], summary_event("done", text="Hello"), "reasoning_content"),
    "summary, by its item": ([summary_event("delta", delta="Hel")], done(0, reasoning("Hello")), "reasoning_content"),
}


@pytest.mark.parametrize("name", SHORT_DELTAS)
def test_deltas_that_fall_short_of_the_whole_are_completed(name: str) -> None:
    pieces, whole, member = SHORT_DELTAS[name]
    stream = rendered([created(), *pieces, whole, whole, ended()])
    assert [delta[member] for delta in deltas(stream)] == ["Hel", "lo"]


def test_whole_text_that_contradicts_the_deltas_is_left() -> None:
    stream = rendered([created(), *text_deltas("Hel"), text_done("Goodbye"), text_done("He"), ended()])
    assert joined(stream)["content"] == "Hel"


def test_parts_that_take_turns_are_completed_each() -> None:
    pieces = [*text_deltas("a"), *text_deltas("x", at=(1, 0)), *text_deltas("b"), *text_deltas("y", at=(1, 0))]
    stream = rendered([created(), *pieces, text_done("abc"), done(1, message(output_text("xyz"), id="m2")), ended()])
    assert [delta["content"] for delta in deltas(stream)] == ["a", "x", "b", "y", "c", "z"]


# --- Items without ids or indices -------------------------------------------------------------------------------------


def nameless(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "id"}


@pytest.mark.parametrize("finished", [True, False])
def test_gap_in_the_indices_doubles_nothing(finished: bool) -> None:
    item = nameless(message(output_text("Hello")))
    thought = nameless(reasoning("Hm"))
    summary = event("response.reasoning_summary_text.delta", output_index=3, summary_index=0, delta="Hm")
    events = [created(), summary, *text_deltas("Hel", "lo", at=(5, 0)), *([done(5, item)] if finished else [])]
    found = joined(rendered([*events, ended([thought, item])]))
    assert (found["content"], found["reasoning_content"]) == ("Hello", "Hm")


def test_ids_in_the_deltas_alone_double_nothing() -> None:
    piece = event("response.output_text.delta", output_index=2, content_index=0, delta="Hi", item_id="msg_1")
    assert joined(rendered([created(), piece, ended([message(output_text("Hi"))])]))["content"] == "Hi"


def test_calls_without_ids_get_different_ones() -> None:
    items = [{"type": "function_call", "name": name, "arguments": "{}"} for name in "fg"]
    stream = rendered([created(), *[done(index, item) for index, item in enumerate(items)], ended(items)])
    ids = [each["id"] for each in joined(stream)["tool_calls"]]
    assert ids == ["call_r1_0", "call_r1_1"]
    whole = renderer().body(ended(items).fields["response"])["choices"][0]["message"]
    assert [each["id"] for each in whole["tool_calls"]] == ids


def test_call_ids_of_the_upstream_stay_even_if_repeated() -> None:
    items = [call("call_a", "{}"), call("call_a", "{}") | {"id": "fc_2"}]
    stream = rendered([created(), *[done(index, item) for index, item in enumerate(items)], ended(items)])
    assert [each["id"] for each in joined(stream)["tool_calls"]] == ["call_a", "call_a"]


# --- Characters cut in two --------------------------------------------------------------------------------------------


def cut(kind: str, *deltas: str, **members: Any) -> list[Event]:
    """Deltas as they stand in the JSON."""
    where = {"output_index": 0, "content_index": 0, "summary_index": 0, **members}
    bare = msgspec.json.encode({"type": kind, **where})
    return [Event(kind, bare[:-1] + b',"delta":"%b"}' % delta.encode()) for delta in deltas]


TEXT_DELTA = "response.output_text.delta"


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["Hi \\ud83d", "\\ude00!", "ok"], ["Hi ", "😀!", "ok"]),
        (["\\ud83d", "\\ude00", "\\ud83d", "\\ude01"], ["😀", "😁"]),
        (["a\\ud83d", "b", "c"], ["a", "\ufffdb", "c"]),
        (["a\\ude00"], ["a\ufffd"]),
        (["a\\ud83d"], ["a", "\ufffd"]),
    ],
)
def test_character_cut_in_two_is_joined_or_replaced(pieces: list[str], expected: list[str]) -> None:
    stream = rendered([created(), *cut(TEXT_DELTA, *pieces), ended()])
    assert [delta["content"] for delta in deltas(stream)] == expected


def test_second_half_that_only_the_whole_text_has_is_sent() -> None:
    stream = rendered([created(), *cut(TEXT_DELTA, "a\\ud83d"), text_done("a😀!"), ended()])
    assert [delta["content"] for delta in deltas(stream)] == ["a", "😀!"]


def test_halves_in_other_deltas_are_joined_too() -> None:
    halves = ("\\ud83d", "\\ude00")
    events = [
        *cut("response.reasoning_summary_text.delta", *halves),
        *cut("response.refusal.delta", *halves, output_index=1),
        added(2, call("call_a", "")),
        *cut("response.function_call_arguments.delta", *halves, output_index=2),
    ]
    found = joined(rendered([created(), *events, ended()]))
    assert (found["reasoning_content"], found["refusal"]) == ("😀", "😀")
    assert found["tool_calls"][0]["function"]["arguments"] == "😀"
