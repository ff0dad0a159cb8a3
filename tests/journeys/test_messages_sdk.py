"""The Messages API through Anthropic's official SDK, from the socket to a strict fake of the Codex backend."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pydantic
import pytest
from anthropic.types import MessageParam, ToolParam

from tests.fakes.codex_answers import png
from tests.fakes.codex_behaviours import stream
from tests.journeys.gateway import Gateway, Host, running
from tests.journeys.messages_sdk import ask, sdk, streamed, text_of

MODEL_MAP = "claude-*=gpt-5.5,claude-haiku-*=gpt-5.6-luna"
LONG = "mcp__" + "a_server_with_a_long_name__" * 3 + "dive"
THINKING: Any = {"type": "adaptive"}
FILE_PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}


class Dive(pydantic.BaseModel):
    place: str
    depth: int


@pytest.fixture(scope="module")
def gateway(host: Host, http: httpx.Client) -> Iterator[Gateway]:
    with running(host, http, model_map=MODEL_MAP) as found:
        yield found


@pytest.fixture
def client(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with sdk(gateway) as found:
        yield found


def tool(name: str = "dive") -> ToolParam:
    schema: dict[str, object] = {"type": "object", "properties": {"depth": {"type": "integer"}}, "required": ["depth"]}
    return {"name": name, "description": "Dives.", "input_schema": schema}


def sent(gateway: Gateway) -> Any:
    """The newest body that reached the backend."""
    return gateway.backend.generations[-1].json


# --- Answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [ask, streamed])
def test_an_answer(client: anthropic.Anthropic, gateway: Gateway, answer: Any) -> None:
    found = answer(client, "Hvad så? Ærø ⛴️ 🌊 𝄞", system="Be brief.")
    assert text_of(found) == "You said: Hvad så? Ærø ⛴️ 🌊 𝄞"
    assert (found.type, found.role, found.stop_reason, found.stop_sequence) == (
        "message",
        "assistant",
        "end_turn",
        None,
    )
    assert found.model == "claude-opus-4-8" and sent(gateway)["model"] == "gpt-5.5"
    assert found.id.startswith("msg_")
    assert found.usage.input_tokens > 0 and found.usage.output_tokens > 0
    assert sent(gateway)["instructions"] == "Be brief."


def test_the_events_of_a_stream(client: anthropic.Anthropic) -> None:
    raw: Any = ask(client, "one two", stream=True)
    kinds = [event.type for event in raw]
    assert kinds[:3] == ["message_start", "content_block_start", "content_block_delta"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    with client.messages.stream(
        model="claude-x", max_tokens=9, messages=[{"role": "user", "content": "one two"}]
    ) as helper:
        assert "".join(helper.text_stream) == "You said: one two"


def test_the_asynchronous_client(gateway: Gateway) -> None:
    async def run() -> tuple[str, str]:
        options: Any = {"api_key": gateway.key, "base_url": gateway.url, "max_retries": 0}
        fixed: Any = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
        async with anthropic.AsyncAnthropic(**options) as client:
            whole = await client.messages.create(**fixed)
            async with client.messages.stream(**fixed) as helper:
                return text_of(whole), text_of(await helper.get_final_message())

    assert asyncio.run(run()) == ("You said: Hi", "You said: Hi")


@pytest.mark.parametrize(
    ("model", "upstream"),
    [("claude-haiku-4-5", "gpt-5.6-luna"), ("claude-sonnet-5", "gpt-5.5"), ("gpt-5.6-sol", "gpt-5.6-sol")],
)
def test_models_go_by_the_map_and_keep_their_names(
    client: anthropic.Anthropic, gateway: Gateway, model: str, upstream: str
) -> None:
    assert ask(client, model=model).model == model
    assert sent(gateway)["model"] == upstream


@pytest.mark.parametrize("answer", [ask, streamed])
def test_thinking_is_shown_and_comes_back_as_sealed_reasoning(
    client: anthropic.Anthropic, gateway: Gateway, answer: Any
) -> None:
    asked: list[Any] = [{"role": "user", "content": "please dive"}]
    first = answer(client, asked, thinking=THINKING, tools=[tool()], output_config={"effort": "high"})
    assert [block.type for block in first.content] == ["thinking", "tool_use"]
    assert first.content[0].thinking == "**Reading the request**\n\nIt is short.\n\n**Answering**"
    assert sent(gateway)["reasoning"] == {"effort": "high", "summary": "auto"}
    assert first.usage.output_tokens_details.thinking_tokens > 0
    result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "wet"}
    asked += [first.to_param(), {"role": "user", "content": [result]}]
    second = answer(client, asked, thinking=THINKING, tools=[tool()])
    assert text_of(second) == "The tool said: wet"
    # The backend refuses reasoning that it did not issue to this account.
    assert [item["type"] for item in sent(gateway)["input"]] == [
        *["message", "reasoning", "function_call", "function_call_output"]
    ]


def test_without_thinking_there_is_none(client: anthropic.Anthropic) -> None:
    assert [block.type for block in ask(client).content] == ["text"]


@pytest.mark.parametrize("answer", [ask, streamed])
def test_stop_sequences(client: anthropic.Anthropic, answer: Any) -> None:
    found = answer(client, "one two three", stop_sequences=["never", " two"])
    assert text_of(found) == "You said: one"
    assert (found.stop_reason, found.stop_sequence) == ("stop_sequence", " two")


def test_structured_output(client: anthropic.Anthropic) -> None:
    found = client.messages.parse(
        model="claude-x", max_tokens=100, messages=[{"role": "user", "content": "Where?"}], output_format=Dive
    )
    assert isinstance(found.parsed_output, Dive)


@pytest.mark.parametrize("answer", [ask, streamed])
@pytest.mark.parametrize(
    ("name", "reason"),
    [("incomplete", "max_tokens"), ("incomplete_content_filter", "refusal"), ("refusal", "refusal")],
)
def test_reasons_to_stop(client: anthropic.Anthropic, gateway: Gateway, answer: Any, name: str, reason: str) -> None:
    gateway.backend.script(stream(name))
    found = answer(client)
    assert found.stop_reason == reason
    assert text_of(found)


@pytest.mark.parametrize("answer", [ask, streamed])
def test_web_search(client: anthropic.Anthropic, gateway: Gateway, answer: Any) -> None:
    gateway.backend.script(stream("web_search"))
    search: Any = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    found = answer(client, "When is high water?", tools=[search], tool_choice={"type": "tool", "name": "web_search"})
    assert [block.type for block in found.content] == ["server_tool_use", "web_search_tool_result", "text"]
    assert found.content[1].content[0].url == "https://tides.example.net/esbjerg"
    assert found.content[2].citations[0].title == "Tides – Esbjerg"
    assert found.usage.server_tool_use.web_search_requests == 1
    assert found.stop_reason == "end_turn"
    again = [{"role": "user", "content": "When?"}, found.to_param(), {"role": "user", "content": "And low water?"}]
    assert text_of(answer(client, again)) == "You said: And low water?"


# --- Tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [ask, streamed])
@pytest.mark.parametrize("name", ["dive", LONG])
def test_the_tool_loop(client: anthropic.Anthropic, gateway: Gateway, answer: Any, name: str) -> None:
    asked: list[MessageParam] = [{"role": "user", "content": f"please {name}"}]
    first = answer(client, asked, tools=[tool(name)], tool_choice={"type": "tool", "name": name})
    assert first.stop_reason == "tool_use"
    [call] = first.content
    assert (call.type, call.name, list(call.input)) == ("tool_use", name, ["depth"])
    content: list[Any] = [
        {"type": "text", "text": "cold"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png("x")}},
    ]
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": content, "is_error": True}
    asked += [first.to_param(), {"role": "user", "content": [result]}]
    second = answer(client, asked, tools=[tool(name)])
    assert text_of(second) == "The tool said: The tool reported an error:\ncold"
    assert sent(gateway)["input"][-1]["output"][1]["type"] == "input_image"


@pytest.mark.parametrize("answer", [ask, streamed])
@pytest.mark.parametrize(("alone", "names"), [(False, ["dive", "walk"]), (True, ["dive"])])
def test_parallel_calls(client: anthropic.Anthropic, answer: Any, alone: bool, names: list[str]) -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": alone}
    found = answer(client, "dive and walk", tools=[tool(), tool("walk")], tool_choice=choice)
    assert [block.name for block in found.content] == names
    assert all(isinstance(block.input["depth"], int) for block in found.content)


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"type": "any"}, "tool_use"),
        ({"type": "tool", "name": "dive"}, "tool_use"),
        ({"type": "none"}, "end_turn"),
    ],
)
def test_tool_choice(client: anthropic.Anthropic, choice: Any, reason: str) -> None:
    assert ask(client, "dive", tools=[tool()], tool_choice=choice).stop_reason == reason


def test_the_tool_runner_of_the_sdk(client: anthropic.Anthropic, gateway: Gateway) -> None:
    """It asks for a thread that the server keeps, and goes on without one."""

    @anthropic.beta_tool
    def dive(depth: int) -> str:
        """Dives.

        Args:
            depth: How deep.
        """
        return f"went down {depth}"

    runner = client.beta.messages.tool_runner(
        model="claude-x", max_tokens=100, tools=[dive], messages=[{"role": "user", "content": "please dive"}]
    )
    last = runner.until_done()
    assert str(getattr(last.content[0], "text", "")).startswith("The tool said: went down ")
    assert [item["type"] for item in sent(gateway)["input"]] == ["message", "function_call", "function_call_output"]


def test_pictures_and_documents(client: anthropic.Anthropic, gateway: Gateway) -> None:
    content = [
        {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png("x")}},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {"type": "document", "source": FILE_PDF, "title": "Log"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Ahoy"}},
    ]
    ask(client, content)
    kinds = [part["type"] for part in sent(gateway)["input"][0]["content"]]
    assert kinds == ["input_text", "input_image", "input_image", "input_file", "input_text"]


# --- Small things -----------------------------------------------------------------------------------------------------


def test_tokens_are_counted(client: anthropic.Anthropic, gateway: Gateway) -> None:
    before = len(gateway.backend.requests)
    fixed: Any = {"model": "claude-x", "messages": [{"role": "user", "content": "How long is this?"}]}
    small = client.messages.count_tokens(**fixed).input_tokens
    assert client.messages.count_tokens(**fixed, tools=[tool()], system="Be brief.").input_tokens > small > 0
    assert len(gateway.backend.requests) == before


def test_what_has_no_effect_is_named(client: anthropic.Anthropic) -> None:
    raw = client.messages.with_raw_response.create(
        model="claude-x",
        max_tokens=10,
        messages=[{"role": "user", "content": "Hi"}],
        extra_body={"future_beta": {"x": 1}, "temperature": 0.5},
        extra_headers={"anthropic-beta": "some-beta-2027-01-01"},
    )
    assert raw.headers["x-gateway-ignored"] == "future_beta, max_tokens, temperature"
    assert raw.headers["request-id"] == raw.headers["x-request-id"]


# --- Failures ---------------------------------------------------------------------------------------------------------


def test_errors_are_the_sdks_own(client: anthropic.Anthropic, gateway: Gateway) -> None:
    with sdk(gateway, api_key="wrong-wrong-wrong") as stranger, pytest.raises(anthropic.AuthenticationError) as caught:
        ask(stranger)
    assert (caught.value.type, caught.value.request_id) == ("authentication_error", caught.value.body["request_id"])  # type: ignore[index]
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.messages.batches.list()
    assert missing.value.type == "not_found_error"
    with pytest.raises(anthropic.BadRequestError, match=r"max_tokens"):
        client.messages.create(model="claude-x", max_tokens=0, messages=[{"role": "user", "content": "Hi"}])
    with pytest.raises(anthropic.NotFoundError, match="no-such-model"):
        ask(client, model="no-such-model")


@pytest.mark.parametrize("answer", [ask, streamed])
def test_a_prompt_that_is_too_long(client: anthropic.Anthropic, gateway: Gateway, answer: Any) -> None:
    gateway.backend.script(stream("failed_context_length"))
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long: "):
        answer(client)


@pytest.mark.parametrize("name", ["failed_midstream", "truncated"])
def test_a_stream_that_breaks_says_so(client: anthropic.Anthropic, gateway: Gateway, name: str) -> None:
    gateway.backend.script(stream(name))
    said = ""
    messages: Any = [{"role": "user", "content": "Hi"}]
    with (
        pytest.raises(anthropic.APIStatusError) as caught,
        client.messages.stream(model="claude-x", max_tokens=9, messages=messages) as helper,
    ):
        for text in helper.text_stream:
            said += text
    assert said
    assert caught.value.type in ("api_error", "overloaded_error")
