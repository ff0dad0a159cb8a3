"""Searches, pictures and the flags for them, from the official SDK through a gateway to the backend, and on the demo
upstream."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any

import openai
import pytest
from anthropic.types import Message

from tests.fakes.codex_behaviours import stream
from tests.journeys.conftest import Start
from tests.journeys.gateway import Gateway

CODE = "function_code_interpreter"
SHOWN = re.compile(r"!\[image\]\((data:image/png;base64,([A-Za-z0-9+/=]+))\)")


def chat(gateway: Gateway, content: Any, *flags: str, **fields: Any) -> Any:
    messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
    asked: Any = {"extra_body": dict.fromkeys(flags, True), "model": "gpt-5.5", "messages": messages}
    return gateway.sdk().chat.completions.create(**asked, **fields)


def spoken(chunks: Any) -> tuple[str, list[Any], list[str]]:
    """(content, annotations, finish reasons) of a stream."""
    deltas = [(chunk.choices[0].delta, chunk.choices[0].finish_reason) for chunk in chunks]
    cited = [each for delta, _ in deltas for each in getattr(delta, "annotations", None) or ()]
    return "".join(delta.content or "" for delta, _ in deltas), cited, [reason for _, reason in deltas if reason]


def sent(gateway: Gateway) -> Any:
    return gateway.backend.generations[-1].json


@pytest.fixture
def demo(start: Start) -> Gateway:
    return start(chatgpt_access_tokens="")


def test_flags_become_tools_of_the_backend(gateway: Gateway) -> None:
    chat(gateway, "Hi", "function_web_search", "function_image_gen")
    assert sent(gateway)["tools"] == [{"type": "web_search"}, {"type": "image_generation"}]
    chat(gateway, "Hi", "function_web_search", tools=[{"type": "web_search_preview"}])
    assert sent(gateway)["tools"] == [{"type": "web_search"}]
    location = {"type": "approximate", "approximate": {"city": "Esbjerg"}}
    chat(gateway, "Hi", web_search_options={"search_context_size": "low", "user_location": location})
    near = {"type": "approximate", "city": "Esbjerg"}
    assert sent(gateway)["tools"] == [{"type": "web_search", "search_context_size": "low", "user_location": near}]


def test_a_flag_without_effect_is_no_tool(gateway: Gateway) -> None:
    answer = gateway.sdk().chat.completions.with_raw_response.create(
        model="gpt-5.5", messages=[{"role": "user", "content": "Hi"}], extra_body={"function_web_search": False}
    )
    assert "tools" not in sent(gateway) and "x-gateway-ignored" not in answer.headers


def test_a_search_is_cited_in_chat(gateway: Gateway) -> None:
    gateway.backend.script(stream("web_search"), stream("web_search"))
    message = chat(gateway, "High water?", "function_web_search").choices[0].message
    [cited] = message.annotations
    place = slice(cited.url_citation.start_index, cited.url_citation.end_index)
    assert message.content[place] == "(tides.example.net)"
    text, [streamed], reasons = spoken(chat(gateway, "High water?", "function_web_search", stream=True))
    assert (text, reasons) == (message.content, ["stop"])
    assert streamed == cited.model_dump()


def test_a_search_is_cited_in_responses(gateway: Gateway) -> None:
    gateway.backend.script(stream("web_search"), stream("web_search"))
    asked: Any = {"model": "gpt-5.5", "input": "High water?", "tools": [{"type": "web_search"}]}
    whole = gateway.sdk().responses.create(**asked)
    [cited] = whole.output[-1].content[0].annotations
    assert cited.type == "url_citation" and whole.output_text[cited.start_index :].startswith("(tides")
    events = list(gateway.sdk().responses.create(**asked, stream=True))
    [added] = [event.annotation for event in events if event.type == "response.output_text.annotation.added"]
    assert added.model_dump() == cited.model_dump()
    assert events[-1].response.output[-1].content[0].annotations == [cited]


def test_a_picture_comes_back_in_chat_and_goes_back_to_the_model(gateway: Gateway) -> None:
    gateway.backend.script(stream("image"), stream("image"))
    choice = chat(gateway, "A red boat", "function_image_gen").choices[0]
    match = SHOWN.fullmatch(choice.message.content)
    assert match is not None and b64decode(match[2]).startswith(b"\x89PNG")
    assert choice.finish_reason == "stop"
    text, _, reasons = spoken(chat(gateway, "A red boat", "function_image_gen", stream=True))
    assert (text, reasons) == (choice.message.content, ["stop"])
    history: list[Any] = [
        {"role": "user", "content": "A red boat"},
        choice.message.model_dump(exclude_none=True),
        {"role": "user", "content": "Make it blue"},
    ]
    chat(gateway, history, "function_image_gen")
    said, asked = sent(gateway)["input"][1:]
    assert said["content"] == [{"type": "output_text", "text": "[image 1]"}]
    assert [part.get("image_url") for part in asked["content"]] == [None, match[1]]


def test_a_picture_passes_in_responses(gateway: Gateway) -> None:
    tool: Any = {"type": "image_generation", "partial_images": 2}
    asked: Any = {"model": "gpt-5.5", "input": "An image_generation of a boat", "tools": [tool]}
    whole = gateway.sdk().responses.create(**asked)
    [item] = [item for item in whole.output if item.type == "image_generation_call"]
    assert b64decode(item.result or "").startswith(b"\x89PNG")
    events = list(gateway.sdk().responses.create(**asked, stream=True))
    partial = [event for event in events if event.type == "response.image_generation_call.partial_image"]
    assert [event.partial_image_index for event in partial] == [0, 1]
    assert all(b64decode(event.partial_image_b64).startswith(b"\x89PNG") for event in partial)
    results = [item.result for item in events[-1].response.output if item.type == "image_generation_call"]
    assert results == [item.result]
    replayed = [
        {"role": "user", "content": "A boat"},
        item.model_dump(exclude_none=True),
        {"role": "user", "content": "Blue"},
    ]
    gateway.sdk().responses.create(model="gpt-5.5", input=replayed)
    assert sent(gateway)["input"][1]["result"] == item.result


def test_a_picture_is_a_block_of_markdown_in_messages(gateway: Gateway) -> None:
    gateway.backend.script(stream("image"))
    asked = {"model": "gpt-5.5", "max_tokens": 99, "messages": [{"role": "user", "content": "A boat"}]}
    answer = gateway.send("POST", "/v1/messages", json=asked).json()
    [block] = Message.model_validate(answer).content
    assert block.type == "text" and SHOWN.fullmatch(block.text)


# --- Gateways of their own, behind all tests that share one -----------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"chatgpt_tools": "prompted"}, {"chatgpt_tools": "off"}])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_flag_that_the_upstream_has_no_tool_for_is_refused(
    start: Start, settings: dict[str, str], streamed: bool
) -> None:
    gateway = start(**settings)
    with pytest.raises(openai.BadRequestError) as caught:
        chat(gateway, "Hi", CODE, stream=streamed)
    assert caught.value.param == CODE and CODE in caught.value.message
    assert not gateway.backend.generations


def test_the_demo_upstream_draws(demo: Gateway) -> None:
    content = chat(demo, "A red boat", "function_image_gen").choices[0].message.content
    shown, text = content.split("\n\n")
    match = SHOWN.fullmatch(shown)
    assert match is not None and b64decode(match[2]).startswith(b"\x89PNG") and "You said: A red boat" in text
    streamed, _, reasons = spoken(chat(demo, "A red boat", "function_image_gen", stream=True))
    assert (streamed, reasons) == (content, ["stop"])


def test_the_demo_upstream_cites(demo: Gateway) -> None:
    message = chat(demo, "Any news?", "function_web_search").choices[0].message
    [cited] = message.annotations
    place = slice(cited.url_citation.start_index, cited.url_citation.end_index)
    assert (message.content[place], cited.url_citation.url) == (
        "Example Domain (https://example.org/)",
        "https://example.org/",
    )
    text, [streamed], _ = spoken(chat(demo, "Any news?", "function_web_search", stream=True))
    assert (text, streamed) == (message.content, cited.model_dump())


def test_the_demo_upstream_runs_no_code(demo: Gateway) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat(demo, "Hi", CODE)
    assert caught.value.param == CODE and "'demo'" in caught.value.message
