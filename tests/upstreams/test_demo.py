from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.errors import InvalidRequest
from lib.types import Lease, Upstream
from lib.upstreams.demo import DemoUpstream

LEASE = Lease("a1-demo", "demo", {})
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}

LONG = {"type": "function", "name": "f", "parameters": {"type": "object", "required": ["first_argument", "second"]}}


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def request(content: str = "Ahoy 🌊", **fields: Any) -> CanonicalRequest:
    return CanonicalRequest(**{"model": "gpt-any", "input": [said(content)], **fields})


def batches(asked: CanonicalRequest, **options: Any) -> list[list[Event]]:
    async def read() -> list[list[Event]]:
        upstream = DemoUpstream(**{"word_s": 0, "new_id": lambda: "x1", "now": lambda: 1_795_000_000.0, **options})
        answer = await upstream.open(asked, LEASE, timeout_s=1)
        try:
            return [batch async for batch in answer]
        finally:
            await answer.aclose()

    return asyncio.run(read())


def events(asked: CanonicalRequest) -> list[Event]:
    return [event for batch in batches(asked) for event in batch]


def response(asked: CanonicalRequest) -> dict[str, Any]:
    found: dict[str, Any] = events(asked)[-1].fields["response"]
    return found


def text(asked: CanonicalRequest) -> str:
    [message] = response(asked)["output"]
    found: str = message["content"][0]["text"]
    return found


def test_it_is_an_upstream() -> None:
    upstream: Upstream = DemoUpstream()
    assert upstream.name == "demo"
    models = asyncio.run(upstream.models(LEASE))
    assert [model.id for model in models] == ["demo-mini", "demo-large"]


def test_it_says_what_it_is_and_quotes_the_user() -> None:
    asked = request(instructions="Be brief")
    assert "demo upstream" in text(asked)
    assert "You said: Ahoy 🌊" in text(asked)
    assert "8 characters" in text(asked)
    assert len(text(request("long " * 1000))) < 1000
    assert batches(asked)[-1][-1].data == batches(asked)[-1][-1].data


def test_the_stream_keeps_the_canonical_contract() -> None:
    made = events(request(reasoning={"effort": "low", "summary": "auto"}))
    assert [event.fields["sequence_number"] for event in made] == list(range(len(made)))
    assert (made[0].type, made[-1].type) == ("response.created", "response.completed")
    adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for event in made:
        adapter.validate_json(event.data)
    deltas = "".join(event.fields["delta"] for event in made if event.type == "response.output_text.delta")
    reasoning, message = made[-1].fields["response"]["output"]
    assert deltas == message["content"][0]["text"]
    assert reasoning["summary"][0]["text"]
    usage = made[-1].fields["response"]["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_tokens_details"]["reasoning_tokens"] > 0


@pytest.mark.parametrize(("model", "reported"), [(None, "demo-mini"), ("gpt-5.5", "gpt-5.5")])
def test_any_model_name_is_reported_back(model: str | None, reported: str) -> None:
    assert response(request(model=model))["model"] == reported


def test_each_word_is_a_batch_after_its_pause() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    made = batches(request(text={"verbosity": "low"}), word_s=0.5, sleep=sleep)
    assert pauses == [0.5] * (len(made) - 2)
    assert len(made) == 6  # start, "You", " said:", " Ahoy", " 🌊", the end


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
def test_a_demanded_tool_is_called_with_fitting_arguments(choice: Any) -> None:
    [call] = response(request(tools=[WEATHER], tool_choice=choice))["output"]
    assert (call["name"], msgspec.json.decode(call["arguments"])) == ("get_weather", {"city": "demo"})


def test_named_tools_are_called_and_others_not() -> None:
    tools = [WEATHER, {**WEATHER, "name": "get_time"}]
    both = request("get_weather and get_time", tools=tools)
    assert [item["name"] for item in response(both)["output"]] == ["get_weather", "get_time"]
    assert len(response(request("get_weather and get_time", tools=tools, parallel_tool_calls=False))["output"]) == 1
    assert "You said" in text(request("get_weather2", tools=tools))
    assert "You said" in text(request("get_weather", tools=tools, tool_choice="none"))


def test_allowed_tools_narrow_the_choice() -> None:
    tools = [WEATHER, {**WEATHER, "name": "get_time"}]
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get_time"}]}
    assert response(request(tools=tools, tool_choice=allowed))["output"][0]["name"] == "get_time"


def test_a_custom_tool_gets_text() -> None:
    [call] = response(request("run shout", tools=[{"type": "custom", "name": "shout"}]))["output"]
    assert call["type"] == "custom_tool_call"
    assert call["input"].endswith("run shout")


@pytest.mark.parametrize(
    "tool",
    [{"type": "web_search"}, {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark"}}],
)
def test_a_demanded_tool_that_cannot_be_played_is_refused(tool: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        events(request(tools=[tool], tool_choice="required"))
    assert caught.value.param == "tool_choice"
    assert "You said" in text(request(tools=[tool]))


def test_a_tool_result_is_quoted() -> None:
    items = [
        said("get_weather"),
        {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "21 °C"},
    ]
    assert text(request(input=items, tools=[WEATHER])) == "The tool answered: 21 °C"


def test_formats_get_fitting_json() -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    wanted = {"format": {"type": "json_schema", "name": "s", "schema": schema}}
    assert msgspec.json.decode(text(request(text=wanted))) == {"ok": True}
    assert msgspec.json.decode(text(request(text={"format": {"type": "json_object"}})))["you_said"] == "Ahoy 🌊"


def test_a_malformed_schema_is_the_callers_fault() -> None:
    wanted = {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object", "properties": 7}}}
    with pytest.raises(InvalidRequest):
        events(request(text=wanted))


@pytest.mark.parametrize("fields", [{}, {"tools": [LONG], "tool_choice": "required"}])
def test_max_output_tokens_cuts_the_answer(fields: dict[str, Any]) -> None:
    cut = response(request(parameters={"max_output_tokens": 1}, **fields))
    assert cut["status"] == "incomplete"
    assert cut["incomplete_details"] == {"reason": "max_output_tokens"}
    assert cut["output"][0]["status"] == "incomplete"
    assert cut["usage"]["output_tokens"] == 1


def test_a_budget_that_suffices_cuts_nothing() -> None:
    whole = response(request())
    exact = request(parameters={"max_output_tokens": whole["usage"]["output_tokens"]})
    assert response(exact)["status"] == "completed"


@pytest.mark.parametrize("stop", ["upstream", ["zzz", "upstream"]])
def test_stop_sequences_end_the_text(stop: Any) -> None:
    assert text(request(parameters={"stop": stop})) == "Hello from the demo "
    assert text(request(parameters={"stop": "Hello"})) == ""


def test_no_reasoning_unless_asked_or_when_the_budget_is_small() -> None:
    asked = {"effort": "high"}
    assert [item["type"] for item in response(request(reasoning=asked))["output"]] == ["reasoning", "message"]
    assert len(response(request(reasoning={"effort": "none", "summary": "auto"}))["output"]) == 1
    assert len(response(request(reasoning=asked, parameters={"max_output_tokens": 2}))["output"]) == 1


def test_closing_early_ends_the_answer() -> None:
    async def leave() -> int:
        answer = await DemoUpstream(word_s=0).open(request(), LEASE, timeout_s=1)
        async for _ in answer:
            break
        await answer.aclose()
        return len([batch async for batch in answer])

    assert asyncio.run(leave()) == 0
