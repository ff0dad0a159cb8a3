"""Each fault that clients die of is seen."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lib.doctor import judges
from lib.doctor.walk import Judge, Seen

STREAM = {"content-type": "text/event-stream; charset=utf-8"}
CHUNK = b'{"id":"1","created":1,"model":"m","choices":[{"delta":{},"finish_reason":%b}]}'


def frames(*datas: bytes) -> bytes:
    return b"".join(b"data: %b\n\n" % data for data in datas)


def wrong(judge: Judge, body: bytes, *, status: int = 200, headers: Mapping[str, str] = STREAM) -> str | None:
    return judge(Seen(status, headers, body))


STOPPED = CHUNK % b'"stop"'


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (frames(STOPPED, b"[DONE]"), None),
        (frames(STOPPED), "[DONE]"),
        (frames(CHUNK % b"null", b"[DONE]"), "finish reasons"),
        (frames(STOPPED, STOPPED, b"[DONE]"), "finish reasons"),
        (frames(STOPPED.replace(b'"1"', b'"2"'), CHUNK % b"null", b"[DONE]"), "differ"),
        (frames(STOPPED[:-1] + b',"usage":{"a":1}}', b"[DONE]"), "unasked"),
    ],
)
def test_faults_of_chat_streams_are_named(body: bytes, words: str | None) -> None:
    found = wrong(judges.chat_stream(), body)
    assert (found is None) if words is None else (found is not None and words in found)


def test_tool_calls_come_one_in_a_chunk_with_an_index() -> None:
    call = b'{"index":0,"id":"a","function":{"name":"f"}}'
    whole = STOPPED.replace(b'"stop"', b'"tool_calls"')
    judge = judges.chat_stream(calls=["f"])
    assert wrong(judge, frames(whole.replace(b"{}", b'{"tool_calls":[%b]}' % call), b"[DONE]")) is None
    twice = whole.replace(b"{}", b'{"tool_calls":[%b,%b]}' % (call, call))
    assert "two tool calls" in str(wrong(judge, frames(twice, b"[DONE]")))
    spelled = call.replace(b'"index":0', b'"index":"0"')
    spoiled = whole.replace(b"{}", b'{"tool_calls":[%b]}' % spelled)
    assert "index" in str(wrong(judge, frames(spoiled, b"[DONE]")))


def test_faults_of_other_streams_are_named() -> None:
    created, completed = b'{"type":"response.created","sequence_number":0}', b'{"type":"response.completed"'
    good = b"event: response.created\ndata: %b\n\nevent: response.completed\ndata: %b\n\n"
    assert wrong(judges.responses_stream, good % (created, completed + b',"sequence_number":1}')) is None
    assert "numbered" in str(wrong(judges.responses_stream, good % (created, completed + b',"sequence_number":2}')))
    assert "name" in str(wrong(judges.responses_stream, frames(created)))
    assert "content type" in str(wrong(judges.responses_stream, b"", headers={}))
    with pytest.raises(LookupError):
        wrong(judges.messages_stream("f"), b"")


def test_small_answers_are_judged() -> None:
    assert "created" in str(wrong(judges.listing, b'{"data":[{"id":"a","created":1.5,"object":"model"}]}'))
    assert wrong(judges.listing, b'{"data":[]}') == "an empty list"
    counted = b'{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":1,"completion_tokens":%d}}'
    assert wrong(judges.chat, counted % 1) is None
    assert wrong(judges.chat, counted % 0) == "no tokens are counted"
    assert "500" in str(wrong(judges.content("audio/"), b"x", status=500))
    assert "404" in str(wrong(judges.refused(426, "x"), b'{"error":{"code":"y"}}', status=404))
