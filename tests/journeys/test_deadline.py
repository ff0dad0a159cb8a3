"""Answers that the gateway ends itself, because the platform would do it less kindly."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.fakes.codex_behaviours import Never, stream
from tests.journeys.conftest import Start
from tests.journeys.gateway import Gateway
from tests.journeys.messages_sdk import sdk as messages_sdk

STREAMS = Path(__file__).parents[1] / "streams"
MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def slow(start: Start) -> Gateway:
    """A gateway with little time before an upstream that stalls in the middle of a call or a text."""
    return start(max_duration_s=0.4)


def stalled(gateway: Gateway, name: str, after: str) -> None:
    """The stream of that name stalls behind its second event of a kind."""
    data = (STREAMS / f"{name}.sse").read_bytes()
    names = re.findall(rb"^event: (\S+)", data, re.MULTILINE)
    places = [place for place, kind in enumerate(names) if kind == after.encode()]
    gateway.backend.always(stream(name, stall_after=places[1] + 1))


def test_a_chat_stream_ends_as_too_long(slow: Gateway) -> None:
    stalled(slow, "text", "response.output_text.delta")
    asked: Any = {"messages": MESSAGES}
    chunks = list(slow.sdk().chat.completions.create(model="gpt-5.5", stream=True, **asked))
    assert chunks[-1].choices[0].finish_reason == "length"
    assert any(chunk.choices[0].delta.content for chunk in chunks)
    line = slow.last_line("chat")
    assert (line["error"], line["status"]) == ("deadline_exceeded", "200")
    assert slow.backend.wait_closed()


def test_a_responses_stream_closes_what_is_open_and_is_incomplete(slow: Gateway) -> None:
    stalled(slow, "text", "response.output_text.delta")
    events = list(slow.sdk().responses.create(model="gpt-5.5", input="Hi", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[-2:] == ["response.output_item.done", "response.incomplete"]
    last = events[-1]
    assert isinstance(last, openai.types.responses.ResponseIncompleteEvent)
    assert last.response.incomplete_details is not None
    assert last.response.incomplete_details.reason == "max_output_tokens"
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert last.response.output_text == said != ""


def test_a_messages_stream_ends_with_its_stop_reason(slow: Gateway) -> None:
    stalled(slow, "function_call", "response.function_call_arguments.delta")
    with (
        messages_sdk(slow) as client,
        client.messages.stream(model="gpt-5.5", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]) as events,
    ):
        kinds = [event.type for event in events]
    assert kinds[-1] == "message_stop"
    assert events.current_message_snapshot.stop_reason == "max_tokens"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("is_stream", [False, True])
def test_an_answer_that_has_not_begun_is_a_504(slow: Gateway, path: str, is_stream: bool) -> None:
    slow.backend.always(Never())
    asked = {"input": "Hi"} if path.endswith("responses") else {"messages": MESSAGES, "max_tokens": 5}
    answer = slow.send("POST", path, json={"model": "gpt-5.5", "stream": is_stream, **asked})
    assert answer.status_code == 504
    assert "time limit" in answer.json()["error"]["message"]
    assert slow.last_line(path)["error"] == "deadline_exceeded"


def test_a_whole_answer_in_mid_way_is_a_504(slow: Gateway) -> None:
    stalled(slow, "text", "response.output_text.delta")
    with pytest.raises(openai.InternalServerError) as caught:
        slow.sdk().responses.create(model="gpt-5.5", input="Hi")
    assert (caught.value.status_code, caught.value.code) == (504, "deadline_exceeded")
    assert slow.backend.wait_closed()
