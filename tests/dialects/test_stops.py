from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lib.dialects.stops import Stops
from tests.dialects.chat_streams import created, done, ended, message, output_text, text_deltas
from tests.dialects.messages_streams import accumulated, rendered


def test_text_is_cut_at_the_first_sequence_that_is_complete() -> None:
    stops = Stops(["abcd", "bc"])
    assert stops.cut("xabcd") == "xa"
    assert stops.found == "bc"
    assert stops.feed("more") == ""


def test_what_may_become_a_sequence_is_held_back() -> None:
    stops = Stops(["END"])
    assert [stops.feed(each) for each in ("aE", "N", "x", "EN")] == ["a", "", "ENx", ""]
    assert stops.flush() == "EN"
    assert stops.found is None and stops.flush() == ""


@given(st.text("ab", max_size=12), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3), st.integers(1, 4))
def test_the_result_does_not_depend_on_where_the_text_was_cut(text: str, sequences: list[str], size: int) -> None:
    whole, streamed = Stops(sequences), Stops(sequences)
    pieces = [streamed.feed(text[start : start + size]) for start in range(0, len(text), size)]
    assert "".join(pieces) + streamed.flush() == whole.cut(text)
    assert streamed.found == whole.found
    assert (whole.found is None) is not any(sequence in text for sequence in sequences)


def test_a_stream_ends_at_a_sequence_that_comes_in_pieces() -> None:
    item = message(output_text("one, two, three"))
    events = [created(), *text_deltas("one, t", "wo", ", three"), done(0, item), ended([item])]
    answer = accumulated(rendered(events, stop_sequences=["two", "nothing"]))
    assert answer["content"] == [{"type": "text", "text": "one, "}]
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("stop_sequence", "two")
    assert answer["usage"]["output_tokens"] == 12


def test_what_was_held_back_is_shown_when_its_text_ends() -> None:
    first, second = message(output_text("tw"), output_text("o")), message(output_text("t"), id="msg_2")
    events = [created(), *text_deltas("t", "w"), *text_deltas("o", at=(0, 1)), done(0, first), done(1, second)]
    answer = accumulated(rendered([*events, ended([first, second])], stop_sequences=["two"]))
    assert [block["text"] for block in answer["content"]] == ["tw", "o", "t"]
    assert answer["stop_reason"] == "end_turn"
