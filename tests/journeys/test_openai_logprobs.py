"""Log probabilities between a client and an upstream of different APIs: the official models judge both answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionTokenLogprob

from tests.fakes.openai_chat import chat_stream, chunk, chunks
from tests.journeys.compatible import Compatible, Start, compatible
from tests.journeys.gateway import Host

SAID = "You said: Grüße ⛴️"
MESSAGES: Any = [{"role": "user", "content": "Grüße ⛴️"}]
LOGPROBS = "message.output_text.logprobs"


@pytest.fixture
def start(host: Host, http: httpx.Client) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(compatible(host, http, **settings))


@pytest.fixture
def chat(start: Start) -> Compatible:
    return start(openai_wire="chat")


@pytest.fixture
def responses(start: Start) -> Compatible:
    return start(openai_wire="responses")


def tokens_of(answer: ChatCompletion) -> list[ChatCompletionTokenLogprob]:
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None and logprobs.content is not None
    assert {"refusal", "content"} == logprobs.to_dict(exclude_unset=False).keys()
    return logprobs.content


def test_a_whole_chat_over_the_responses_wire(responses: Compatible) -> None:
    raw = responses.sdk().chat.completions.with_raw_response.create(
        model="gpt-test", messages=MESSAGES, logprobs=True, top_logprobs=2, extra_headers={"x-gateway-strict": "true"}
    )
    assert (responses.sent["include"], responses.sent["top_logprobs"]) == ([LOGPROBS], 2)
    tokens = tokens_of(raw.parse())
    assert "".join(token.token for token in tokens) == SAID
    assert b"".join(bytes(token.bytes or ()) for token in tokens).decode() == SAID
    assert [len(token.top_logprobs) for token in tokens] == [2] * len(tokens)


def test_a_streamed_chat_over_the_responses_wire(responses: Compatible) -> None:
    with responses.sdk().chat.completions.stream(
        model="gpt-test", messages=MESSAGES, logprobs=True, top_logprobs=1
    ) as stream:
        found = [event.chunk.choices[0] for event in stream if event.type == "chunk" and event.chunk.choices]
        tokens = tokens_of(stream.get_final_completion())
    for choice in found:
        told = choice.logprobs.content or [] if choice.logprobs else []
        assert "".join(token.token for token in told) == (choice.delta.content or "")
    assert "".join(token.token for token in tokens) == SAID
    assert [len(token.top_logprobs) for token in tokens] == [1] * len(tokens)


def test_log_probabilities_end_where_the_content_ends(responses: Compatible) -> None:
    client = responses.sdk()
    asked: dict[str, Any] = {"model": "gpt-test", "messages": MESSAGES, "logprobs": True, "stop": "⛴"}
    whole = client.chat.completions.create(**asked)
    with client.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion()
    for answer in (whole, streamed):
        assert answer.choices[0].message.content == "You said: Grüße "
        assert "You said: Grüße ".startswith("".join(token.token for token in tokens_of(answer)))
    assert [each.token for each in tokens_of(whole)] == [each.token for each in tokens_of(streamed)]


def test_whole_responses_over_the_chat_wire(chat: Compatible) -> None:
    raw = chat.sdk().responses.with_raw_response.create(
        model="gpt-test",
        input="Grüße ⛴️",
        include=["message.output_text.logprobs"],
        top_logprobs=2,
        extra_headers={"x-gateway-strict": "true"},
    )
    assert (chat.sent["logprobs"], chat.sent["top_logprobs"]) == (True, 2)
    found: Any = raw.parse()
    (part,) = found.output[0].content
    assert "".join(token.token for token in part.logprobs) == found.output_text == SAID
    assert b"".join(bytes(token.bytes) for token in part.logprobs).decode() == SAID
    assert [len(token.top_logprobs) for token in part.logprobs] == [2] * len(part.logprobs)
    assert found.top_logprobs == 2


def test_streamed_responses_over_the_chat_wire(chat: Compatible) -> None:
    with chat.sdk().responses.stream(
        model="gpt-test", input="Grüße ⛴️", include=["message.output_text.logprobs"]
    ) as stream:
        events: list[Any] = list(stream)
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert all("".join(token.token for token in event.logprobs) == event.delta for event in deltas)
    told = [token.token for event in deltas for token in event.logprobs]
    (done,) = [event for event in events if event.type == "response.output_text.done"]
    (part,) = events[-1].response.output[0].content
    assert [token.token for token in done.logprobs] == [token.token for token in part.logprobs] == told
    assert "".join(told) == SAID


def test_a_server_that_leaves_members_out_is_understood(chat: Compatible) -> None:
    bare: list[Any] = [{"token": "Hi", "logprob": -1}, {"token": None, "logprob": -1}]
    chat.backend.script(chat_stream(chunk({"content": "Hi"}, logprobs=bare), chunk({}, "stop")))
    found: Any = chat.sdk().responses.create(model="gpt-test", input="Hi", include=["message.output_text.logprobs"])
    (token,) = found.output[0].content[0].logprobs
    assert (token.token, token.bytes, token.logprob, token.top_logprobs) == ("Hi", [72, 105], -1, [])


def test_log_probabilities_that_nobody_asked_for_are_left_out(chat: Compatible) -> None:
    chat.backend.script(chat_stream(*chunks("Hi", top_logprobs=0)))
    found: Any = chat.sdk().responses.create(model="gpt-test", input="Hi")
    assert "logprobs" not in chat.sent and found.output[0].content[0].logprobs == []


def test_a_chat_cannot_have_the_most_likely_tokens_alone(responses: Compatible) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        responses.sdk().chat.completions.create(model="gpt-test", messages=MESSAGES, top_logprobs=2)
    assert refusal.value.param == "top_logprobs"


def test_the_most_likely_tokens_alone_are_nothing_to_the_chat_wire(chat: Compatible) -> None:
    assert chat.sdk().responses.create(model="gpt-test", input="Hi", top_logprobs=2).output_text == "You said: Hi"
    assert "top_logprobs" not in chat.sent


@pytest.mark.parametrize("streamed", [True, False])
def test_a_text_out_of_which_calls_are_read_keeps_its_tokens(start: Start, streamed: bool) -> None:
    gateway = start(openai_wire="chat", openai_tools="prompted")
    call = '\n<tool_call>{"name": "look", "arguments": {}}</tool_call>'
    gateway.backend.script(chat_stream(*chunks(f"{SAID}{call}", top_logprobs=0)))
    tools: Any = [{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}]
    asked: dict[str, Any] = {"model": "gpt-test", "input": "Hi", "tools": tools, "include": [LOGPROBS]}
    if streamed:
        with gateway.sdk().responses.stream(**asked) as stream:
            found: Any = stream.get_final_response()
    else:
        found = gateway.sdk().responses.create(**asked)
    message, called = found.output
    assert called.type == "function_call"
    assert "".join(token.token for token in message.content[0].logprobs).startswith(SAID)
    assert "look" not in "".join(token.token for token in message.content[0].logprobs)
