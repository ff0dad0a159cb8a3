"""A forwarded stream, fed in any cut."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import sse
from lib.dialects.forward_stream import StreamWatch
from lib.dialects.forward_wires import CHAT, RESPONSES, TRANSCRIPT, Wire
from lib.errors import UpstreamError, Verdict


def chunk(text: str | None, finish: str | None = None, **more: Any) -> bytes:
    delta = {} if text is None else {"content": text}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return sse.encode(msgspec.json.encode({"object": "chat.completion.chunk", "choices": choices, **more}))


def event(kind: str, number: int = 0, **fields: Any) -> bytes:
    return sse.encode(msgspec.json.encode({"type": kind, **fields, "sequence_number": number}), kind)


USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 0}, "total_tokens": 12}
TEXT = 'data: [DONE]\n\n"usage":{"prompt_tokens":1} \u2028\x85 event: response.completed'
CHAT_STREAM = b"".join(
    [
        b": wait\n\n",
        chunk(""),
        chunk(TEXT),
        chunk(None, "stop"),
        sse.encode(msgspec.json.encode({"choices": [], "usage": USAGE})),
        sse.DONE,
    ]
)
CREATED = event("response.created", 0, response={"id": "resp_1", "object": "response", "status": "in_progress"})
DONE_RESPONSE = {
    "id": "resp_1",
    "status": "completed",
    "tools": [{"usage": {"input_tokens": 1}}],
    "usage": {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 1}, "output_tokens": 4},
    "metadata": {"usage": "none"},
}
RESPONSES_STREAM = b"".join(
    [
        CREATED,
        event("response.output_text.delta", 1, delta=TEXT),
        event("response.completed", 2, response=DONE_RESPONSE),
    ]
)
BROKEN = UpstreamError("it broke", verdict=Verdict.SERVICE, code="upstream_truncated")


def watch(wire: Wire = CHAT, max_event_bytes: int = 1 << 20) -> StreamWatch:
    return StreamWatch(wire, max_event_bytes=max_event_bytes)


def fed(watched: StreamWatch, *chunks: bytes) -> list[bytes]:
    return [watched.feed(chunk) for chunk in chunks]


def last_events(end: bytes) -> list[dict[str, Any]]:
    frames = sse.Decoder(1 << 20).feed(end)
    return [msgspec.json.decode(data) for _, data in frames if data != b"[DONE]"]


@given(st.sets(st.integers(0, len(CHAT_STREAM))), st.sampled_from(["\n", "\r\n", "\r"]))
def test_a_chat_stream_ends_at_done_and_nowhere_else_in_any_cut(cuts: set[int], line_end: str) -> None:
    stream = CHAT_STREAM.replace(b"\n", line_end.encode())
    places = [0, *sorted(cuts), len(stream)]
    watched = watch()
    out = b""
    for start, end in zip(places, places[1:], strict=False):
        assert not watched.ended or start == end or not stream[start:].strip()
        piece = watched.feed(stream[start:end])
        assert not piece or piece.endswith(b"\n\n")
        out += piece

    assert watched.ended
    assert out == CHAT_STREAM
    assert (watched.usage(), watched.error_code()) == ((7, 5), None)


@given(st.sets(st.integers(0, len(RESPONSES_STREAM))))
def test_a_responses_stream_ends_with_its_terminal_event_in_any_cut(cuts: set[int]) -> None:
    places = [0, *sorted(cuts), len(RESPONSES_STREAM)]
    watched = watch(RESPONSES)
    out = b""
    for start, end in zip(places, places[1:], strict=False):
        assert not watched.ended or start == end
        out += watched.feed(RESPONSES_STREAM[start:end])

    assert watched.ended
    assert out == RESPONSES_STREAM
    assert watched.usage() == (3, 4)


def test_whole_reads_pass_as_the_same_object() -> None:
    piece = chunk("Hi")

    assert watch().feed(piece) is piece


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete", "response.failed"])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("after", [b"", b": ping\n\n", b"\n\n"])
def test_terminal_events_are_known_with_and_without_a_name(kind: str, named: bool, after: bytes) -> None:
    for fields in ({"type": kind, "x": 1}, {"x": {"type": "response.created"}, "type": kind}):
        frame = sse.encode(msgspec.json.encode(fields), kind if named else None)
        watched = watch(RESPONSES)
        watched.feed(CREATED + frame + after)
        assert watched.ended


def test_a_long_terminal_event_is_known_by_its_beginning() -> None:
    text = event("response.completed", 9, response={"output": "x" * 100_000, "usage": {"input_tokens": 2}})
    watched = watch(RESPONSES)
    for start in range(0, len(text), 10_000):
        watched.feed(text[start : start + 10_000])

    assert watched.ended
    assert watched.usage() == (2, None)


@pytest.mark.parametrize("end", [b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE]\r\n", b"data: [DONE]\n\n\n"])
def test_done_ends_a_stream_whatever_follows_it(end: bytes) -> None:
    watched = watch()
    out = b"".join(fed(watched, chunk("Hi", "stop"), end))

    assert watched.ended
    assert out.endswith(b"[DONE]\n\n") or out.endswith(b"\n\n\n")
    assert watched.fail(BROKEN) == b""


def test_an_end_that_is_followed_by_a_comment_is_found_when_the_body_ends_or_breaks() -> None:
    for ends_well in (True, False):
        watched = watch()
        watched.feed(chunk("Hi", "stop") + sse.DONE + b": bye, with some more words than fit beside it " * 2 + b"\n\n")
        assert (watched.finish() if ends_well else watched.fail(BROKEN)) == b""


def test_a_server_without_done_gets_it_when_its_choices_were_finished() -> None:
    watched = watch()
    fed(watched, chunk("Hi"), chunk(None, "stop"), b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n')

    assert watched.finish() == sse.DONE
    assert watched.usage() == (1, None)


def test_the_last_event_may_lack_its_blank_line() -> None:
    watched = watch()
    watched.feed(chunk("Hi") + chunk(None, "stop").rstrip())

    assert watched.finish() == chunk(None, "stop") + sse.DONE

    watched = watch(RESPONSES)
    watched.feed(RESPONSES_STREAM.rstrip())
    assert watched.finish() == event("response.completed", 2, response=DONE_RESPONSE)


@pytest.mark.parametrize(
    ("wire", "stream", "code"),
    [
        (CHAT, b"", "upstream_empty_response"),
        (CHAT, chunk("Hi"), "upstream_truncated"),
        (CHAT, chunk(None, "stop") + chunk("of another choice"), "upstream_truncated"),
        (CHAT, chunk("Hi") + chunk(None, "stop")[:-20], "upstream_truncated"),
        (RESPONSES, CREATED, "upstream_truncated"),
        (RESPONSES, CREATED + b'event: response.completed\ndata: {"type"', "upstream_truncated"),
    ],
)
def test_a_body_that_ends_early_is_a_failure(wire: Wire, stream: bytes, code: str) -> None:
    watched = watch(wire)
    watched.feed(stream)
    with pytest.raises(UpstreamError) as caught:
        watched.finish()

    assert caught.value.code == code
    assert watched.fail(caught.value)


def test_a_chat_stream_that_breaks_drops_the_cut_event_and_says_so() -> None:
    watched = watch()
    out = b"".join(fed(watched, chunk("Hi"), chunk("cut")[:-9]))

    end = watched.fail(BROKEN)

    assert out == chunk("Hi")
    assert end.endswith(sse.DONE)
    assert last_events(end) == [BROKEN.envelope()]
    assert watched.fail(BROKEN) == b""


def test_a_responses_stream_that_breaks_fails_as_a_whole_with_the_next_numbers() -> None:
    watched = watch(RESPONSES)
    fed(watched, CREATED, event("response.output_text.delta", 41, delta="Hi"), b"event: response.output")

    error, failed = last_events(watched.fail(BROKEN))

    assert (error["type"], error["sequence_number"], error["error"]["code"]) == ("error", 42, "upstream_truncated")
    assert (failed["type"], failed["sequence_number"]) == ("response.failed", 43)
    assert failed["response"]["id"] == "resp_1"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"] == {"code": "server_error", "message": "it broke"}


@pytest.mark.parametrize("cut", [True, False])
def test_an_event_of_any_length_has_its_number(cut: bool) -> None:
    data = {"type": "response.output_text.delta", "sequence_number": 7, "output_index": 0, "delta": "x" * 20_000}
    watched = watch(RESPONSES)
    fed(watched, event("response.created", 6, response={"id": "r"}), sse.encode(msgspec.json.encode(data)))
    end = watched.cut() if cut else watched.fail(UpstreamError("gone", verdict=Verdict.SERVICE))
    assert [each["sequence_number"] for each in last_events(end)][0] == 8


def test_a_stream_of_sound_that_breaks_ends_with_an_error_event() -> None:
    watched = watch(TRANSCRIPT)
    watched.feed(sse.encode(b'{"type":"transcript.text.delta","delta":"a"}'))

    assert [event["type"] for event in last_events(watched.fail(BROKEN))] == ["error"]

    watched = watch(TRANSCRIPT)
    watched.feed(sse.encode(b'{"type":"transcript.text.done","text":"a","usage":{"input_tokens":2,"output_tokens":3}}'))
    assert watched.ended
    assert watched.usage() == (2, 3)


ERROR = event("error", 7, code="server_error", message="It broke.", param=None)


def test_an_error_in_a_response_waits_for_the_event_that_fails_it() -> None:
    watched = watch(RESPONSES)
    watched.feed(CREATED + ERROR)
    assert not watched.ended

    failed = event("response.failed", 8, response={"id": "resp_1", "error": {"code": "server_error"}})
    assert watched.feed(failed) == failed
    assert watched.ended and watched.error_code() == "server_error"


@pytest.mark.parametrize("broken", [True, False])
@pytest.mark.parametrize("error", [ERROR, event("error", 7, error={"code": "server_error", "message": "It broke."})])
@pytest.mark.parametrize("after", [b"", sse.DONE])
def test_a_response_whose_last_word_is_an_error_fails_as_a_whole(broken: bool, error: bytes, after: bytes) -> None:
    watched = watch(RESPONSES)
    watched.feed(CREATED + error + after)

    (failed,) = last_events(watched.fail(BROKEN) if broken else watched.finish())

    assert (failed["type"], failed["sequence_number"]) == ("response.failed", 8)
    assert failed["response"]["error"] == {"code": "server_error", "message": "It broke."}
    assert (watched.error_code(), watched.is_broken) == ("server_error", False)


def test_a_chat_that_breaks_behind_its_finish_reasons_is_whole() -> None:
    watched = watch()
    watched.feed(chunk("Hi") + chunk(None, "stop"))

    assert (watched.fail(BROKEN), watched.is_broken) == (sse.DONE, False)


def test_a_chat_with_an_unfinished_choice_is_not_whole() -> None:
    other = b'data: {"object":"chat.completion.chunk","choices":[{"index":1,"delta":{"content":"a"}}]}\n\n'
    watched = watch()
    watched.feed(chunk("Hi") + other + chunk(None, "stop"))

    assert last_events(watched.fail(BROKEN)) == [BROKEN.envelope()]
    assert watched.is_broken


def test_a_failure_that_the_upstream_told_is_known_by_its_code() -> None:
    watched = watch()
    watched.feed(chunk("Hi") + sse.encode(b'{"error":{"message":"m","type":"server_error","code":null}}'))
    assert watched.finish() == sse.DONE
    assert watched.error_code() == "server_error"

    watched = watch(RESPONSES)
    watched.feed(CREATED + event("response.failed", 1, response={"error": {"code": "rate_limit_exceeded"}}))
    assert watched.ended
    assert watched.error_code() == "rate_limit_exceeded"


def test_an_event_may_be_long_but_not_without_end() -> None:
    watched = watch(max_event_bytes=10_000)
    with pytest.raises(UpstreamError) as caught:
        fed(watched, chunk("Hi"), *[b"x" * 1000] * 12)

    assert caught.value.code == "upstream_bad_response"
    assert watched.fail(caught.value).endswith(sse.DONE)


def test_a_byte_order_mark_does_not_reach_the_caller() -> None:
    assert watch().feed(b"\xef\xbb\xbf" + chunk("Hi")) == chunk("Hi")
