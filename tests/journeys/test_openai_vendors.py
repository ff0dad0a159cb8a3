"""Servers that speak the OpenAI API in ways of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.fakes.codex_behaviours import http_error
from tests.fakes.codex_http import Exchange
from tests.fakes.openai_backend import MODELS, OpenAIBackend, Recorded, play
from tests.fakes.openai_chat import chat_stream, chunk, chunks, completion
from tests.journeys.compatible import Compatible, Start, compatible
from tests.journeys.gateway import Host

MODES = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
HI: Any = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def start(host: Host, http: httpx.Client) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(compatible(host, http, **settings))


def chat(gateway: Compatible, streamed: bool, **fields: Any) -> Any:
    client = gateway.sdk()
    if not streamed:
        return client.chat.completions.create(model="gpt-test", messages=HI, **fields).choices[0].message
    with client.chat.completions.stream(model="gpt-test", messages=HI, **fields) as stream:
        return stream.get_final_completion().choices[0].message


def keyless() -> OpenAIBackend:
    """A server that wants no key and refuses one, which the fake does not know how to: any key is empty there."""
    return OpenAIBackend(keys=("",), models=("llama3:8b", "library/qwen3:4b"))


@MODES
def test_a_server_without_keys_gets_none(start: Start, streamed: bool) -> None:
    with keyless() as backend:
        gateway = start(backend=backend, keys=())
        client = gateway.sdk()
        answer: Any = client.chat.completions.create(model="llama3:8b", messages=HI, stream=streamed)
        said = (
            "".join(each.choices[0].delta.content or "" for each in answer if each.choices)
            if streamed
            else answer.choices[0].message.content
        )
        assert said == "You said: Hi"
        assert "authorization" not in backend.requests[0].headers
        assert client.responses.create(model="library/qwen3:4b", input="Hi").output_text == "You said: Hi"
        assert [model.id for model in client.models.list()] == ["llama3:8b", "library/qwen3:4b"]
        assert client.models.retrieve("library/qwen3:4b").owned_by == "openai"
        assert client.chat.completions.create(model="auto", messages=HI).choices[0].message.content
        assert backend.requests[-1].json["model"] == "llama3:8b"


def test_azures_header_is_an_addition(start: Start) -> None:
    """What the host decides is a unit's matter; here, that another host gets no second key."""
    gateway = start(openai_wire="chat")
    chat(gateway, False)
    assert "api-key" not in gateway.backend.requests[0].headers
    from lib.types import Lease
    from lib.upstreams.openai_api import authorize_for

    lease = Lease("k1-abcdef", "openai", {"authorization": "Bearer azure-key"})
    found = authorize_for("https://mine.openai.azure.com/openai/v1")(lease, "POST", "/openai/v1/responses", b"")
    assert found == {"authorization": "Bearer azure-key", "api-key": "azure-key"}


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning"])
@MODES
def test_deepseeks_thoughts_reach_a_chat_client(start: Start, member: str, streamed: bool) -> None:
    gateway = start(openai_wire="chat")
    said = chunks("Wet.", reasoning="Water is wet.", reasoning_member=member)
    gateway.backend.script(chat_stream(*said) if streamed else http_error(200, completion(said)))
    message = chat(gateway, streamed)
    assert message.content == "Wet."
    assert (message.model_extra or {})[member] == "Water is wet."  # forwarded as the server calls it


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning"])
@MODES
def test_deepseeks_thoughts_reach_the_other_dialects(start: Start, member: str, streamed: bool) -> None:
    gateway = start(openai_wire="chat")
    gateway.backend.always(chat_stream(*chunks("Wet.", reasoning="Water is wet.", reasoning_member=member)))
    with gateway.anthropic() as client:
        fields: Any = {
            "model": "gpt-test",
            "max_tokens": 3000,
            "messages": HI,
            "thinking": {"type": "enabled", "budget_tokens": 1024},
        }
        if streamed:
            with client.messages.stream(**fields) as stream:
                message = stream.get_final_message()
        else:
            message = client.messages.create(**fields)
    assert [block.type for block in message.content] == ["thinking", "text"]
    answer: Any = gateway.sdk().responses.create(model="gpt-test", input="Hi", stream=streamed)
    if streamed:
        answer = list(answer)[-1].response
    assert [item.type for item in answer.output] == ["reasoning", "message"]


def test_a_server_with_no_catalogue_still_answers(start: Start) -> None:
    gateway = start(openai_wire="chat")
    gateway.backend.script(http_error(404, "nothing here"), http_error(404, "nothing here"), path=MODELS)
    assert list(gateway.sdk().models.list()) == []
    assert chat(gateway, False).content == "You said: Hi"
    answer = gateway.send("POST", "/v1/chat/completions", json={"messages": HI})
    assert answer.status_code in (200, 503)
    if answer.status_code == 503:
        assert "DEFAULT_MODEL" in answer.json()["error"]["message"]


def test_a_server_that_cannot_stream_is_understood_when_translated(start: Start) -> None:
    gateway = start(openai_wire="chat")
    gateway.backend.always(http_error(200, completion(chunks("Wet.", calls=[("dive", "{}")]))))
    tool: Any = {"type": "function", "name": "dive", "parameters": {"type": "object", "properties": {}}}
    answer = gateway.sdk().responses.create(model="gpt-test", input="Hi", tools=[tool])
    assert [item.type for item in answer.output] == ["message", "function_call"]


def test_a_server_that_streams_without_being_asked_is_read_as_it_is(start: Start) -> None:
    gateway = start(openai_wire="chat")
    gateway.backend.script(chat_stream(*chunks("Wet.")))
    answer = gateway.send("POST", "/v1/chat/completions", json={"model": "gpt-test", "messages": HI})
    assert answer.headers["content-type"].startswith("text/event-stream") and "[DONE]" in answer.text


def test_calls_without_index_or_id_become_calls(start: Start) -> None:
    gateway = start(openai_wire="chat")
    pieces = [
        chunk({"role": "assistant", "content": None}),
        chunk({"tool_calls": [{"function": {"name": "dive", "arguments": {"depth": 7}}}]}),
        chunk({"tool_calls": [{"function": {"name": "dive", "arguments": '{"depth": 8}'}}]}),
        chunk({}, "stop"),
    ]
    gateway.backend.script(chat_stream(*pieces))
    tool: Any = {"type": "function", "name": "dive", "parameters": {"type": "object", "properties": {}}}
    answer = gateway.sdk().responses.create(model="gpt-test", input="Hi", tools=[tool])
    assert [getattr(item, "arguments", "").replace(" ", "") for item in answer.output] == ['{"depth":7}', '{"depth":8}']


def test_a_redirect_is_not_followed(start: Start) -> None:
    async def elsewhere(exchange: Exchange, record: Recorded) -> None:
        await play(exchange, http_error(307, b"", {"location": "http://127.0.0.1:9/v1/chat/completions"}))

    gateway = start(openai_wire="chat")
    gateway.backend.handlers["/chat/completions"] = elsewhere
    with pytest.raises(openai.InternalServerError, match="redirect"):
        chat(gateway, False)
