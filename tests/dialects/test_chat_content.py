"""Content of chat messages → canonical parts."""

from __future__ import annotations

from typing import Any

import pytest

from lib.dialects.chat_content import assistant_parts, input_parts, output_of
from lib.errors import InvalidRequest

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def one(part: Any) -> dict[str, Any]:
    (found,) = input_parts([part], "content")
    return found


def test_string_is_one_text_part() -> None:
    assert input_parts("", "content") == [{"type": "input_text", "text": ""}]
    assert assistant_parts(" ", "content") == [{"type": "output_text", "text": " "}]


@pytest.mark.parametrize("kind", ["text", "input_text", "output_text"])
def test_text_takes_the_name_that_its_role_asks_for(kind: str) -> None:
    part = {"type": kind, "text": "a\u2028b", "cache_control": {}, "annotations": []}
    assert one(part) == {"type": "input_text", "text": "a\u2028b"}
    assert assistant_parts([part], "content") == [{"type": "output_text", "text": "a\u2028b"}]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}}, {"image_url": PIXEL, "detail": "low"}),
        ({"type": "image_url", "image_url": {"url": PIXEL, "detail": None}}, {"image_url": PIXEL}),
        ({"type": "image_url", "image_url": PIXEL}, {"image_url": PIXEL}),
        ({"type": "input_image", "image_url": PIXEL, "detail": "high"}, {"image_url": PIXEL, "detail": "high"}),
        ({"type": "input_image", "file_id": "file-1"}, {"file_id": "file-1"}),
    ],
)
def test_image_in_any_notation(part: dict[str, Any], expected: dict[str, Any]) -> None:
    assert one(part) == {"type": "input_image"} | expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"file": {"filename": "a.pdf", "file_data": "data:,"}}, {"filename": "a.pdf", "file_data": "data:,"}),
        ({"file": {"file_id": "file-1", "filename": None}}, {"file_id": "file-1"}),
        (
            {"type": "input_file", "file_url": "https://example.org/a.pdf"},
            {"file_url": "https://example.org/a.pdf"},
        ),
    ],
)
def test_file_in_any_notation(part: dict[str, Any], expected: dict[str, Any]) -> None:
    assert one({"type": "file"} | part) == {"type": "input_file"} | expected


def test_audio_is_kept_for_the_upstream_to_judge() -> None:
    audio = {"data": "UklGRg==", "format": "wav"}
    assert one({"type": "input_audio", "input_audio": audio}) == {"type": "input_audio", "input_audio": audio}


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ("hi", "c[0]"),
        (None, "c[0]"),
        ({}, "c[0].type"),
        ({"type": 5}, "c[0].type"),
        ({"type": "video"}, "c[0].type"),
        ({"type": "refusal", "refusal": "x"}, "c[0].type"),
        ({"type": "text"}, "c[0].text"),
        ({"type": "text", "text": 5}, "c[0].text"),
        ({"type": "image_url"}, "c[0].image_url"),
        ({"type": "image_url", "image_url": {}}, "c[0].image_url"),
        ({"type": "image_url", "image_url": {"url": []}}, "c[0].image_url"),
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, "c[0].image_url"),
        ({"type": "image_url", "image_url": "http://169.254.169.254/"}, "c[0].image_url"),
        ({"type": "image_url", "image_url": {"url": PIXEL, "detail": "sharp"}}, "c[0].image_url.detail"),
        ({"type": "input_audio"}, "c[0].input_audio"),
        ({"type": "input_audio", "input_audio": {"format": "wav"}}, "c[0].input_audio.data"),
        ({"type": "file"}, "c[0].file"),
        ({"type": "file", "file": {}}, "c[0].file.file_data"),
        ({"type": "file", "file": {"file_data": 5}}, "c[0].file.file_data"),
        ({"type": "input_file", "file_url": "http://localhost/"}, "c[0].file_url"),
    ],
)
def test_broken_part_is_refused_by_its_place(part: Any, param: str) -> None:
    for read in (input_parts, output_of):
        with pytest.raises(InvalidRequest) as caught:
            read([part], "c")
        assert caught.value.param == param


def test_image_of_the_assistant_is_refused_by_its_place() -> None:
    with pytest.raises(InvalidRequest) as caught:
        assistant_parts([{"type": "image_url", "image_url": PIXEL}], "c")
    assert caught.value.param == "c[0].type"
