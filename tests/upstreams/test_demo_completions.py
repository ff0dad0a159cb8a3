from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai.types import Completion

from tests.upstreams.demo_forwarding import asked, frames, refused, sdk

PATH = "/completions"


def made(**members: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(asked(PATH, **{"prompt": "Ahoy", **members})[1])
    return found


def chunks(**members: Any) -> list[Any]:
    return frames(asked(PATH, **{"prompt": "Ahoy", "stream": True, **members})[1])


def test_the_sdk_gets_an_honest_text() -> None:
    with sdk() as client:
        raw = client.completions.with_raw_response.create(model="gpt-3.5-turbo-instruct", prompt="Ahoy 🌊")
    found = Completion.model_validate_json(raw.content, strict=True)
    assert (found.id, found.created, found.model) == ("cmpl-x1", 1_795_000_000, "gpt-3.5-turbo-instruct")
    [choice] = found.choices
    assert "demo upstream" in choice.text
    assert "The prompt was: Ahoy 🌊" in choice.text
    assert choice.finish_reason == "stop"
    assert found.usage is not None
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens


def test_a_stream_says_the_same() -> None:
    whole = made(n=2, echo=True)["choices"]
    with sdk() as client:
        said = {0: "", 1: ""}
        for chunk in client.completions.create(model="m", prompt="Ahoy", n=2, echo=True, stream=True):
            for choice in chunk.choices:
                said[choice.index] += choice.text
    assert said == {choice["index"]: choice["text"] for choice in whole}


def test_a_stream_ends_with_reasons_and_usage_if_asked() -> None:
    *parts, ending, counted, done = chunks(stream_options={"include_usage": True})
    assert done == "[DONE]"
    assert all(part["usage"] is None and part["choices"][0]["finish_reason"] is None for part in parts)
    assert ending["choices"] == [{"text": "", "index": 0, "logprobs": None, "finish_reason": "stop"}]
    assert counted["choices"] == []
    assert counted["usage"] == made()["usage"]
    assert "usage" not in chunks()[0]


def test_prompts_and_n_multiply() -> None:
    found = made(prompt=["one", "two"], n=2)
    assert [choice["index"] for choice in found["choices"]] == [0, 1, 2, 3]
    assert ["one" in choice["text"] for choice in found["choices"]] == [True, True, False, False]
    assert found["usage"]["prompt_tokens"] == 2


@pytest.mark.parametrize(
    ("prompt", "quoted"),
    [(None, "was empty."), ("", "was empty."), ([1, 2], "[2 tokens]"), ([[1], [2, 3]], "[1 tokens]"), (["a"], "a")],
)
def test_all_kinds_of_prompts_are_taken(prompt: Any, quoted: str) -> None:
    assert made(prompt=prompt)["choices"][0]["text"].endswith(quoted)


@pytest.mark.parametrize(
    ("members", "text", "reason"),
    [
        ({"max_tokens": 2}, " Hello from", "length"),
        ({"max_tokens": 0, "echo": True}, "Ahoy", "length"),
        ({"max_tokens": 10**30, "stop": " from"}, " Hello", "stop"),
        ({"stop": ["zebra", "demo", ""]}, " Hello from the ", "stop"),
        ({"stop": " Hello", "echo": True}, "Ahoy", "stop"),
    ],
)
def test_the_text_ends_where_the_caller_wants(members: dict[str, Any], text: str, reason: str) -> None:
    [choice] = made(**members)["choices"]
    assert (choice["text"], choice["finish_reason"]) == (text, reason)
    streamed = chunks(**members)[:-1]
    assert "".join(chunk["choices"][0]["text"] for chunk in streamed) == text
    assert streamed[-1]["choices"][0]["finish_reason"] == reason


@pytest.mark.parametrize(
    ("members", "param", "code"),
    [
        ({"prompt": 5}, "prompt", "invalid_type"),
        ({"prompt": []}, "prompt", "empty_array"),
        ({"prompt": ["a", None]}, "prompt", "invalid_type"),
        ({"prompt": "x" * 65_537}, "prompt", "context_length_exceeded"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"n": 129}, "n", "integer_above_max_value"),
        ({"n": 100, "prompt": ["a", "b"]}, "n", "invalid_value"),
        ({"max_tokens": -1}, "max_tokens", "integer_below_min_value"),
        ({"stop": [1]}, "stop", "invalid_type"),
        ({"stop": {"a": 1}}, "stop", "invalid_type"),
        ({"stop": ["a"] * 5}, "stop", "array_above_max_length"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream": True, "stream_options": []}, "stream_options", "invalid_type"),
        ({"echo": 1}, "echo", "invalid_type"),
    ],
)
def test_what_the_api_refuses_is_refused(members: dict[str, Any], param: str, code: str) -> None:
    error = refused(PATH, **{"prompt": "a", **members})
    assert (error.status, error.param, error.code) == (400, param, code)
