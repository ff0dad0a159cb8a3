"""Every dialect to an upstream that speaks another: through the canonical form, and nothing is lost on the way."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import msgspec
import openai
import pydantic
import pytest

from tests.canonical.pictures import png
from tests.fakes.openai_chat import USAGE, chat_stream, chunks
from tests.journeys.compatible import Compatible, Start, compatible
from tests.journeys.gateway import Host

MODES = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
PICTURE = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
DIVE: dict[str, Any] = {"type": "object", "properties": {"depth": {"type": "integer"}}, "required": ["depth"]}
CHAT_TOOL: Any = {"type": "function", "function": {"name": "dive", "description": "Dives.", "parameters": DIVE}}
RESPONSES_TOOL: Any = {"type": "function", "name": "dive", "description": "Dives.", "parameters": DIVE, "strict": False}
MESSAGES_TOOL: Any = {"name": "dive", "description": "Dives.", "input_schema": DIVE}


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


@pytest.fixture(params=["chat", "responses"])
def either(request: pytest.FixtureRequest, start: Start) -> Compatible:
    return start(openai_wire=request.param)


# --- Answers ----------------------------------------------------------------------------------------------------------


def ask_chat(gateway: Compatible, content: Any, streamed: bool, **fields: Any) -> Any:
    """A whole completion; streams are put together by the SDK's helper."""
    own = isinstance(content, list) and "role" in content[0]
    messages: Any = content if own else [{"role": "user", "content": content}]
    client = gateway.sdk()
    if not streamed:
        return client.chat.completions.create(model="gpt-test", messages=messages, **fields)
    with client.chat.completions.stream(
        model="gpt-test", messages=messages, stream_options={"include_usage": True}, **fields
    ) as stream:
        return stream.get_final_completion()


def ask_responses(gateway: Compatible, input: Any, streamed: bool, **fields: Any) -> Any:
    client = gateway.sdk()
    if not streamed:
        return client.responses.create(model="gpt-test", input=input, **fields)
    with client.responses.stream(model="gpt-test", input=input, **fields) as stream:
        return stream.get_final_response()


def ask_messages(gateway: Compatible, content: Any, streamed: bool, **fields: Any) -> Any:
    messages = content if isinstance(content, list) and "role" in content[0] else [{"role": "user", "content": content}]
    fields = {"model": "gpt-test", "max_tokens": 100, "messages": messages, **fields}
    with gateway.anthropic() as client:
        if not streamed:
            return client.messages.create(**fields)
        with client.messages.stream(**fields) as stream:
            return stream.get_final_message()


@MODES
def test_a_chat_over_the_responses_wire(responses: Compatible, streamed: bool) -> None:
    found = ask_chat(responses, "Grüße ⛴️", streamed)
    assert found.choices[0].message.content == "You said: Grüße ⛴️"
    assert (found.choices[0].finish_reason, found.model, found.object) == ("stop", "gpt-test", "chat.completion")
    assert found.usage.completion_tokens > 0 and found.usage.total_tokens > found.usage.completion_tokens
    assert responses.backend.requests[0].path == "/responses"


@MODES
def test_responses_over_the_chat_wire(chat: Compatible, streamed: bool) -> None:
    found = ask_responses(chat, "Grüße ⛴️", streamed, instructions="Be brief.")
    assert (found.output_text, found.status, found.model) == ("You said: Grüße ⛴️", "completed", "gpt-test")
    assert found.usage.input_tokens == 21 and found.usage.output_tokens == 9
    assert found.usage.input_tokens_details.cached_tokens == 4
    assert found.usage.output_tokens_details.reasoning_tokens == 3
    assert chat.sent["messages"][0] == {"role": "system", "content": "Be brief."}


@MODES
def test_messages_over_both_wires(either: Compatible, streamed: bool) -> None:
    found = ask_messages(either, "Grüße ⛴️", streamed, system="Be brief.", extra_body={"temperature": 0.5})
    assert (found.content[0].text, found.stop_reason) == ("You said: Grüße ⛴️", "end_turn")
    assert found.usage.output_tokens > 0
    assert either.sent["temperature"] == 0.5


# --- Tools ------------------------------------------------------------------------------------------------------------


@MODES
def test_a_tool_loop_of_a_chat_over_the_responses_wire(responses: Compatible, streamed: bool) -> None:
    tools = {"tools": [CHAT_TOOL], "tool_choice": "required"}
    first = ask_chat(responses, "Please dive", streamed, **tools)
    assert first.choices[0].finish_reason == "tool_calls"
    (call,) = first.choices[0].message.tool_calls
    assert call.function.name == "dive" and msgspec.json.decode(call.function.arguments) == {"depth": 1}
    assert responses.sent["tool_choice"] == "required" and responses.sent["tools"][0]["strict"] is False
    history: list[Any] = [
        {"role": "user", "content": "Please dive"},
        {"role": "assistant", "content": None, "tool_calls": [call.to_dict()]},
        {"role": "tool", "tool_call_id": call.id, "content": "Wet at 7 m"},
    ]
    if streamed:
        for each in history[1]["tool_calls"]:
            each["function"].pop("parsed_arguments", None)
            each.pop("index", None)
    second = ask_chat(responses, history, streamed, tools=[CHAT_TOOL])
    assert "Wet at 7 m" in second.choices[0].message.content
    kinds = [item.get("type", "message") for item in responses.sent["input"]]
    assert kinds == ["message", "function_call", "function_call_output"]


@MODES
def test_a_tool_loop_of_responses_over_the_chat_wire(chat: Compatible, streamed: bool) -> None:
    first = ask_responses(chat, "Please dive", streamed, tools=[RESPONSES_TOOL], tool_choice="required", store=False)
    (call,) = first.output
    assert (call.type, call.name, msgspec.json.decode(call.arguments)) == ("function_call", "dive", {"depth": 1})
    history = [
        {"role": "user", "content": "Please dive"},
        {"type": "function_call", "call_id": call.call_id, "name": "dive", "arguments": call.arguments},
        {"type": "function_call_output", "call_id": call.call_id, "output": "Wet at 7 m"},
    ]
    second = ask_responses(chat, history, streamed, tools=[RESPONSES_TOOL])
    assert "Wet at 7 m" in second.output_text
    assert [message["role"] for message in chat.sent["messages"]] == ["user", "assistant", "tool"]


@MODES
def test_a_tool_loop_of_messages_over_both_wires(either: Compatible, streamed: bool) -> None:
    first = ask_messages(either, "Please dive", streamed, tools=[MESSAGES_TOOL], tool_choice={"type": "any"})
    (call,) = [block for block in first.content if block.type == "tool_use"]
    assert (call.name, call.input, first.stop_reason) == ("dive", {"depth": 1}, "tool_use")
    history = [
        {"role": "user", "content": "Please dive"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": call.id, "name": "dive", "input": call.input}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "Wet at 7 m"}]},
                {"type": "text", "text": "And?"},
            ],
        },
    ]
    second = ask_messages(either, history, streamed, tools=[MESSAGES_TOOL])
    assert second.content[0].type in ("text", "tool_use")
    assert "Wet at 7 m" in str(either.sent)


@MODES
def test_parallel_calls_over_the_chat_wire(chat: Compatible, streamed: bool) -> None:
    calls = [("dive", '{"depth": 1}'), ("dive", '{"depth": 2}')]
    chat.backend.script(chat_stream(*chunks("Two dives.", calls=calls), cut=9))
    found = ask_responses(chat, "Dive", streamed, tools=[RESPONSES_TOOL])
    assert [item.type for item in found.output] == ["message", "function_call", "function_call"]
    assert [msgspec.json.decode(item.arguments)["depth"] for item in found.output[1:]] == [1, 2]
    assert len({item.call_id for item in found.output[1:]}) == 2


# --- Pictures, structured output, reasoning ---------------------------------------------------------------------------


def test_pictures_and_files_pass_to_the_responses_wire(responses: Compatible) -> None:
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"}},
    ]
    assert ask_chat(responses, parts, False).choices[0].message.content
    sent = responses.sent["input"][-1]["content"]
    assert [part["type"] for part in sent] == ["input_text", "input_image", "input_file"]
    assert (sent[1]["image_url"], sent[1]["detail"], sent[2]["filename"]) == (PICTURE, "low", "a.pdf")


def test_pictures_pass_to_the_chat_wire(chat: Compatible) -> None:
    parts = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": PICTURE, "detail": "high"},
    ]
    ask_responses(chat, [{"role": "user", "content": parts}], False)
    assert chat.sent["messages"][-1]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": PICTURE, "detail": "high"},
    }
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE.partition(",")[2]}
    ask_messages(chat, [{"role": "user", "content": [{"type": "image", "source": source}]}], False)
    assert chat.sent["messages"][-1]["content"][0]["image_url"]["url"] == PICTURE


class Dive(pydantic.BaseModel):
    place: str
    depth: int


def test_structured_output_crosses_both_ways(chat: Compatible) -> None:
    parsed = chat.sdk().responses.parse(model="gpt-test", input="Where?", text_format=Dive).output_parsed
    assert isinstance(parsed, Dive)
    assert chat.sent["response_format"]["json_schema"]["strict"] is True


def test_structured_output_of_a_chat_over_the_responses_wire(responses: Compatible) -> None:
    messages: Any = [{"role": "user", "content": "Where?"}]
    parsed = responses.sdk().chat.completions.parse(model="gpt-test", messages=messages, response_format=Dive)
    assert isinstance(parsed.choices[0].message.parsed, Dive)
    assert responses.sent["text"]["format"]["type"] == "json_schema"


@MODES
def test_reasoning_crosses_to_responses_and_messages(chat: Compatible, streamed: bool) -> None:
    said = chunks("Wet.", reasoning="Water is wet because")
    chat.backend.script(chat_stream(*said))
    found = ask_responses(chat, "Why?", streamed, reasoning={"effort": "high", "summary": "auto"})
    assert chat.sent["reasoning_effort"] == "high"
    assert found.output[0].type == "reasoning"
    texts = [part.text for part in (found.output[0].content or found.output[0].summary)]
    assert "".join(texts) == "Water is wet because" and found.output_text == "Wet."
    chat.backend.script(chat_stream(*said))
    message = ask_messages(chat, "Why?", streamed, max_tokens=3000, thinking={"type": "enabled", "budget_tokens": 2000})
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].thinking == "Water is wet because"


# --- Parameters -------------------------------------------------------------------------------------------------------


def test_a_chats_parameters_reach_the_responses_wire_or_are_named(responses: Compatible) -> None:
    reply = responses.sdk().chat.completions.with_raw_response.create(
        model="gpt-test",
        messages=[{"role": "user", "content": "Hi"}],
        max_tokens=50,
        temperature=0.25,
        top_p=0.5,
        user="u1",
        metadata={"a": "b"},
        stop=["###"],
        seed=7,
        logprobs=True,
        top_logprobs=2,
        frequency_penalty=0.5,
        logit_bias={"50256": -100},
        verbosity="low",
        service_tier="flex",
        safety_identifier="s",
        prompt_cache_key="k",
    )
    sent = responses.sent
    taken = ("max_output_tokens", "temperature", "top_p", "user", "metadata", "service_tier", "safety_identifier")
    assert [sent.get(name) for name in taken] == [50, 0.25, 0.5, "u1", {"a": "b"}, "flex", "s"]
    assert sent["text"]["verbosity"] == "low" and sent["prompt_cache_key"] == "k"
    named = reply.headers["x-gateway-ignored"].split(", ")
    assert set(named) == {"frequency_penalty", "logit_bias", "seed"}
    assert sent["top_logprobs"] == 2 and "stop" not in sent


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", 7), ("frequency_penalty", 0.5), ("n", 2), ("logit_bias", {"5": 1})],
)
def test_strictness_refuses_what_the_other_wire_cannot_take(responses: Compatible, name: str, value: Any) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        responses.sdk().chat.completions.create(
            model="gpt-test",
            messages=[{"role": "user", "content": "Hi"}],
            extra_body={name: value},
            extra_headers={"x-gateway-strict": "true"},
        )
    assert refusal.value.param == name


def test_the_parameters_of_responses_reach_the_chat_wire_or_are_named(chat: Compatible) -> None:
    reply = chat.sdk().responses.with_raw_response.create(
        model="gpt-test",
        input="Hi",
        max_output_tokens=50,
        temperature=0.25,
        top_p=0.5,
        user="u1",
        metadata={"a": "b"},
        truncation="auto",
        max_tool_calls=3,
        text={"verbosity": "low"},
        prompt_cache_key="k",
        service_tier="flex",
    )
    sent = chat.sent
    names = ("max_tokens", "temperature", "top_p", "user", "verbosity", "prompt_cache_key", "service_tier")
    assert [sent.get(name) for name in names] == [50, 0.25, 0.5, "u1", "low", "k", "flex"]
    assert set(reply.headers["x-gateway-ignored"].split(", ")) == {"max_tool_calls", "truncation"}
    assert reply.parse().metadata == {"a": "b"}


@MODES
def test_the_stops_of_messages_are_the_gateways_own(either: Compatible, streamed: bool) -> None:
    message = ask_messages(either, "Hi ### there", streamed, stop_sequences=["###"], extra_body={"top_p": 0.5})
    assert (message.content[0].text, message.stop_reason, message.stop_sequence) == (
        "You said: Hi ",
        "stop_sequence",
        "###",
    )
    assert either.sent["top_p"] == 0.5


@MODES
def test_the_stops_of_a_chat_are_the_gateways_own_where_the_wire_has_none(
    responses: Compatible, streamed: bool
) -> None:
    found = ask_chat(
        responses, "Hi ### there", streamed, stop=["never", "###"], extra_headers={"x-gateway-strict": "true"}
    )
    choice = found.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("You said: Hi ", "stop")
    assert found.usage.completion_tokens > 0


@MODES
def test_an_answer_that_reached_its_limit_says_so_in_every_dialect(chat: Compatible, streamed: bool) -> None:
    chat.backend.always(chat_stream(*chunks("Cut", finish="length")))
    if streamed:  # the SDK's helper knows no other end than a good one
        events: list[Any] = list(chat.sdk().responses.create(model="gpt-test", input="Hi", stream=True))
        found = events[-1].response
    else:
        found = ask_responses(chat, "Hi", streamed, max_output_tokens=16)
    assert (found.status, found.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert ask_messages(chat, "Hi", streamed).stop_reason == "max_tokens"


def test_usage_without_details_is_understood(chat: Compatible) -> None:
    bare = {name: USAGE[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    chat.backend.script(chat_stream(*chunks("Hi", usage=bare)), chat_stream(*chunks("Hi", usage=None)))
    assert ask_responses(chat, "Hi", True).usage.total_tokens == 30
    assert ask_responses(chat, "Hi", True).output_text == "Hi"


def test_a_refusal_of_the_upstream_is_told_in_the_callers_dialect(either: Compatible) -> None:
    either.backend.models = ("other",)
    with pytest.raises(anthropic.NotFoundError) as refusal:
        ask_messages(either, "Hi", True)
    assert refusal.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
    with pytest.raises(openai.NotFoundError) as missing:
        ask_responses(either, "Hi", False) if either.settings.openai_wire == "chat" else ask_chat(either, "Hi", False)
    assert missing.value.code == "model_not_found"
