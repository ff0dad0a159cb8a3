"""Frames of a chat stream."""

from __future__ import annotations

from typing import Any

from lib.dialects.chat_chunks import Chunks, encode
from tests.dialects.chat_streams import request, response


def frames(**body: Any) -> Chunks:
    return Chunks(request(**body), id="chatcmpl-1", now=5.9)


def test_role_chunk_comes_before_the_first_one_only() -> None:
    made = frames()
    assert made.chunk({"content": "a"}).count(b"data: ") == 2
    assert made.chunk({"content": "b"}).count(b"data: ") == 1


def test_first_response_fixes_what_all_chunks_share() -> None:
    made = frames()
    made.begin(response(model="first"))
    made.begin(response(model="second"))
    assert b'"model":"first"' in made.chunk({})


def test_ready_made_text_equals_an_encoded_chunk() -> None:
    for body in ({}, {"stream": True, "stream_options": {"include_usage": True}}):
        made = frames(**body)
        made.chunk({})
        assert made.text_head + encode("é\n") + made.text_tail == made.chunk({"content": "é\n"})


def test_line_ends_in_a_model_name_stay_inside_the_json() -> None:
    made = frames()
    made.begin(response(model="a\r\n\r\ndata: b"))
    assert made.chunk({}).count(b"\n") == 4


def test_usage_chunk_has_no_choices() -> None:
    made = frames(stream=True, stream_options={"include_usage": True})
    made.begin({})
    assert made.usage({"total_tokens": 1}).endswith(b'"choices":[],"usage":{"total_tokens":1}}\n\n')
