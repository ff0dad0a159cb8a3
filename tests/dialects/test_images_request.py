"""Image requests: every parameter is honoured, passed, named or refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from lib.canonical.images import InputImage
from lib.dialects.images_request import EDIT, GENERATION, parse_edit, parse_generation
from lib.errors import InvalidRequest
from tests.canonical.pictures import png

PICTURE = "data:image/png;base64," + base64.b64encode(png()).decode()


def test_a_prompt_is_enough() -> None:
    request = parse_generation({"prompt": "A cat"})
    assert (request.model, request.prompt, request.n, request.stream) == (None, "A cat", 1, False)
    assert (request.parameters, request.asked, request.response_format, request.is_edit) == ({}, {}, None, False)
    assert request.affinity == parse_generation({"prompt": "A cat", "n": 2}).affinity != ""


PASSED: dict[str, Any] = {
    "size": "1536x1024",
    "quality": "high",
    "style": "vivid",
    "background": "transparent",
    "output_format": "webp",
    "output_compression": 50,
    "moderation": "low",
    "user": "u1",
    "safety_identifier": "s1",
}


@pytest.mark.parametrize("name", PASSED)
def test_a_parameter_is_passed_and_asked_for(name: str) -> None:
    request = parse_generation({"prompt": "p", name: PASSED[name]})
    assert request.parameters == {name: PASSED[name]}
    assert request.asked == {name: name}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("size", "auto"), ("quality", "auto"), ("background", "auto"), ("output_format", "png")),
        *(("output_compression", 100), ("moderation", "auto"), ("partial_images", 0), ("user", "")),
        *(("n", 3), ("stream", False), ("response_format", "url"), ("model", "auto"), ("style", None)),
    ],
)
def test_what_changes_nothing_upstream_is_not_asked_for(name: str, value: Any) -> None:
    assert parse_generation({"prompt": "p", name: value}).asked == {}


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({"size": "256x256"}, {"size.small": "size"}),
        ({"partial_images": 2}, {"partial_images.whole": "partial_images"}),
        ({"partial_images": 2, "stream": True}, {"partial_images": "partial_images"}),
        ({"response_format": "url", "stream": True}, {"response_format.streamed": "response_format"}),
        ({"response_format": "b64_json", "stream": True}, {}),
        ({"seed": 3, "input_fidelity": "high"}, {"seed": "seed", "input_fidelity": "input_fidelity"}),
    ],
)
def test_what_only_some_can_do_has_a_name_of_its_own(body: dict[str, Any], asked: dict[str, str]) -> None:
    assert parse_generation({"prompt": "p", **body}).asked == asked


def test_aliases_are_read() -> None:
    assert parse_generation({"prompt": "p", "output_format": "jpg"}).parameters == {"output_format": "jpeg"}


WRONG: dict[str, list[Any]] = {
    "prompt": ["", "x" * 32_001, 7, ["p"]],
    "n": [0, 11, -1, "2", 1.5, True],
    "size": ["big", "0x0", "1x1", "1024x1024\n", "1024X1024", "100000x100000", 1024],
    "quality": ["best", 1],
    "style": ["ugly"],
    "background": ["red"],
    "output_format": ["svg", "bmp"],
    "output_compression": [-1, 101, "50"],
    "moderation": ["off"],
    "partial_images": [-1, 4],
    "response_format": ["png"],
    "stream": ["true", 1],
    "user": ["a\r\nb", "x" * 513],
    "model": [7, "x" * 257],
    "image": [PICTURE],
    "images": [[PICTURE]],
    "mask": [PICTURE],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_a_wrong_value_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_generation({"prompt": "p", name: value})
    assert caught.value.param == name


def test_every_field_of_the_tables_is_tested() -> None:
    assert set(WRONG) | {"safety_identifier"} == set(GENERATION)
    assert set(EDIT) - set(GENERATION) == {"input_fidelity"}


def test_a_prompt_is_required() -> None:
    with pytest.raises(InvalidRequest, match="'prompt'") as caught:
        parse_generation({})
    assert caught.value.code == "missing_required_parameter"


def test_partial_images_go_with_one_picture() -> None:
    with pytest.raises(InvalidRequest, match="one picture at a time"):
        parse_generation({"prompt": "p", "n": 2, "stream": True, "partial_images": 1})


@pytest.mark.parametrize(
    "body",
    [
        {"image": PICTURE},
        {"image": [PICTURE]},
        {"images": [{"image_url": PICTURE}]},
        {"image": InputImage("", png())},
    ],
)
def test_an_edit_has_pictures_in_any_spelling(body: dict[str, Any]) -> None:
    request = parse_edit({"prompt": "p", "input_fidelity": "high", "mask": {"image_url": PICTURE}, **body})
    assert request.images == (InputImage("image/png", png()),)
    assert request.mask == InputImage("image/png", png())
    assert (request.is_edit, request.asked) == (True, {"input_fidelity": "input_fidelity"})


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "image"),
        ({"image": []}, "image"),
        ({"image": 7}, "image"),
        ({"image": [PICTURE] * 9, "images": [PICTURE] * 8}, "image"),
        ({"images": [PICTURE] * 17}, "images"),
        ({"image": PICTURE, "mask": "mask.png"}, "mask"),
        ({"image": PICTURE, "mask": [PICTURE]}, "mask"),
        ({"image": PICTURE, "input_fidelity": "great"}, "input_fidelity"),
    ],
)
def test_an_edit_without_proper_pictures_is_refused(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_edit({"prompt": "p", **body})
    assert caught.value.param == param


def test_the_users_own_name_is_the_affinity() -> None:
    assert parse_generation({"prompt": "p", "user": "u1"}).affinity == "u1"
