"""The Codex backend's frames as canonical events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.canonical.events import Event
from lib.errors import UpstreamError, Verdict
from lib.sse import Decoder, encode
from lib.types import Window
from lib.upstreams.codex_events import CodexEvents
from lib.upstreams.tool_names import Names

STREAMS = Path(__file__).parents[1] / "streams"
LONG = "mcp__a_very_long_server_name__" + "tool_" * 12


def events(raw: bytes, *, cut: int = 0, names: Sequence[str] = ()) -> tuple[list[Event], CodexEvents, list[Window]]:
    """The events of a whole stream, read in pieces of `cut` bytes (0: at once)."""
    windows: list[Window] = []
    reader = CodexEvents(Names(names), now=lambda: 1000.0, add_windows=windows.extend)
    decoder, taken = Decoder(1 << 20), []
    for start in range(0, len(raw), cut or len(raw)):
        taken += reader.take(decoder.feed(raw[start : start + (cut or len(raw))]))
        if reader.failure is not None:
            return taken, reader, windows
        if reader.ended:
            break
    if not reader.ended:
        taken += reader.take_last(decoder.flush())
    return taken, reader, windows


def frames(*payloads: dict[str, Any]) -> bytes:
    return b"".join(encode(msgspec.json.encode(payload), payload.get("type")) for payload in payloads)


def stream(name: str) -> bytes:
    return (STREAMS / f"{name}.sse").read_bytes()


GOOD = ["text", "reasoning", "function_call", "parallel_calls", "custom_tool_call", "web_search", "image", "refusal",
        "incomplete", "incomplete_content_filter", "empty_completed_output"]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_an_answer_begins_with_created_and_ends_complete(name: str) -> None:
    taken, reader, _ = events(stream(name))
    assert reader.ended and taken[0].type == "response.created"
    assert taken[-1].type in ("response.completed", "response.incomplete")
    assert not any(event.type.startswith(("codex.", "keepalive", "response.metadata")) for event in taken)
    done = [event.fields["item"] for event in taken if event.type == "response.output_item.done"]
    assert len(taken[-1].fields["response"]["output"]) == len(done) > 0


@pytest.mark.parametrize("name", GOOD)
def test_the_cut_of_the_bytes_changes_nothing(name: str) -> None:
    whole = [event.fields for event in events(stream(name))[0]]
    assert [event.fields for event in events(stream(name), cut=7)[0]] == whole


@pytest.mark.parametrize(
    ("name", "verdict", "code"),
    [
        ("failed_rate_limit", Verdict.LIMIT, "rate_limit_exceeded"),
        ("failed_context_length", Verdict.REQUEST, "context_length_exceeded"),
        ("failed_overloaded", Verdict.SERVICE, "upstream_overloaded"),
        ("failed_midstream", Verdict.SERVICE, "upstream_error"),
    ],
)
def test_a_failure_inside_the_stream_is_raised(name: str, verdict: Verdict, code: str) -> None:
    taken, reader, _ = events(stream(name))
    assert taken and reader.failure is not None
    assert (reader.failure.verdict, reader.failure.code) == (verdict, code)


def test_a_cut_stream_has_not_ended() -> None:
    taken, reader, _ = events(stream("truncated"))
    assert taken and not reader.ended and reader.seen_any


def test_an_event_cut_in_two_is_no_event() -> None:
    raw = stream("text")
    middle = raw.index(b"response.output_text.delta", len(raw) // 3) + 60
    taken, reader, _ = events(raw[:middle])
    assert not reader.ended and all(event.fields for event in taken)


def test_a_last_event_without_its_blank_line_counts() -> None:
    assert events(stream("text").rstrip(b"\n"))[1].ended


def test_nothing_counts_after_the_terminal_event() -> None:
    taken, _, _ = events(stream("text") + frames({"type": "error", "error": {"code": "server_error"}}))
    assert taken[-1].type == "response.completed"


def test_events_are_known_by_their_json_type() -> None:
    created = {"type": "response.created", "response": {"id": "r"}}
    raw = b"data: " + msgspec.json.encode(created) + b"\n\n" + b'event: response.in_progress\ndata: {"response":{}}\n\n'
    taken, _, _ = events(raw + encode(msgspec.json.encode(created), "mismatched.name"))
    assert [event.type for event in taken] == ["response.created", "response.in_progress", "response.created"]


def test_old_spellings_are_renamed() -> None:
    raw = frames({"type": "response.text.delta", "delta": "a"}, {"type": "response.done", "response": {"id": "r"}})
    taken, reader, _ = events(raw)
    assert [event.fields["type"] for event in taken] == ["response.output_text.delta", "response.completed"]
    assert reader.ended


def test_unknown_and_done_frames_are_passed_over() -> None:
    raw = frames({"type": "brand.new"}, {"type": "keepalive", "sequence_number": 3}) + b"data: [DONE]\n\ndata:\n\n"
    assert events(raw)[0] == []


def test_rate_limit_events_update_the_account() -> None:
    windows = events(stream("empty_completed_output"))[2]
    assert windows and {window.bucket for window in windows} == {"codex"}


def test_long_tool_names_are_restored_everywhere() -> None:
    short = Names([LONG]).short(LONG)
    item = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": short, "arguments": "{}"}
    raw = frames(
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "arguments": ""}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"output": [item]}},
    )
    taken, _, _ = events(raw, names=[LONG])
    assert taken[0].fields["item"]["name"] == taken[1].fields["item"]["name"] == LONG
    assert taken[2].fields["response"]["output"][0]["name"] == LONG


@pytest.mark.parametrize(
    "data",
    [b"{broken", b"[1]", b"7", b"\xff\xfe", b"{}", b'{"type":5}', b'{"type":"response.completed"}',
     b'{"type":"response.completed","response":7}'],
)  # fmt: skip
def test_what_is_no_event_is_a_clear_error(data: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        events(b"data: " + data + b"\n\n")
    assert caught.value.code == "upstream_bad_response"


LEAF = (
    st.none() | st.integers() | st.text() | st.sampled_from(["response.output_item.done", "codex.rate_limits", "error"])
)
ANY = st.recursive(LEAF, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
KEYS = st.sampled_from(["type", "item", "response", "output_index", "delta", "rate_limits", "error"])


@settings(max_examples=200)
@given(st.dictionaries(KEYS, ANY))
def test_any_json_object_is_an_event_or_a_clear_error(payload: dict[str, Any]) -> None:
    try:
        events(b"data: " + msgspec.json.encode(payload) + b"\n\n")
    except UpstreamError as error:
        assert error.status >= 400


def test_events_in_front_of_a_failure_are_handed_out_first() -> None:
    delta = {"type": "response.output_text.delta", "delta": "Hi", "output_index": 0}
    for broken in (frames({"type": "error", "error": {"code": "server_error"}}), b"data: {broken\n\n",
                   frames({"type": "response.output_item.done", "item": 5})):  # fmt: skip
        taken, reader, _ = events(frames(delta) + broken)
        assert [event.type for event in taken] == ["response.output_text.delta"]
        assert reader.failure is not None


def test_a_terminal_event_of_an_unknown_shape_is_the_upstreams_failure() -> None:
    assert (
        events(frames({"type": "response.completed", "response": {"output": 5}}))[0][0].fields["response"]["output"]
        == []
    )
    renamed = b'data: {"type":"response.done","response":{"id":"r"},"type":"other"}\n\n'
    assert events(b"event: response.done\n" + renamed)[0][0].type == "response.completed"
