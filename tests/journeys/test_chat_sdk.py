"""Chat Completions through the official SDK: its models check the fields, these tests the meaning."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pydantic
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.fakes.codex_behaviours import stream
from tests.fakes.codex_requests import PNG
from tests.journeys.gateway import Gateway

PDF = "data:application/pdf;base64,JVBERi0xLjQK"
LONG = "mcp__" + "a_server_with_a_long_name__" * 3 + "dive"
DEPTH = {"type": "object", "properties": {"depth": {"type": "integer"}}, "required": ["depth"]}


class Dive(pydantic.BaseModel):
    place: str
    depth: int


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    yield gateway.sdk()


def tool(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": "Dives.", "parameters": DEPTH, **fields}}


def chat(client: openai.OpenAI, content: Any = "Hi", **fields: Any) -> ChatCompletion:
    messages = content if isinstance(content, list) and "role" in content[0] else [{"role": "user", "content": content}]
    found: ChatCompletion = client.chat.completions.create(**{"model": "gpt-5.5", "messages": messages, **fields})
    return found


def chunks(client: openai.OpenAI, content: Any = "Hi", **fields: Any) -> list[ChatCompletionChunk]:
    return list(chat(client, content, stream=True, **fields))  # type: ignore[arg-type]


def sent(gateway: Gateway) -> Any:
    """The newest body that reached the backend."""
    return gateway.backend.generations[-1].json


def test_whole_answer(client: openai.OpenAI) -> None:
    answer = chat(client, "Hvad så? Ærø ⛴️ 🌊 𝄞")
    assert answer.choices[0].message.content == "You said: Hvad så? Ærø ⛴️ 🌊 𝄞"
    assert (answer.object, answer.choices[0].finish_reason, answer.model) == ("chat.completion", "stop", "gpt-5.5")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 2


def test_streamed_answer(client: openai.OpenAI) -> None:
    found = chunks(client, "Ærø ⛴️ 🌊")
    deltas = [chunk.choices[0].delta for chunk in found]
    assert "".join(delta.content or "" for delta in deltas) == "You said: Ærø ⛴️ 🌊"
    assert [delta.role for delta in deltas if delta.role] == ["assistant"]
    assert [chunk.choices[0].finish_reason for chunk in found if chunk.choices[0].finish_reason] == ["stop"]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in found}) == 1
    assert all("usage" not in chunk.model_fields_set for chunk in found)


def test_usage_chunk_is_there_when_asked_for(client: openai.OpenAI) -> None:
    *found, last = chunks(client, stream_options={"include_usage": True})
    assert last.choices == []
    assert last.usage is not None and last.usage.completion_tokens > 0
    assert all(chunk.usage is None and "usage" in chunk.model_fields_set for chunk in found)


def test_stream_helper_accumulates(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="gpt-5.5", messages=[{"role": "user", "content": "Hi"}]) as helper:
        kinds = [event.type for event in helper]
        answer = helper.get_final_completion()
    assert answer.choices[0].message.content == "You said: Hi"
    assert kinds[-1] == "content.done"


def test_forced_tool(client: openai.OpenAI, gateway: Gateway) -> None:
    choice = {"type": "function", "function": {"name": "dive"}}
    answer = chat(client, tools=[tool("dive"), tool("walk")], tool_choice=choice).choices[0]
    assert answer.finish_reason == "tool_calls"
    assert answer.message.content is None
    [call] = answer.message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "dive"
    assert "depth" in call.function.arguments
    assert sent(gateway)["tools"][0]["strict"] is False


@pytest.mark.parametrize(("parallel", "names"), [(True, ["dive", "walk"]), (False, ["dive"])])
def test_automatic_tools_streamed(client: openai.OpenAI, parallel: bool, names: list[str]) -> None:
    found = chunks(client, "dive and walk", tools=[tool("dive"), tool("walk")], parallel_tool_calls=parallel)
    calls = [chunk.choices[0].delta.tool_calls or [] for chunk in found]
    assert all(len(each) <= 1 for each in calls)
    started = [each[0] for each in calls if each and each[0].id]
    assert [call.function.name for call in started if call.function] == names
    assert [call.index for call in started] == list(range(len(names)))
    assert all(len(call.id or "") <= 40 and call.type == "function" for call in started)
    assert found[-1].choices[0].finish_reason == "tool_calls"


def test_stream_helper_joins_parallel_calls(client: openai.OpenAI) -> None:
    request: Any = {"messages": [{"role": "user", "content": "dive and walk"}], "tools": [tool("dive"), tool("walk")]}
    with client.chat.completions.stream(model="gpt-5.5", **request) as helper:
        message = helper.get_final_completion().choices[0].message
    assert [call.function.name for call in message.tool_calls or []] == ["dive", "walk"]
    assert all(call.function.arguments.startswith("{") for call in message.tool_calls or [])


@pytest.mark.parametrize("name", ["dive", "mcp__files__read", LONG])
@pytest.mark.parametrize("streamed", [True, False])
def test_tool_loop(client: openai.OpenAI, gateway: Gateway, name: str, streamed: bool) -> None:
    asked: list[Any] = [{"role": "user", "content": f"please {name}"}]
    choice = {"type": "function", "function": {"name": name}}
    message = chat(client, asked, tools=[tool(name)], tool_choice=choice).choices[0].message
    [call] = message.tool_calls or []
    assert call.type == "function" and call.function.name == name
    asked += [message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "42 m 🌊"}]
    if streamed:
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks(client, asked, tools=[tool(name)]))
    else:
        said = chat(client, asked, tools=[tool(name)]).choices[0].message.content or ""
    assert said == "The tool said: 42 m 🌊"
    used = [item["name"] for item in sent(gateway)["input"] if item["type"] == "function_call"]
    assert used == [sent(gateway)["tools"][0]["name"]] and len(used[0]) <= 64


def test_custom_tool(client: openai.OpenAI) -> None:
    patch = {"type": "custom", "custom": {"name": "patch", "description": "Patches."}}
    [call] = chat(client, "patch it", tools=[patch]).choices[0].message.tool_calls or []
    assert call.type == "custom"
    assert (call.custom.name, call.custom.input) == ("patch", "*** input\npatch it\n")


@pytest.mark.parametrize("streamed", [True, False])
def test_legacy_functions(client: openai.OpenAI, streamed: bool) -> None:
    fields: Any = {"functions": [tool("dive")["function"]], "function_call": {"name": "dive"}}
    if streamed:
        found = chunks(client, **fields)
        names = [chunk.choices[0].delta.function_call for chunk in found]
        assert [each.name for each in names if each and each.name] == ["dive"]
        assert found[-1].choices[0].finish_reason == "function_call"
        return
    answer = chat(client, **fields).choices[0]
    assert answer.finish_reason == "function_call"
    assert answer.message.function_call is not None and answer.message.function_call.name == "dive"


def test_image_and_file_parts(client: openai.OpenAI, gateway: Gateway) -> None:
    parts = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
    ]
    assert chat(client, parts).choices[0].message.content == "You said: Look"
    assert sent(gateway)["input"][0]["content"] == [
        {"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": PNG, "detail": "low"},
        {"type": "input_image", "image_url": "https://example.org/a.png"},
        {"type": "input_file", "filename": "a.pdf", "file_data": PDF},
    ]


def test_roles_reach_the_backend(client: openai.OpenAI, gateway: Gateway) -> None:
    turns = [("system", "Be brief."), ("developer", "Be kind."), ("user", "Hi"), ("assistant", "Yo"), ("user", "Bye")]
    answer = chat(client, [{"role": role, "content": text} for role, text in turns])
    assert answer.choices[0].message.content == "You said: Bye"
    assert sent(gateway)["instructions"] == "Be brief.\n\nBe kind."
    assert [item["role"] for item in sent(gateway)["input"]] == ["user", "assistant", "user"]


@pytest.mark.parametrize("streamed", [True, False])
def test_reasoning(client: openai.OpenAI, gateway: Gateway, streamed: bool) -> None:
    wanted = "**Reading the request**\n\nIt is short.\n\n**Answering**"
    if streamed:
        deltas = [chunk.choices[0].delta for chunk in chunks(client, reasoning_effort="high")]
        found = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    else:
        found = getattr(chat(client, reasoning_effort="high").choices[0].message, "reasoning_content")  # noqa: B009 - no member of the SDK's model
    assert found == wanted
    assert sent(gateway)["reasoning"] == {"effort": "high", "summary": "auto"}


def test_json_object(client: openai.OpenAI) -> None:
    answer = chat(client, "Say it", response_format={"type": "json_object"})
    assert answer.choices[0].message.content == '{"answer":"Say it"}'


def test_json_schema_and_the_parse_helper(client: openai.OpenAI, gateway: Gateway) -> None:
    answer = client.chat.completions.parse(
        model="gpt-5.5", messages=[{"role": "user", "content": "Where?"}], response_format=Dive
    )
    assert isinstance(answer.choices[0].message.parsed, Dive)
    assert sent(gateway)["text"]["format"]["strict"] is True


def test_more_than_one_choice_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        chat(client, n=2)
    assert (refusal.value.param, refusal.value.type) == ("n", "invalid_request_error")


def test_what_has_no_effect_is_named(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-5.5",
        messages=[{"role": "user", "content": "Hi"}],
        temperature=0.2,
        max_tokens=5,
        extra_body={"top_k": 4},
    )
    assert raw.headers["x-gateway-ignored"] == "max_tokens, temperature, top_k"
    assert raw.parse().choices[0].message.content == "You said: Hi"


def test_log_probabilities_are_not_asked_of_models_that_reason(client: openai.OpenAI, gateway: Gateway) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-5.5", messages=[{"role": "user", "content": "Hi"}], logprobs=True, top_logprobs=2
    )
    assert raw.headers["x-gateway-ignored"] == "logprobs, top_logprobs"
    assert raw.parse().choices[0].logprobs is None
    assert sent(gateway)["include"] == ["reasoning.encrypted_content"]


@pytest.mark.parametrize("stop", ["two", ["never", "two"]])
def test_stop_sequences_end_the_content(client: openai.OpenAI, stop: Any) -> None:
    strict = {"x-gateway-strict": "true"}
    (choice,) = chat(client, "one two three", stop=stop, extra_headers=strict).choices
    assert (choice.message.content, choice.finish_reason) == ("You said: one ", "stop")
    *found, last = chunks(client, "one two three", stop=stop, extra_headers=strict)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in found) == "You said: one "
    assert last.choices[0].finish_reason == "stop"


def test_strict_mode_refuses_what_has_no_effect(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        chat(client, temperature=0.2, extra_headers={"x-gateway-strict": "true"})
    assert (refusal.value.code, refusal.value.param) == ("unsupported_parameter", "temperature")


def test_channel_test_of_other_gateways(client: openai.OpenAI) -> None:
    answer = chat(client, "hi", max_tokens=1)
    assert answer.usage is not None and answer.usage.completion_tokens > 0


def test_default_model_is_the_best_of_the_catalogue(client: openai.OpenAI, gateway: Gateway) -> None:
    assert chat(client, model="auto").model == sent(gateway)["model"] == "gpt-5.6-sol"


def test_refusal_and_incomplete_answers(client: openai.OpenAI, gateway: Gateway) -> None:
    gateway.backend.script(stream("refusal"), stream("incomplete"), stream("incomplete_content_filter"))
    assert chat(client).choices[0].message.refusal
    assert [chat(client).choices[0].finish_reason for _ in range(2)] == ["length", "content_filter"]


def test_asynchronous_client(gateway: Gateway) -> None:
    async def journey() -> tuple[str | None, str]:
        options: Any = {"base_url": f"{gateway.url}/v1", "api_key": gateway.key, "max_retries": 0}
        async with openai.AsyncOpenAI(**options) as client:
            request: Any = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hi"}]}
            whole, streamed = await asyncio.gather(
                client.chat.completions.create(**request), client.chat.completions.create(**request, stream=True)
            )
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in streamed])
        return whole.choices[0].message.content, text

    assert asyncio.run(journey()) == ("You said: Hi", "You said: Hi")
