"""OPENAI_TOOLS: a server without function calling gets the tools in its prompt, or none, and structured output is asked
for in words."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import openai
import pydantic
import pytest

from tests.fakes.codex_behaviours import Http
from tests.fakes.openai_chat import chat_stream, chunks
from tests.journeys.compatible import Compatible, Start, compatible
from tests.journeys.gateway import Host

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"depth": {"type": "integer"}}, "required": ["depth"]}
TOOL: Any = {"type": "function", "function": {"name": "dive", "description": "Dives.", "parameters": SCHEMA}}
MODES = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
MARKER = re.compile(r"<tool_call:([\w-]+)>")


class Dive(pydantic.BaseModel):
    depth: int


class Prompted:
    """Answers as a model that follows its instructions: calls with the marker that they name, in two pieces."""

    def __init__(self, *arguments: str, text: str = "") -> None:
        self.arguments = arguments
        self.text = text

    async def play(self, exchange: Any, scene: Any) -> None:
        body = msgspec.json.decode(exchange.body)
        found = MARKER.search(str(body))
        assert found is not None and "tools" not in body and "tool_choice" not in body
        calls = [
            f'<tool_call:{found[1]}>\n{{"name": "dive", "arguments": {each}}}\n</tool_call:{found[1]}>'
            for each in self.arguments
        ]
        await chat_stream(*chunks("\n".join([self.text, *calls])), cut=7).play(exchange, scene)


@pytest.fixture
def start(host: Host, http: httpx.Client) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(compatible(host, http, **{"openai_wire": "chat", **settings}))


def ask(gateway: Compatible, messages: Any, streamed: bool, **fields: Any) -> Any:
    messages = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    client = gateway.sdk()
    if not streamed:
        return client.chat.completions.create(model="gpt-test", messages=messages, **fields).choices[0]
    with client.chat.completions.stream(model="gpt-test", messages=messages, **fields) as stream:
        return stream.get_final_completion().choices[0]


@MODES
def test_a_tool_loop_over_a_server_without_tools(start: Start, streamed: bool) -> None:
    gateway = start(openai_tools="prompted")
    gateway.backend.script(Prompted('{"depth": 7}', '{"depth": 8}', text="Diving twice."))
    choice = ask(gateway, "Dive.", streamed, tools=[TOOL])
    assert choice.finish_reason == "tool_calls"
    calls = choice.message.tool_calls
    assert [msgspec.json.decode(call.function.arguments) for call in calls] == [{"depth": 7}, {"depth": 8}]
    assert (choice.message.content or "").strip() == "Diving twice."
    sent = [
        {"id": call.id, "type": "function", "function": {"name": "dive", "arguments": call.function.arguments}}
        for call in calls
    ]
    history = [
        {"role": "user", "content": "Dive."},
        {"role": "assistant", "content": "Diving twice.", "tool_calls": sent},
        *({"role": "tool", "tool_call_id": call.id, "content": f"Wet {at}"} for at, call in enumerate(calls)),
    ]
    gateway.backend.script(chat_stream(*chunks("All wet.")))
    assert ask(gateway, history, streamed, tools=[TOOL]).message.content == "All wet."
    assert {message["role"] for message in gateway.sent["messages"]} <= {"system", "user", "assistant"}
    assert "Wet 0" in str(gateway.sent) and "Wet 1" in str(gateway.sent)


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
def test_the_other_dialects_call_prompted_tools_too(start: Start, path: str) -> None:
    gateway = start(openai_tools="prompted")
    gateway.backend.script(Prompted('{"depth": 7}'))
    body: dict[str, Any] = {
        "model": "gpt-test",
        "input": "Dive.",
        "tools": [{"type": "function", "name": "dive", "parameters": SCHEMA}],
    }
    if path == "/v1/messages":
        tools = [{"name": "dive", "input_schema": SCHEMA}]
        body = {
            "model": "gpt-test",
            "max_tokens": 99,
            "messages": [{"role": "user", "content": "Dive."}],
            "tools": tools,
        }
    answer = gateway.send("POST", path, json=body)
    assert answer.status_code == 200 and '"dive"' in answer.text, answer.text
    assert "tool_call:" not in answer.text


@MODES
@pytest.mark.parametrize("tools", ["prompted", "off"])
def test_a_body_without_tools_arrives_as_it_was_sent(start: Start, tools: str, streamed: bool) -> None:
    gateway = start(openai_tools=tools)
    body = b'{ "messages":[{"content":"H\\u0069","role":"user"}], "model":"gpt-test","n":2,"seed":7,"stream":%b}'
    body %= b"true" if streamed else b"false"
    answer = gateway.send("POST", "/v1/chat/completions", content=body)
    assert answer.status_code == 200, answer.text
    assert gateway.backend.requests[-1].body == body


def test_a_body_with_tools_in_its_history_goes_through_the_canonical_form(start: Start) -> None:
    gateway = start(openai_tools="prompted")
    call = {"id": "call_1", "type": "function", "function": {"name": "dive", "arguments": "{}"}}
    history = [
        {"role": "user", "content": "Dive."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "7 m"},
    ]
    ask(gateway, history, False, temperature=0.25)
    assert "tool_calls" not in str(gateway.sent) and gateway.sent["temperature"] == 0.25


@MODES
def test_structured_output_is_asked_for_in_words_and_checked(start: Start, streamed: bool) -> None:
    gateway = start(openai_tools="prompted")
    gateway.backend.script(
        chat_stream(*chunks('Sure! {"depth": "deep"}')), chat_stream(*chunks('```json\n{"depth": 7}\n```'))
    )
    schema = {"type": "json_schema", "json_schema": {"name": "dive", "schema": SCHEMA, "strict": True}}
    choice = ask(gateway, "How deep?", streamed, response_format=schema)
    assert msgspec.json.decode(choice.message.content) == {"depth": 7}
    assert len(gateway.backend.requests) == 2 and "response_format" not in gateway.sent


def test_structured_output_that_never_fits_is_an_error(start: Start) -> None:
    gateway = start(openai_tools="prompted")
    gateway.backend.always(chat_stream(*chunks("I would rather not.")))
    with pytest.raises(openai.APIStatusError) as failure:
        gateway.sdk().chat.completions.parse(
            model="gpt-test", messages=[{"role": "user", "content": "How deep?"}], response_format=Dive
        )
    assert failure.value.status_code >= 500 and failure.value.code
    assert len(gateway.backend.requests) == 2


def test_a_demanded_call_that_never_comes_is_an_error(start: Start) -> None:
    gateway = start(openai_tools="prompted")
    gateway.backend.always(chat_stream(*chunks("I would rather not.")))
    with pytest.raises(openai.APIStatusError) as failure:
        ask(gateway, "Dive.", False, tools=[TOOL], tool_choice="required")
    assert failure.value.status_code >= 500 and failure.value.code


@MODES
def test_tools_that_are_off_are_refused_by_name(start: Start, streamed: bool) -> None:
    gateway = start(openai_tools="off")
    with pytest.raises(openai.BadRequestError, match="tools") as refusal:
        ask(gateway, "Dive.", streamed, tools=[TOOL])
    assert refusal.value.param == "tools"
    assert gateway.backend.requests == []
    assert ask(gateway, "Hi", streamed).message.content == "You said: Hi"


def test_a_broken_stream_in_a_call_is_no_call(start: Start) -> None:
    gateway = start(openai_tools="prompted", keys=("sk-one-0123456789",))

    class Cut(Prompted):
        async def play(self, exchange: Any, scene: Any) -> None:
            found = MARKER.search(exchange.body.decode())
            assert found is not None
            await chat_stream(*chunks(f'<tool_call:{found[1]}>\n{{"name": "dive", "argu')[:-2], done=False).play(
                exchange, scene
            )

    gateway.backend.always(Cut())
    answer = gateway.send(
        "POST",
        "/v1/chat/completions",
        json={"model": "gpt-test", "messages": [{"role": "user", "content": "Dive."}], "tools": [TOOL]},
    )
    assert answer.status_code == 502, answer.text


def test_an_empty_answer_is_told(start: Start) -> None:
    gateway = start(openai_tools="prompted", keys=("sk-one-0123456789",))
    gateway.backend.always(Http(200, b"", {"content-type": "text/event-stream"}))
    with pytest.raises(openai.InternalServerError):
        ask(gateway, "Dive.", False, tools=[TOOL])
