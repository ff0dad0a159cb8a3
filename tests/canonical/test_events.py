import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.canonical.events import Collector, Event

Fields = dict[str, Any]


def event(kind: str, **fields: Any) -> Event:
    """As from the wire: bytes, not decoded yet."""
    return Event(kind, msgspec.json.encode({"type": kind, **fields}))


def message(text: str, id: str = "msg_1", status: str = "completed") -> Fields:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": id, "type": "message", "status": status, "role": "assistant", "content": [part]}


def call(arguments: str, id: str = "fc_1", status: str = "completed") -> Fields:
    names = {"call_id": f"call_{id}", "name": "look"}
    return {"id": id, "type": "function_call", "status": status, **names, "arguments": arguments}


def added(item: Fields, index: int) -> Event:
    return event("response.output_item.added", item=item, output_index=index)


def done(item: Fields, index: int) -> Event:
    return event("response.output_item.done", item=item, output_index=index)


def text(delta: str, index: int, content: int = 0, id: str = "msg_1") -> Event:
    return event(
        "response.output_text.delta", delta=delta, output_index=index, content_index=content, item_id=id, logprobs=[]
    )


def arguments(delta: str, index: int) -> Event:
    return event("response.function_call_arguments.delta", delta=delta, output_index=index, item_id="fc_1")


def collected(*events: Event, output: Any = (), status: str = "completed") -> list[Fields]:
    collector = Collector()
    for each in events:
        collector.feed(each)
    return collector.output({"status": status, "output": list(output) if isinstance(output, tuple) else output})


EMPTY_MESSAGE: Fields = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}


@pytest.mark.parametrize("output", [[], None, "junk"])
def test_finished_items_fill_an_empty_output(output: Any) -> None:
    assert collected(done(message("a"), 0), done(call("{}"), 1), output=output) == [message("a"), call("{}")]


def test_finished_item_wins_over_the_terminal_one() -> None:
    assert collected(done(message("streamed"), 0), output=[message("terminal")]) == [message("streamed")]


def test_terminal_output_counts_where_nothing_was_streamed() -> None:
    assert collected(output=[message("a")]) == [message("a")]


def test_terminal_item_wins_over_an_unfinished_one() -> None:
    events = [added(EMPTY_MESSAGE, 0), text("par", 0)]
    assert collected(*events, output=[message("partial no more")]) == [message("partial no more")]


def test_order_is_that_of_the_output_indices() -> None:
    assert collected(done(call("{}"), 2), done(message("a"), 0)) == [message("a"), call("{}")]


def test_holes_in_the_indices_do_not_double_an_item() -> None:
    first, last = message("a"), call("{}")
    assert collected(done(first, 0), done(last, 2), output=[first, last]) == [first, last]
    assert collected(done(last, 5), output=[first, last]) == [first, last]


def test_holes_do_not_double_an_unfinished_item() -> None:
    events = [added(call("", status="in_progress"), 3), arguments("{}", 3)]
    assert collected(*events, output=[call("{}")]) == [call("{}")]


def test_interleaved_calls_keep_their_own_arguments() -> None:
    one, two = call("", "fc_1", "in_progress"), call("", "fc_2", "in_progress")
    events = [
        *[added(one, 0), added(two, 1), arguments('{"a"', 0), arguments('{"b"', 1)],
        *[arguments(":1}", 0), done(call('{"b":2}', "fc_2"), 1), arguments("", 0)],
    ]
    assert collected(*events) == [call('{"a":1}', "fc_1"), call('{"b":2}', "fc_2")]


def test_text_without_any_item_becomes_a_message() -> None:
    assert collected(text("Hel", 0), text("lo", 0)) == [message("Hello")]


def test_unannounced_text_survives_other_items_that_finish() -> None:
    events = [text("Hel", 0), added(call(""), 1), done(call("{}"), 1), text("lo", 0)]
    assert collected(*events) == [message("Hello"), call("{}")]


def test_refusals_and_reasoning_without_an_item_are_kept() -> None:
    refusal = event("response.refusal.delta", delta="No.", output_index=1, content_index=0, item_id="msg_9")
    summary = event(
        "response.reasoning_summary_text.delta", delta="Hm", output_index=0, summary_index=0, item_id="rs_9"
    )
    assert collected(refusal, summary) == [
        {"id": "rs_9", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]},
        {**EMPTY_MESSAGE, "id": "msg_9", "status": "completed", "content": [{"type": "refusal", "refusal": "No."}]},
    ]


def test_arguments_of_a_call_that_nothing_named_make_no_call() -> None:
    assert collected(arguments("{}", 0)) == []


def test_unfinished_item_of_a_broken_answer_is_incomplete() -> None:
    events = [added(EMPTY_MESSAGE, 0), text("Hel", 0)]
    assert collected(*events, status="incomplete") == [message("Hel", status="incomplete")]


def test_done_text_replaces_the_deltas() -> None:
    whole = event("response.output_text.done", text="Hello", output_index=0, content_index=0, item_id="msg_1")
    assert collected(added(EMPTY_MESSAGE, 0), text("Hel", 0), whole) == [message("Hello")]


def test_parts_are_ordered_and_holes_between_them_closed() -> None:
    [item] = collected(added(EMPTY_MESSAGE, 0), text("b", 0, content=4), text("a", 0, content=1))
    assert [part["text"] for part in item["content"]] == ["a", "b"]


def test_log_probabilities_come_with_their_text() -> None:
    def told(kind: str, *tokens: str, **fields: Any) -> Event:
        logprobs = [{"token": token, "logprob": -1} for token in tokens]
        return event(f"response.output_text.{kind}", output_index=0, content_index=0, logprobs=logprobs, **fields)

    deltas = [told("delta", "a", delta="a"), told("delta", "b", delta="b")]
    (item,) = collected(*deltas)
    assert [each["token"] for each in item["content"][0]["logprobs"]] == ["a", "b"]
    (item,) = collected(*deltas, told("done", "a", "b", text="ab"))
    assert [each["token"] for each in item["content"][0]["logprobs"]] == ["a", "b"]
    (item,) = collected(*deltas, told("done", text="ab"))
    assert [each["token"] for each in item["content"][0]["logprobs"]] == ["a", "b"]


def test_citations_come_with_their_text() -> None:
    citation = {"type": "url_citation", "url": "https://example.org"}
    mark = event("response.output_text.annotation.added", annotation=citation, output_index=0, content_index=0)
    [item] = collected(text("a", 0), mark)
    assert item["content"][0]["annotations"] == [citation]


def test_missing_indices_are_told_from_the_item() -> None:
    kind = "response.output_item"
    begun = event(f"{kind}.added", item=call("", "fc_1", "in_progress"))
    ended = event(f"{kind}.done", item=call("{}", "fc_1"))
    assert collected(begun, ended, event(f"{kind}.done", item=message("a"))) == [call("{}", "fc_1"), message("a")]


@pytest.mark.parametrize("item", [None, "x", 1, []])
def test_items_that_are_no_objects_are_left_out(item: Any) -> None:
    kind = "response.output_item"
    events = [
        event(f"{kind}.added", item=item, output_index=0),
        event(f"{kind}.done", item=item),
        event(f"{kind}.done"),
    ]
    assert collected(*events, output=[item]) == []


def test_key_inside_a_text_is_not_taken_for_the_index() -> None:
    assert collected(text('"output_index":7,', 0), done(message("b", "msg_2"), 1))[0] == message('"output_index":7,')


def test_output_can_be_asked_for_twice_and_leaves_the_events_alone() -> None:
    events = [Event.of(each.fields) for each in (added(EMPTY_MESSAGE, 0), text("Hel", 0), text("lo", 0))]
    before = copy.deepcopy([each.fields for each in events])
    collector = Collector()
    for each in events:
        collector.feed(each)
    assert collector.output({"status": "completed"}) == collector.output({"status": "completed"}) == [message("Hello")]
    assert [each.fields for each in events] == before


def test_text_of_finished_items_is_neither_kept_nor_decoded() -> None:
    delta = text("Hello", 0)
    collector = Collector()
    for each in (added(EMPTY_MESSAGE, 0), delta, done(message("Hello"), 0)):
        collector.feed(each)
    assert delta.decoded is None
    assert collector._pending == []


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.text(max_size=4)), max_size=20), st.sets(st.integers(0, 3)))
def test_output_is_the_same_whichever_items_were_announced_or_finished(
    deltas: list[tuple[int, str]], finished: set[int]
) -> None:
    texts: dict[int, str] = {}
    for index, piece in deltas:
        texts[index] = texts.get(index, "") + piece
    events = [text(piece, index, id=f"msg_{index}") for index, piece in deltas]
    for index in finished & texts.keys():
        last = max(place for place, (where, _) in enumerate(deltas) if where == index)
        events[last : last + 1] = [events[last], done(message(texts[index], f"msg_{index}"), index)]
        deltas = deltas[: last + 1] + [(index, "")] + deltas[last + 1 :]
    assert collected(*events) == [message(texts[index], f"msg_{index}") for index in sorted(texts)]


def test_event_is_made_from_either_half() -> None:
    assert Event("a", b'{"type":"a","n":1}').fields == {"type": "a", "n": 1}
    assert Event.of({"type": "a", "n": 1}).data == b'{"type":"a","n":1}'
    assert repr(Event("a", b"{}")) == "Event(a)"


def test_deltas_without_text_add_nothing() -> None:
    assert collected(text("a", 0), event("response.output_text.delta", delta=None, output_index=0)) == [message("a")]


def test_items_of_deltas_without_ids_have_none() -> None:
    made = collected(
        event("response.reasoning_summary_text.delta", delta="Hm", output_index=0, summary_index=0),
        event("response.output_text.delta", delta="Hi", output_index=2, content_index=0),
    )
    assert [item["type"] for item in made] == ["reasoning", "message"]
    assert all("id" not in item for item in made)
