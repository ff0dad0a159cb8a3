"""Hosted tools of the demo upstream: searches that say what they are, and real pictures."""

from __future__ import annotations

import zlib
from base64 import b64decode
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from lib.canonical.events import Collector
from lib.canonical.request import CanonicalRequest
from lib.errors import InvalidRequest
from tests.upstreams.demo_requests import WEATHER, events, request, response

SEARCH = {"type": "web_search"}
IMAGE = {"type": "image_generation"}
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def flagged(content: str, flag: str, tool: dict[str, Any], **fields: Any) -> CanonicalRequest:
    return request(content, tools=[tool], asked={"tools": flag}, **fields)


def kinds(asked: CanonicalRequest) -> list[str]:
    return [item["type"] for item in response(asked)["output"]]


def size_of(picture: str) -> tuple[int, int]:
    """Width and height of a PNG in base64 whose chunks are sound."""
    data, found = b64decode(picture), (0, 0)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place = 8
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        chunk = data[place + 4 : place + 8 + length]
        assert zlib.crc32(chunk) == int.from_bytes(data[place + 8 + length : place + 12 + length], "big")
        if chunk[:4] == b"IHDR":
            found = (int.from_bytes(chunk[4:8], "big"), int.from_bytes(chunk[8:12], "big"))
        place += length + 12
    assert chunk == b"IEND"
    return found


@pytest.mark.parametrize(
    "asked",
    [
        flagged("Ahoy", "function_image_gen", IMAGE),
        request("Ahoy", tools=[SEARCH, IMAGE], tool_choice=IMAGE),
        request("Ahoy", tools=[IMAGE], tool_choice="required"),
        request("Draw a boat", tools=[SEARCH, IMAGE]),
    ],
)
def test_a_picture_is_made_where_it_is_asked_for(asked: CanonicalRequest) -> None:
    assert kinds(asked) == ["image_generation_call", "message"]
    item = response(asked)["output"][0]
    assert size_of(item["result"]) == (256, 256)
    assert (item["status"], item["size"], item["output_format"]) == ("completed", "256x256", "png")
    assert item["revised_prompt"] in ("Ahoy", "Draw a boat")


@pytest.mark.parametrize(
    "asked",
    [
        flagged("Ahoy", "function_web_search", SEARCH),
        flagged("Ahoy", "web_search_options", SEARCH),
        request("Ahoy", tools=[{"type": "web_search_preview"}], tool_choice="required"),
        request("Search for news", tools=[IMAGE, SEARCH]),
    ],
)
def test_a_search_cites_its_page_and_says_what_it_is(asked: CanonicalRequest) -> None:
    assert kinds(asked) == ["web_search_call", "message"]
    search, message = response(asked)["output"]
    assert search["action"]["sources"] == [{"type": "url", "url": "https://example.org/"}]
    [part] = message["content"]
    [cited] = part["annotations"]
    assert "Nothing was searched" in part["text"]
    assert part["text"][cited["start_index"] : cited["end_index"]] == "Example Domain (https://example.org/)"
    assert (cited["type"], cited["url"]) == ("url_citation", "https://example.org/")


@pytest.mark.parametrize("tool", [SEARCH, IMAGE, {"type": "code_interpreter"}])
def test_a_tool_that_nobody_asked_for_is_left_alone(tool: dict[str, Any]) -> None:
    assert kinds(request(tools=[tool])) == kinds(request("Draw a picture, search", tools=[tool], tool_choice="none"))
    assert kinds(request(tools=[tool])) == ["message"]


def test_functions_come_first_and_nothing_is_played_behind_a_tools_output() -> None:
    assert kinds(flagged("the weather", "function_image_gen", IMAGE)) == ["image_generation_call", "message"]
    both = request("the weather", tools=[WEATHER, IMAGE], asked={"tools": "function_image_gen, tools"})
    assert kinds(both) == ["function_call"]
    call = {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "sunny"}
    assert kinds(request(tools=[WEATHER, IMAGE], input=[call, output], asked=both.asked)) == ["message"]


def test_several_tools_are_played_once_each() -> None:
    asked = request("Search, then draw an image", tools=[IMAGE, IMAGE, SEARCH])
    assert kinds(asked) == ["image_generation_call", "web_search_call", "message"]
    one = request("Search, then draw an image", tools=[IMAGE, SEARCH], parallel_tool_calls=False)
    assert kinds(one) == ["image_generation_call", "message"]


@pytest.mark.parametrize(
    "asked",
    [
        flagged("Hi", "function_web_search", SEARCH, reasoning={"effort": "low"}),
        request("Search, then draw an image", tools=[SEARCH, {**IMAGE, "partial_images": 2}]),
    ],
)
def test_the_stream_keeps_the_protocol_and_adds_up_to_the_answer(asked: CanonicalRequest) -> None:
    made = events(asked)
    collector = Collector()
    for event in made:
        EVENTS.validate_json(event.data)
        collector.feed(event)
    whole = made[-1].fields["response"]
    Response.model_validate(whole)
    assert [event.fields["sequence_number"] for event in made] == list(range(len(made)))
    assert collector.output({**whole, "output": []}) == whole["output"]
    part = next(event.fields["part"] for event in made if event.type == "response.content_part.done")
    assert [part] == whole["output"][-1]["content"]
    cited = [event.fields["annotation"] for event in made if event.type == "response.output_text.annotation.added"]
    assert cited == part["annotations"] != []


@pytest.mark.parametrize(("wanted", "count"), [(None, 0), (2, 2), (99, 3), (-1, 0), ("x", 0)])
def test_partial_pictures_come_where_they_are_wanted(wanted: Any, count: int) -> None:
    made = events(request("draw", tools=[{**IMAGE, "partial_images": wanted}]))
    found = [event.fields for event in made if event.type == "response.image_generation_call.partial_image"]
    assert [each["partial_image_index"] for each in found] == list(range(count))
    assert {size_of(each["partial_image_b64"]) for each in found} <= {(256, 256)}
    assert len({each["partial_image_b64"] for each in found}) == count


def test_a_flag_for_a_tool_that_cannot_be_played_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidRequest) as caught:
        events(flagged("Hi", "function_code_interpreter", {"type": "code_interpreter"}))
    assert (caught.value.param, caught.value.code) == ("function_code_interpreter", "unsupported_value")


def test_nothing_is_cited_where_the_text_has_no_place_for_it() -> None:
    schema = {"format": {"type": "json_object"}}
    for fields in ({"text": schema}, {"parameters": {"stop": "searched"}}, {"parameters": {"max_output_tokens": 3}}):
        item = response(flagged("Hi", "function_web_search", SEARCH, **fields))["output"][-1]
        assert item["content"][0]["annotations"] == []
