from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai.types import ModerationCreateResponse

from tests.upstreams.demo_forwarding import asked, refused, sdk

PATH = "/moderations"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TEXT = {"type": "text", "text": "hello"}


def results(input: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = msgspec.json.decode(asked(PATH, input=input)[1])["results"]
    return found


def test_nothing_is_ever_flagged_in_the_official_shape() -> None:
    with sdk() as client:
        raw = client.moderations.with_raw_response.create(model="omni-moderation-latest", input="I will hurt you")
    found = ModerationCreateResponse.model_validate_json(raw.content)
    assert (found.id, found.model) == ("modr-x1", "omni-moderation-latest")
    [result] = found.results
    assert not result.flagged
    assert len(result.categories.to_dict()) == len(result.category_scores.to_dict()) == 13
    assert not any(result.categories.to_dict().values())
    assert not any(result.category_scores.to_dict().values())
    assert set(map(tuple, result.category_applied_input_types.to_dict().values())) == {("text",)}  # type: ignore[arg-type]


def test_each_text_has_a_result_and_parts_have_one_in_common() -> None:
    assert len(results(["a", "b", "c"])) == 3
    [mixed] = results([TEXT, IMAGE])
    assert mixed["category_applied_input_types"]["violence"] == ["text", "image"]
    assert mixed["category_applied_input_types"]["hate"] == ["text"]
    [picture] = results([IMAGE])
    assert picture["category_applied_input_types"]["violence"] == ["image"]
    assert picture["category_applied_input_types"]["hate"] == []


@pytest.mark.parametrize(
    ("input", "param"),
    [
        (None, "input"),
        ([], "input"),
        (5, "input"),
        (["a"] * 2049, "input"),
        (["a", 1], "input[0]"),
        ([TEXT, {"type": "audio"}], "input[1].type"),
        ([{"type": ["text"]}], "input[0].type"),
        ([{"type": "text"}], "input[0].text"),
        ([{"type": "text", "text": 1}], "input[0].text"),
        ([{"type": "image_url", "image_url": {}}], "input[0].image_url.url"),
    ],
)
def test_what_the_api_refuses_is_refused(input: Any, param: str) -> None:
    error = refused(PATH, input=input)
    assert (error.status, error.param) == (400, param)
