from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.upstreams.demo_requests import WEATHER, request, response, said, text


def test_a_tool_result_is_quoted() -> None:
    items = [
        said("get_weather"),
        {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "21 °C"},
    ]
    assert text(request(input=items, tools=[WEATHER])) == "The tool answered: 21 °C"
    shell = {"type": "local_shell_call_output", "call_id": "c", "output": "bin"}
    assert text(request(input=[said("weather"), shell], tools=[WEATHER])) == "The tool answered: bin"
    nothing = {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}}
    assert text(request(input=[said("weather"), nothing], tools=[WEATHER])) == "The tool sent no text."


def test_parts_that_are_no_text_are_counted() -> None:
    image, file = {"type": "input_image", "image_url": "data:,"}, {"type": "input_file", "file_data": "data:,"}
    brief = {"verbosity": "low"}

    def seen(*parts: dict[str, Any], **fields: Any) -> str:
        content = [*said("Look")["content"], *parts]
        return text(request(input=[{**said(""), "content": content}], **{"text": brief, **fields}))

    assert seen(image) == "You said: Look (with 1 image)"
    assert seen(image, image, file) == "You said: Look (with 2 images and 1 file)"
    assert msgspec.json.decode(seen(image, text={"format": {"type": "json_object"}}))["with"] == "1 image"
    assert text(request(input=[{**said(""), "content": [image]}], text=brief)) == "You sent no text (with 1 image)."


@pytest.mark.parametrize("content", [5, True, {"text": "x"}, None, [5, None, {"text": 7}]])
def test_items_of_any_shape_are_passed_over(content: Any) -> None:
    items = [said("Ahoy"), {"type": "foo", "content": content}, {"type": "foo", "output": content}]
    assert "You said: Ahoy" in text(request(input=items))


def test_the_input_of_a_long_conversation_is_estimated() -> None:
    def counted(times: int) -> int:
        tokens: int = response(request(input=[said("twelve bytes")] * times))["usage"]["input_tokens"]
        return tokens

    assert (counted(1), counted(1000), counted(50_000)) == (3, 3000, 150_000)
