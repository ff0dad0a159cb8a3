"""Stop sequences and log probabilities of a chat; streamed and whole answers agree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.canonical.events import Event
from lib.errors import UpstreamError
from tests.dialects.chat_streams import (
    added,
    call,
    chunks,
    created,
    deltas,
    done,
    ended,
    event,
    finish,
    joined,
    message,
    output_text,
    reasoning,
    rendered,
    renderer,
    response,
    text_deltas,
)

IMAGE = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "AAAA", "output_format": "png"}
SHOWN = "![image](data:image/png;base64,AAAA)"


def cited(start: int, end: int) -> dict[str, Any]:
    return {"type": "url_citation", "start_index": start, "end_index": end, "title": "T", "url": "https://example.org/"}


def token(text: str) -> dict[str, Any]:
    return {"token": text, "logprob": -0.5, "bytes": list(text.encode()), "top_logprobs": []}


def told(*texts: str, at: tuple[int, int] = (0, 0)) -> list[Event]:
    """Deltas, each with its own log probability."""
    kind = "response.output_text.delta"
    places = {"output_index": at[0], "content_index": at[1]}
    return [event(kind, **places, delta=text, logprobs=[token(text)]) for text in texts]


def logprobs(stream: bytes) -> list[str]:
    """The tokens that the chunks tell of."""
    found = [choice["logprobs"] for each in chunks(stream) for choice in each["choices"]]
    assert all(each is None or (each["content"] and each["refusal"] is None) for each in found)
    return [each["token"] for one in found if one is not None for each in one["content"]]


def agreed(events: list[Event], output: list[Any], *, status: str = "completed", **body: Any) -> dict[str, Any]:
    """The choice of the whole answer, which the stream of these events adds up to."""
    stream = rendered([created(), *events, ended(output, status=status)], **body)
    choice: dict[str, Any] = renderer(**body).body(response(output, status=status))["choices"][0]
    assert joined(stream) == choice["message"]
    assert finish(stream) == choice["finish_reason"]
    assert logprobs(stream) == [each["token"] for each in (choice["logprobs"] or {"content": []})["content"]]
    return choice


# --- Stop sequences ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", ["two", ["never", "two"], ["", "two, three"]])
def test_the_content_ends_before_the_sequence(stop: Any) -> None:
    item = message(output_text("one, two, three"))
    choice = agreed([*text_deltas("one, t", "wo", ", three"), done(0, item)], [item], stop=stop)
    assert (choice["message"]["content"], choice["finish_reason"]) == ("one, ", "stop")


def test_only_what_may_be_the_beginning_of_a_sequence_is_held_back() -> None:
    events = [created(), *text_deltas("Hi E", "N", "Cyclopædia EN"), ended([])]
    assert [each["content"] for each in deltas(rendered(events, stop="END"))] == ["Hi ", "ENCyclopædia ", "EN"]


def test_an_answer_that_was_cut_behind_the_sequence_is_whole() -> None:
    item = message(output_text("one two thr"))
    choice = agreed(text_deltas("one two thr"), [item], status="incomplete", stop="two")
    assert choice["finish_reason"] == "stop"
    assert agreed(text_deltas("one"), [message(output_text("one"))], status="incomplete", stop="two")[
        "finish_reason"
    ] == ("length")


@pytest.mark.parametrize("stop", [None, [], "", [""]])
def test_without_a_sequence_the_deltas_pass_as_they_are(stop: Any) -> None:
    assert agreed(text_deltas("a", "b"), [message(output_text("ab"))], stop=stop)["message"]["content"] == "ab"


def test_nothing_new_follows_a_sequence() -> None:
    text, thought, more = message(output_text("one two")), reasoning("Hm"), message(output_text("more"), id="msg_2")
    refusal = message({"type": "refusal", "refusal": "No"}, id="msg_3")
    items = [text, thought, IMAGE, more, refusal, call("c1", "{}")]
    events = [*text_deltas("one two"), *[done(index, item) for index, item in enumerate(items)]]
    events.insert(1, added(5, call("c1", "", status="in_progress")))
    assert agreed(events, items, stop="two") == {
        "index": 0,
        "message": {"role": "assistant", "content": "one ", "refusal": None, "annotations": []},
        "logprobs": None,
        "finish_reason": "stop",
    }


def test_a_call_that_had_begun_is_written_to_its_end() -> None:
    items = [call("c1", '{"a":1}'), message(output_text("one two"))]
    events = [
        added(0, call("c1", "", status="in_progress")),
        *text_deltas("one two", at=(1, 0)),
        event("response.function_call_arguments.delta", output_index=0, delta='{"a":1}'),
        *[done(index, item) for index, item in enumerate(items)],
    ]
    choice = agreed(events, items, stop="two")
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"a":1}'
    assert (choice["message"]["content"], choice["finish_reason"]) == ("one ", "tool_calls")


def test_reasoning_and_arguments_are_no_places_for_a_sequence() -> None:
    items = [reasoning("one two"), call("c1", '"two"'), message({"type": "refusal", "refusal": "No two"})]
    choice = agreed([done(index, item) for index, item in enumerate(items)], items, stop="two")
    assert choice["message"]["reasoning_content"] == "one two"
    assert choice["message"]["refusal"] == "No two" and choice["finish_reason"] == "tool_calls"


def test_a_sequence_lies_within_one_text() -> None:
    items = [message(output_text("tw"), output_text("o t")), IMAGE, message(output_text("wo"), id="msg_2")]
    events = [*text_deltas("tw"), *text_deltas("o ", "t", at=(0, 1)), done(1, IMAGE), *text_deltas("wo", at=(2, 0))]
    choice = agreed(events, items, stop="two")
    assert choice["message"]["content"] == f"two t\n\n{SHOWN}\n\nwo"


@pytest.mark.parametrize("streamed_citations", [True, False])
def test_citations_of_what_is_shown_stay(streamed_citations: bool) -> None:
    kept, lost = cited(0, 3), cited(4, 7)
    items = [message(output_text("a.")), message(output_text("one two", kept, lost), id="msg_2")]
    events = [*text_deltas("a."), *text_deltas("one t", "wo", at=(1, 0))]
    if streamed_citations:
        kind = "response.output_text.annotation.added"
        events += [event(kind, output_index=1, content_index=0, annotation=each) for each in (kept, lost)]
    choice = agreed([*events, done(1, items[1])], items, stop="two")
    assert choice["message"]["content"] == "a.one "
    (found,) = choice["message"]["annotations"]
    assert (found["url_citation"]["start_index"], found["url_citation"]["end_index"]) == (2, 5)


def test_half_a_character_before_the_end_is_shown_or_lost_with_the_rest() -> None:
    halves = [Event("response.output_text.delta", b'{"delta":"%b\\ud83d"}' % text) for text in (b"one ", b"two ")]
    assert joined(rendered([created(), halves[0], ended([])], stop="two"))["content"] == "one �"
    assert joined(rendered([created(), *halves, ended([])], stop="two"))["content"] == "one �"


# --- Log probabilities ------------------------------------------------------------------------------------------------


def test_log_probabilities_stand_with_their_content() -> None:
    item = message({**output_text("Hi you"), "logprobs": [token("Hi"), token(" you")]})
    events = [*told("Hi", " you"), done(0, item)]
    choice = agreed(events, [item], logprobs=True)
    assert [each["token"] for each in choice["logprobs"]["content"]] == ["Hi", " you"]
    first, second, third, last = (
        each["choices"][0] for each in chunks(rendered([*events, ended([item])], logprobs=True))
    )
    assert [each["logprobs"] for each in (first, last)] == [None, None]
    assert [each["logprobs"]["content"] for each in (second, third)] == [[token("Hi")], [token(" you")]]


def test_whoever_did_not_ask_gets_none() -> None:
    item = message({**output_text("Hi"), "logprobs": [token("Hi")]})
    assert agreed([*told("Hi"), done(0, item)], [item])["logprobs"] is None


@pytest.mark.parametrize("sent", ["nothing", "text", "some", "all"])
def test_log_probabilities_that_no_delta_brought_come_with_the_finished_text(sent: str) -> None:
    part = {**output_text("Hi you"), "logprobs": [token("Hi"), token(" you")]}
    found = {"nothing": [], "text": text_deltas("Hi", " you"), "some": told("Hi"), "all": told("Hi", " you")}[sent]
    ended_text = {"output_index": 0, "content_index": 0, "text": part["text"], "logprobs": part["logprobs"]}
    whole = event("response.output_text.done", **ended_text)
    for events in ([*found, whole], [*found, done(0, message(part))], found):
        agreed(events, [message(part)], logprobs=True)


def test_a_token_that_is_less_than_a_character_waits_for_the_rest() -> None:
    half = event("response.output_text.delta", delta="", logprobs=[{**token("half"), "bytes": [226]}])
    events = [created(), half, *told("⛴"), half, ended([])]
    stream = rendered(events, logprobs=True)
    assert logprobs(stream) == ["half", "⛴", "half"] and joined(stream)["content"] == "⛴"
    assert len(chunks(stream)) == 4


def test_log_probabilities_of_the_wrong_type_are_the_upstreams_failure() -> None:
    wrong = event("response.output_text.delta", delta="Hi", logprobs=[{"token": 5}])
    assert joined(rendered([created(), wrong, ended([])]))["content"] == "Hi"
    with pytest.raises(UpstreamError):
        rendered([created(), wrong, ended([])], logprobs=True)


def test_tokens_behind_a_stop_sequence_are_not_told() -> None:
    item = message({**output_text("one two"), "logprobs": [token(text) for text in ("one", " t", "wo")]})
    choice = agreed([*told("one", " t", "wo"), done(0, item)], [item], logprobs=True, stop="two")
    assert [each["token"] for each in choice["logprobs"]["content"]] == ["one"]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.lists(st.text("abæ", min_size=1, max_size=4), max_size=4), min_size=1, max_size=3),
    st.lists(st.text("abæ", max_size=3), max_size=3),
    st.booleans(),
)
def test_streamed_and_whole_answers_agree(texts: list[list[str]], stop: list[str], wants: bool) -> None:
    parts = [{**output_text("".join(text)), "logprobs": [token(each) for each in text]} for text in texts]
    events = [each for place, text in enumerate(texts) for each in told(*text, at=(0, place))]
    agreed(events, [message(*parts)], stop=stop, logprobs=wants)
