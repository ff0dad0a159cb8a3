from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from lib.types import Upstream
from lib.upstreams.demo import DemoUpstream
from lib.values import replace
from tests.canonical.agreement import accumulated, assert_agreement
from tests.upstreams.demo_requests import LEASE, LONG, WEATHER, batches, events, request, response, said, text


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


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"reasoning": {"summary": "auto"}},
        {"reasoning": {"effort": "high"}, "tools": [WEATHER, LONG], "tool_choice": "required"},
        {"tools": [WEATHER, {"type": "custom", "name": "Ahoy"}]},
        {"parameters": {"max_output_tokens": 2}},
        {"parameters": {"stop": "Hello"}},
    ],
)
def test_every_stream_agrees_with_itself_and_with_the_official_accumulator(fields: dict[str, Any]) -> None:
    made = events(request(**fields))
    assert_agreement(made)
    for snapshot, item in zip(accumulated(made), made[-1].fields["response"]["output"], strict=True):
        assert snapshot.id == item["id"]
        if item["type"] == "message":
            assert snapshot.content[0].text == item["content"][0]["text"]
        if item["type"] == "function_call":
            assert snapshot.arguments == item["arguments"]


@pytest.mark.parametrize(("model", "reported"), [(None, "demo-mini"), ("gpt-5.5", "gpt-5.5")])
def test_any_model_name_is_reported_back(model: str | None, reported: str) -> None:
    assert response(request(model=model))["model"] == reported


def test_each_word_is_a_batch_after_its_pause() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    asked = request(text={"verbosity": "low"}, stream=True)
    made = batches(asked, word_s=0.5, sleep=sleep)
    assert pauses == [0.5] * (len(made) - 2)
    assert len(made) == 6  # start, "You", " said:", " Ahoy", " 🌊", the end
    pauses.clear()
    assert len(batches(replace(asked, stream=False), word_s=0.5, sleep=sleep)) == len(made)
    assert not pauses, "nobody watches the words of a whole answer"


@pytest.mark.parametrize("fields", [{}, {"tools": [LONG], "tool_choice": "required"}])
def test_max_output_tokens_cuts_the_answer(fields: dict[str, Any]) -> None:
    cut = response(request(parameters={"max_output_tokens": 1}, **fields))
    assert cut["status"] == "incomplete"
    assert cut["incomplete_details"] == {"reason": "max_output_tokens"}
    assert cut["output"][0]["status"] == "incomplete"
    assert cut["usage"]["output_tokens"] == 1


def test_a_budget_that_suffices_cuts_nothing() -> None:
    whole = response(request())
    for budget in (whole["usage"]["output_tokens"], 2**63, 10**400):
        assert response(request(parameters={"max_output_tokens": budget}))["status"] == "completed"


def many_tools() -> dict[str, Any]:
    return {"tools": [{"type": "function", "name": f"look_up_{number}"} for number in range(1000)]}


def many_allowed() -> dict[str, Any]:
    allowed = [{"type": "function", "name": f"other_{number}"} for number in range(20_000)]
    return {**many_tools(), "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": allowed}}


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ("word " * 800_000, many_tools()),
        ("a" * 4_000_000, many_tools()),
        ("Hi", many_allowed()),
        ("", {"input": [said("Hi")] * 100_000}),
        ("", {"input": [{**said("Hi"), "content": said("Hi")["content"] * 100_000}]}),
    ],
    ids=["long text", "long word", "allowed tools", "messages", "parts"],
)
def test_nothing_that_fits_into_a_request_takes_long(content: str, fields: dict[str, Any]) -> None:
    asked = request(content, **fields) if content else request(**fields)
    began = time.process_time()
    assert "You said" in text(asked)
    assert time.process_time() - began < 5


def test_closing_early_ends_the_answer() -> None:
    async def leave() -> int:
        answer = await DemoUpstream(word_s=0).open(request(), LEASE, timeout_s=1)
        async for _ in answer:
            break
        await answer.aclose()
        return len([batch async for batch in answer])

    assert asyncio.run(leave()) == 0
