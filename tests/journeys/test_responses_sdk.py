"""Responses through the official SDK: its models and its stream accumulator check the fields, these tests the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pydantic
import pytest
from openai.types.responses import Response

from tests.fakes.codex_behaviours import stream
from tests.fakes.codex_requests import PNG
from tests.journeys.gateway import Gateway
from tests.journeys.seen import PATHS, body_of, events_of

LONG = "mcp__" + "a_server_with_a_long_name__" * 3 + "dive"
DEPTH = {"type": "object", "properties": {"depth": {"type": "integer"}}, "required": ["depth"]}
WHOLE = {
    *("id", "object", "created_at", "status", "error", "incomplete_details", "instructions", "model", "output"),
    *("parallel_tool_calls", "tool_choice", "tools", "temperature", "top_p", "max_output_tokens", "text", "truncation"),
    *("previous_response_id", "reasoning", "usage", "metadata"),
}


class Dive(pydantic.BaseModel):
    place: str
    depth: int


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    yield gateway.sdk()


def tool(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": DEPTH, **fields}


def whole(client: openai.OpenAI, input: Any = "Hi", **fields: Any) -> Response:
    found: Response = client.responses.create(**{"model": "gpt-5.5", "input": input, **fields})
    return found


def streamed(client: openai.OpenAI, input: Any = "Hi", **fields: Any) -> Response:
    """By the SDK's accumulator; its events must hold together."""
    with client.responses.stream(**{"model": "gpt-5.5", "input": input, **fields}) as events:
        kinds = [event.type for event in events]
        final: Response = events.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] in ("response.completed", "response.incomplete")
    return final


ASK = pytest.mark.parametrize("ask", [whole, streamed])


def sent(gateway: Gateway) -> Any:
    """The newest body that reached the backend."""
    return gateway.backend.generations[-1].json


@ASK
def test_text(client: openai.OpenAI, ask: Any) -> None:
    answer = ask(client, "Ærø ⛴️ 🌊 𝄞")
    assert answer.output_text == "You said: Ærø ⛴️ 🌊 𝄞"
    assert answer.usage.output_tokens_details.reasoning_tokens == 0
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


@ASK
def test_answer_is_complete_and_echoes_what_was_asked(client: openai.OpenAI, ask: Any) -> None:
    answer = ask(client, temperature=0.3, metadata={"a": "b"}, max_output_tokens=9, instructions="Be brief.")
    assert set(answer.model_dump()) >= WHOLE
    assert WHOLE <= answer.model_fields_set
    assert (answer.temperature, answer.metadata, answer.max_output_tokens) == (0.3, {"a": "b"}, 9)
    assert answer.instructions == "Be brief."


def test_list_input_with_an_image(client: openai.OpenAI, gateway: Gateway) -> None:
    content = [{"type": "input_text", "text": "Look"}, {"type": "input_image", "image_url": PNG, "detail": "auto"}]
    assert whole(client, [{"role": "user", "content": content}]).output_text == "You said: Look"
    assert sent(gateway)["input"][0]["content"] == content


def test_deltas_join_to_the_text(gateway: Gateway) -> None:
    events = events_of(gateway.send("POST", PATHS["responses"], json=body_of("responses", "a  b\n🌊 c", stream=True)))
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    [done] = [event["text"] for event in events if event["type"] == "response.output_text.done"]
    assert "".join(deltas) == done == "You said: a  b\n🌊 c"
    places = {(event["item_id"], event["output_index"]) for event in events if "output_text" in event["type"]}
    assert len(places) == 1


@ASK
@pytest.mark.parametrize("name", ["dive", LONG])
def test_tool_loop(client: openai.OpenAI, gateway: Gateway, ask: Any, name: str) -> None:
    tools = [tool(name)]
    first = ask(client, "dive", tools=tools, tool_choice={"type": "function", "name": name})
    [call] = [item for item in first.output if item.type == "function_call"]
    assert call.name == name
    turn: list[Any] = [{"role": "user", "content": "dive"}, *first.output]
    turn.append({"type": "function_call_output", "call_id": call.call_id, "output": "40 m"})
    assert ask(client, turn, tools=tools).output_text == "The tool said: 40 m"
    assert sent(gateway)["tools"][0]["strict"] is False


@ASK
def test_parallel_calls(client: openai.OpenAI, ask: Any) -> None:
    answer = ask(client, "dive and walk", tools=[tool("dive"), tool("walk")])
    assert [item.name for item in answer.output if item.type == "function_call"] == ["dive", "walk"]


@ASK
def test_custom_tool_loop(client: openai.OpenAI, ask: Any) -> None:
    tools = [{"type": "custom", "name": "exec_command", "description": "Runs."}]
    first = ask(client, "exec_command it", tools=tools)
    [call] = [item for item in first.output if item.type == "custom_tool_call"]
    assert (call.name, call.input) == ("exec_command", "*** input\nexec_command it\n")
    turn: list[Any] = [{"role": "user", "content": "x"}, *first.output]
    turn.append({"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"})
    assert ask(client, turn, tools=tools).output_text == "The tool said: done"


@ASK
def test_encrypted_reasoning_is_replayed_to_its_account(client: openai.OpenAI, gateway: Gateway, ask: Any) -> None:
    fields: Any = {"reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    first = ask(client, "Think", **fields)
    [reasoning] = [item for item in first.output if item.type == "reasoning"]
    assert reasoning.encrypted_content and [part.text for part in reasoning.summary][1] == "**Answering**"
    turn = [{"role": "user", "content": "Think"}, *first.output, {"role": "user", "content": "More"}]
    assert ask(client, turn, **fields).output_text == "You said: More"
    before, after = gateway.backend.generations[-2:]
    assert before.account == after.account
    replayed = [item["encrypted_content"] for item in after.json["input"] if item["type"] == "reasoning"]
    assert replayed == [reasoning.encrypted_content]


@ASK
def test_web_search(client: openai.OpenAI, gateway: Gateway, ask: Any) -> None:
    answer = ask(client, "tides", tools=[{"type": "web_search_preview"}])
    [search] = [item for item in answer.output if item.type == "web_search_call"]
    assert search.action.query == "tides"
    assert answer.output_text == "You said: tides"
    assert sent(gateway)["tools"] == [{"type": "web_search"}]


def test_image_events_pass(client: openai.OpenAI) -> None:
    tools: Any = [{"type": "image_generation", "partial_images": 2}]
    events = list(client.responses.create(model="gpt-5.5", input="image_generation", tools=tools, stream=True))
    partial = [event for event in events if event.type == "response.image_generation_call.partial_image"]
    assert [event.partial_image_index for event in partial] == [0, 1]
    last = events[-1]
    assert last.type == "response.completed"
    [image] = [item for item in last.response.output if item.type == "image_generation_call"]
    assert image.result and image.result.startswith("iVBOR")


@ASK
def test_structured_output(client: openai.OpenAI, ask: Any) -> None:
    shape = {"type": "json_schema", "name": "dive", "schema": DEPTH}
    assert ask(client, "Where?", text={"format": shape}).output_text.startswith('{"depth"')


def test_parse_helper(client: openai.OpenAI) -> None:
    answer = client.responses.parse(model="gpt-5.5", input="Where?", text_format=Dive)
    assert isinstance(answer.output_parsed, Dive)


def _without(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_without(each, names) for each in value]
    return {k: _without(v, names) for k, v in value.items() if k not in names} if isinstance(value, dict) else value


@pytest.mark.parametrize(
    "name", ["text", "reasoning", "function_call", "parallel_calls", "refusal", "custom_tool_call"]
)
def test_recorded_streams_pass_the_accumulator(client: openai.OpenAI, gateway: Gateway, name: str) -> None:
    gateway.backend.script(stream(name), stream(name))
    one, other = streamed(client), whole(client)
    helpers = ("parsed", "parsed_arguments")  # the accumulator's own members
    assert _without(one.to_dict()["output"], helpers) == _without(other.to_dict()["output"], helpers) != []


@pytest.mark.parametrize("name", ["web_search", "image", "empty_completed_output"])
def test_more_recorded_streams(client: openai.OpenAI, gateway: Gateway, name: str) -> None:
    gateway.backend.script(stream(name))
    assert streamed(client).output


@pytest.mark.parametrize("name", ["incomplete", "incomplete_content_filter"])
def test_incomplete_answers(client: openai.OpenAI, gateway: Gateway, name: str) -> None:
    gateway.backend.script(stream(name), stream(name))
    answer = whole(client)
    assert answer.status == "incomplete" and answer.incomplete_details is not None
    *_, last = client.responses.create(model="gpt-5.5", input="Hi", stream=True)
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details == answer.incomplete_details


@pytest.mark.parametrize(
    "field", [{"previous_response_id": "resp_1"}, {"background": True}, {"conversation": "conv_1"}], ids=str
)
def test_what_needs_state_is_refused(client: openai.OpenAI, field: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        whole(client, **field)
    assert refusal.value.param == next(iter(field))


def test_what_has_no_effect_is_named(client: openai.OpenAI) -> None:
    raw = client.responses.with_raw_response.create(model="gpt-5.5", input="Hi", temperature=0.2, extra_body={"x": 1})
    assert raw.headers["x-gateway-ignored"] == "temperature, x"


def test_a_request_as_the_codex_cli_sends_it(client: openai.OpenAI) -> None:
    """No instructions, a namespace tool, a developer message, `store: false` and what belongs to its own session."""
    namespace = {"type": "namespace", "name": "files", "description": "Files.", "tools": [tool("read", strict=False)]}
    developer = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>"}]}
    user = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    answer = streamed(
        client,
        [developer, user],
        tools=[tool("shell", strict=False), namespace, {"type": "local_shell"}],
        tool_choice="auto",
        parallel_tool_calls=False,
        store=False,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="0199-made-up",
        reasoning={"effort": "low", "summary": "auto"},
        extra_body={"client_metadata": {"x-codex-installation-id": "made-up"}},
    )
    assert answer.output_text == "You said: Hi"


def test_asynchronous_client(gateway: Gateway) -> None:
    async def journey() -> str:
        options: Any = {"base_url": f"{gateway.url}/v1", "api_key": gateway.key, "max_retries": 0}
        async with openai.AsyncOpenAI(**options) as client:
            async with client.responses.stream(model="gpt-5.5", input="Hi") as events:
                return (await events.get_final_response()).output_text

    assert asyncio.run(journey()) == "You said: Hi"
