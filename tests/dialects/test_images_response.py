"""Pictures in the shapes that the official package reads."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from openai.types import (
    ImageEditCompletedEvent,
    ImageEditPartialImageEvent,
    ImageGenCompletedEvent,
    ImageGenPartialImageEvent,
    ImagesResponse,
)

from lib.canonical.images import FinishedImage, ImagesRequest, ImagesResult, PartialImage
from lib.dialects import images_response
from lib.errors import GatewayError
from lib.sse import Decoder
from tests.canonical.pictures import png

B64 = base64.b64encode(png(640, 480)).decode()
USAGE = {
    "input_tokens": 1,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 1},
    "output_tokens": 2,
    "total_tokens": 3,
}


def asked(**parameters: Any) -> ImagesRequest:
    return ImagesRequest(model=None, prompt="p", is_edit=parameters.pop("is_edit", False), parameters=parameters)


def events(sent: bytes) -> list[tuple[str, dict[str, Any]]]:
    return [(name.decode(), msgspec.json.decode(data)) for name, data in Decoder(1 << 20).feed(sent)]


def test_a_whole_answer_names_what_is_known() -> None:
    pictures = (FinishedImage(B64, revised_prompt="a cat"), FinishedImage(url="https://a.example/b.png"))
    body = images_response.whole(ImagesResult(created=5, pictures=pictures, quality="high", usage=USAGE))
    assert body == {
        "created": 5,
        "data": [{"b64_json": B64, "revised_prompt": "a cat"}, {"url": "https://a.example/b.png"}],
        **{"quality": "high", "size": "640x480", "output_format": "png", "usage": USAGE},
    }
    ImagesResponse.model_validate(body, strict=True)


def test_addresses_alone_say_nothing_of_the_look() -> None:
    body = images_response.whole(ImagesResult(created=5, pictures=(FinishedImage(url="https://a.example/b.png"),)))
    assert body == {"created": 5, "data": [{"url": "https://a.example/b.png"}]}


@pytest.mark.parametrize(
    ("is_edit", "partial", "completed"),
    [
        (False, ImageGenPartialImageEvent, ImageGenCompletedEvent),
        (True, ImageEditPartialImageEvent, ImageEditCompletedEvent),
    ],
)
def test_events_fit_the_packages_types(is_edit: bool, partial: Any, completed: Any) -> None:
    request = asked(is_edit=is_edit, quality="high")
    ((name, fields),) = events(images_response.partial(request, PartialImage(B64, 1, size="9x9"), 7))
    assert name == fields["type"]
    found = partial.model_validate(fields, strict=True)
    assert (found.partial_image_index, found.created_at, found.size, found.quality) == (1, 7, "9x9", "high")
    result = ImagesResult(created=5, pictures=(FinishedImage(B64, revised_prompt="cat"),), usage=USAGE)
    ((name, fields),) = events(images_response.completed(request, result))
    found = completed.model_validate(fields, strict=True)
    assert (found.size, found.output_format, found.background) == ("640x480", "png", "auto")
    assert (found.b64_json, found.usage.total_tokens, fields["revised_prompt"]) == (B64, 3, "cat")


def test_usage_stands_at_the_last_picture_and_is_never_missing() -> None:
    result = ImagesResult(created=5, pictures=(FinishedImage(B64), FinishedImage(B64)), usage=USAGE)
    first, last = events(images_response.completed(asked(), result))
    assert (first[1]["usage"]["total_tokens"], last[1]["usage"]) == (0, USAGE)
    ImageGenCompletedEvent.model_validate(first[1], strict=True)


def test_a_broken_stream_ends_with_an_error() -> None:
    ((name, fields),) = events(images_response.failed(GatewayError("it broke", code="upstream_error")))
    assert (name, fields["type"], fields["error"]["message"]) == ("error", "error", "it broke")
