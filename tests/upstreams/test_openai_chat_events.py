"""Chunks → canonical events: OpenAI's own form, and the quirks of others."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lib.canonical.events import Event
from lib.canonical.request import LOGPROBS
from lib.errors import UpstreamError, Verdict
from lib.upstreams.openai_chat_events import usage_of
from tests.fakes.openai_chat import USAGE, chunk, chunks
from tests.upstreams.openai_chunks import frames, read, reader, response


def parts(events: list[Event]) -> list[Any]:
    return [part for item in response(events)["output"] for part in item.get("content", item.get("summary"))]


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning"])
def test_reasoning_of_either_name_becomes_a_reasoning_item(member: str) -> None:
    events = read(*chunks("Yes", reasoning="I think so", reasoning_member=member))
    assert [part["text"] for part in parts(events)] == ["I think so", "Yes"]


def test_reasoning_that_is_told_twice_is_read_once() -> None:
    events = read(chunk({"reasoning": "a", "reasoning_content": "a"}), chunk({"content": "b"}, "stop"))
    assert [part["text"] for part in parts(events)] == ["a", "b"]


def test_content_in_parts_is_read() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    events = read(chunk({"content": [thinking, {"type": "text", "text": "yes"}, 5]}), chunk({}, "stop"))
    assert [part["text"] for part in parts(events)] == ["hm", "yes"]


def test_tokens_of_thoughts_and_calls_begin_no_text() -> None:
    token: list[Any] = [{"token": "x", "logprob": -1}]
    piece = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}
    said = (
        *(chunk({"content": "", "reasoning_content": word}, logprobs=token) for word in ("I ", "think")),
        chunk({"content": "So"}, logprobs=token),
        chunk({"content": "", "tool_calls": [piece]}, logprobs=token),
        chunk({"content": ""}, "tool_calls", logprobs=token),
    )
    output = response(read(*said, include=[LOGPROBS]))["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call"]
    assert len(output[1]["content"][0]["logprobs"]) == 1


def test_log_probabilities_are_read_where_they_were_asked_for() -> None:
    said = chunks("Hello there", top_logprobs=1)
    events = read(*said, include=[LOGPROBS])
    found = [token for event in events if event.type.endswith("text.delta") for token in event.fields["logprobs"]]
    assert "".join(token["token"] for token in found) == "Hello there"
    assert parts(events)[0]["logprobs"] == found
    assert parts(read(*said))[0]["logprobs"] == []


def test_a_token_that_is_less_than_a_character_keeps_its_log_probability() -> None:
    half = {"token": "\\xe2", "logprob": -1.5, "bytes": [226]}
    events = read(chunk({"content": ""}, logprobs=[half]), chunk({"content": "⛴"}, "stop"), include=[LOGPROBS])
    assert parts(events)[0]["logprobs"] == [{**half, "top_logprobs": []}] and parts(events)[0]["text"] == "⛴"


def test_a_refusal_stays_one() -> None:
    events = read(chunk({"refusal": "I will "}), chunk({"refusal": "not."}), chunk({}, "stop"))
    assert parts(events) == [{"type": "refusal", "refusal": "I will not."}]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("length", "max_output_tokens"), ("content_filter", "content_filter"), ("stop", None), ("eos", None)],
)
def test_the_finish_reason_says_whether_the_answer_is_whole(finish: str, reason: str | None) -> None:
    events = read(*chunks("Hello", finish=finish))
    assert events[-1].type == ("response.completed" if reason is None else "response.incomplete")
    assert (response(events)["incomplete_details"] or {}).get("reason") == reason


def test_usage_is_read_wherever_it_stands() -> None:
    in_last = [*chunks("Hi", usage=None)[:-1], chunk({}, "stop", usage=USAGE)]
    in_every = [{**each, "usage": USAGE} for each in chunks("Hi", usage=None)]
    for said in (chunks("Hi"), in_last, in_every):
        assert response(read(*said))["usage"]["total_tokens"] == 30
    assert response(read(*chunks("Hi", usage=None)))["usage"] is None


def test_the_stream_ends_with_the_usage_and_not_with_its_last_byte() -> None:
    source = reader()
    source.take(frames(*chunks("Hi")))
    assert source.ended


def test_odd_counts_do_no_harm() -> None:
    counted = {"prompt_tokens": 9, "completion_tokens": None, "prompt_cache_hit_tokens": 4, "prompt_tokens_details": 5}
    assert usage_of(counted)["input_tokens_details"]["cached_tokens"] == 4
    assert usage_of({"prompt_tokens": "x"})["total_tokens"] == 0


def test_the_tier_that_served_is_told() -> None:
    assert response(read(*chunks("Hi"), chunk({}, service_tier="flex")))["service_tier"] == "default"
    assert response(read(chunk({"content": "Hi"}, "stop", service_tier="flex")))["service_tier"] == "flex"


@pytest.mark.parametrize(
    "annotation",
    [
        {
            "type": "url_citation",
            "url_citation": {"url": "https://a.b", "title": "A", "start_index": 0, "end_index": 2},
        },
        {"type": "url_citation", "url": "https://a.b", "title": "A", "start_index": 0, "end_index": 2},
    ],
)
def test_citations_stand_in_the_text_that_cites(annotation: dict[str, Any]) -> None:
    cited = {"type": "url_citation", "url": "https://a.b", "title": "A", "start_index": 0, "end_index": 2}
    events = read(chunk({"content": "Hi"}), chunk({"annotations": [annotation, {"type": "other"}, 5]}, "stop"))
    assert parts(events)[0]["annotations"] == [cited]


def test_choices_that_nobody_asked_for_are_left_out() -> None:
    other = chunk({"content": "no"})
    other["choices"][0]["index"] = 1
    assert [part["text"] for part in parts(read(other, *chunks("yes")))] == ["yes"]


def test_chunks_without_choices_do_no_harm() -> None:
    azure = chunk(choices=[], prompt_filter_results=[{"prompt_index": 0}])
    assert [part["text"] for part in parts(read(azure, b"", *chunks("Hi"), chunk(choices=[])))] == ["Hi"]


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ({"error": {"message": "m", "code": 429}}, Verdict.LIMIT),
        ({"error": "m"}, Verdict.SERVICE),
        ({**chunk({}, "error"), "error": {"message": "m", "type": "invalid_request_error"}}, Verdict.REQUEST),
        ({"choices": 5}, Verdict.SERVICE),
        (5, Verdict.SERVICE),
        ({}, Verdict.SERVICE),
        (b"nonsense", Verdict.SERVICE),
        (b"[" * 100_000, Verdict.SERVICE),
        (b"\xff", Verdict.SERVICE),
    ],
)
def test_what_is_no_chunk_is_raised(said: Any, verdict: Verdict) -> None:
    with pytest.raises(UpstreamError) as caught:
        reader().take(frames(said))
    assert caught.value.verdict is verdict


@pytest.mark.parametrize("finish", ["error", "insufficient_system_resource"])
def test_an_answer_that_the_server_gave_up_is_broken(finish: str) -> None:
    source = reader()
    source.take(frames(chunk({"content": "a"}), chunk({}, finish)))
    assert source.failure is not None and source.failure.verdict is Verdict.SERVICE and not source.may_end


def test_a_named_error_event_is_raised() -> None:
    with pytest.raises(UpstreamError) as caught:
        reader().take([(b"error", b'{"message": "m", "code": 503}')])
    assert (caught.value.message, caught.value.status) == ("m", 503)


def test_what_came_before_a_failure_is_handed_out() -> None:
    source = reader()
    assert source.take(frames(chunk({"content": "a"}), {"error": {"message": "m"}}))
    assert source.failure is not None and source.failure.message == "m"


def test_half_a_chunk_at_the_end_is_none() -> None:
    source = reader()
    assert source.take(frames(chunk({"content": "a"}, "stop")))
    assert source.take_last(frames(b'{"choices": [{"de')) == [] and source.may_end and source.failure is None


def test_a_whole_completion_is_taken_and_an_odd_one_refused() -> None:
    body = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
    assert [part["text"] for part in parts(reader().take_whole(msgspec.json.encode(body)))] == ["Hi"]
    with pytest.raises(UpstreamError):
        reader().take_whole(b'{"object": "list"}')
