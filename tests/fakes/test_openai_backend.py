"""The fake OpenAI API is as strict as the real one, and the official SDK takes what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.fakes.codex_behaviours import http_error
from tests.fakes.codex_errors import Refused
from tests.fakes.codex_http import Exchange
from tests.fakes.openai_backend import OpenAIBackend, Recorded, play, quota
from tests.fakes.openai_rules import check_chat, check_responses

HI: list[Any] = [{"role": "user", "content": "Hi"}]
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.fixture
def backend() -> Iterator[OpenAIBackend]:
    with OpenAIBackend(keys=("sk-one", "sk-two")) as running:
        yield running


@pytest.fixture
def client(backend: OpenAIBackend) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=backend.url, api_key="sk-one", max_retries=0) as made:
        yield made


def test_the_sdk_reads_chats_whole_and_streamed(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="gpt-test", messages=HI)
    assert whole.choices[0].message.content == "You said: Hi" and whole.usage is not None
    with client.chat.completions.create(model="gpt-test", messages=HI, stream=True) as stream:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "You said: Hi"


def test_the_sdk_reads_responses_whole_and_streamed(client: openai.OpenAI) -> None:
    assert client.responses.create(model="gpt-test", input="Hi", store=False).output_text
    with client.responses.create(model="gpt-test", input="Hi", store=False, stream=True) as stream:
        assert [event.type for event in stream][-1] == "response.completed"


def test_log_probabilities_come_only_when_asked_for(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "gpt-test", "messages": [{"role": "user", "content": "Hi"}]}
    assert client.chat.completions.create(**asked).choices[0].logprobs is None
    told = client.chat.completions.create(**asked, logprobs=True, top_logprobs=1).choices[0].logprobs
    assert told is not None and told.content is not None and len(told.content[0].top_logprobs) == 1
    with pytest.raises(openai.BadRequestError) as refusal:
        client.chat.completions.create(**asked, top_logprobs=1)
    assert refusal.value.param == "top_logprobs"
    plain: Any = client.responses.create(model="gpt-test", input="Hi")
    assert plain.output[0].content[0].logprobs == []
    found: Any = client.responses.create(model="gpt-test", input="Hi", include=["message.output_text.logprobs"])
    assert "".join(token.token for token in found.output[0].content[0].logprobs) == found.output_text


def test_models_and_keys_are_known(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["gpt-test", "gpt-test-mini"]
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-three").models.list()
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-99", messages=HI)


def test_scripts_belong_to_keys_and_paths(backend: OpenAIBackend, client: openai.OpenAI) -> None:
    backend.script(quota(), key="sk-two")
    client.chat.completions.create(model="gpt-test", messages=HI)
    with pytest.raises(openai.RateLimitError):
        client.with_options(api_key="sk-two").chat.completions.create(model="gpt-test", messages=HI)


def test_a_test_may_add_endpoints(backend: OpenAIBackend, client: openai.OpenAI) -> None:
    async def embeddings(exchange: Exchange, record: Recorded) -> None:
        found = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
        await play(exchange, http_error(200, {"object": "list", "data": found, "model": record.json["model"]}))

    backend.handlers["/embeddings"] = embeddings
    made = client.embeddings.create(model="e", input="x", encoding_format="float")
    assert made.data[0].embedding == [0.5] and made.model == "e"


@pytest.mark.parametrize(
    "members",
    [
        {"top_k": 5},
        {"tools": None},
        {"stream_options": {"include_usage": True}},
        {"tool_choice": "auto"},
        {"max_tokens": 1, "max_completion_tokens": 1},
        {"messages": []},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}]},
        {"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {}}]}]},
        {"messages": [{"role": "assistant", "content": "x", "reasoning_content": "y"}]},
        {"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]},
        {"messages": [{"role": "assistant", "tool_calls": [CALL]}]},
        {"messages": [{"role": "assistant", "tool_calls": [CALL]}, *HI]},
        {"messages": [{"role": "assistant", "tool_calls": [{**CALL, "id": "c" * 41}]}]},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "function", "name": "f"}]},
        {"tools": [{"type": "function", "function": {"name": "a.b"}}]},
    ],
)
def test_chats_that_the_api_refuses_are_refused(members: dict[str, Any]) -> None:
    check_chat({"model": "m", "messages": HI})
    with pytest.raises(Refused):
        check_chat({"model": "m", "messages": HI, **members})


@pytest.mark.parametrize(
    "members",
    [
        {"stop": "x"},
        {"user": None},
        {"input": []},
        {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
        {"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]},
        {"input": [{"type": "message", "role": "user", "content": "x", "status": None}]},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
    ],
)
def test_responses_that_the_api_refuses_are_refused(members: dict[str, Any]) -> None:
    body = {"model": "m", "input": "Hi", "store": False}
    check_responses(body)
    with pytest.raises(Refused):
        check_responses({**body, **members})
