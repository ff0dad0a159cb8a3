from __future__ import annotations

import pytest

from lib.dialects.forward_tail import error_code_in, frames_in, usage_in


def test_frames_are_data_without_comments_and_names() -> None:
    assert frames_in(b": c\n\nevent: a\ndata: 1\n\ndata:2\ndata: 3\n\nid: 4\n\n") == [b"1", b"2\n3"]


@pytest.mark.parametrize(
    ("tail", "usage"),
    [
        (b"", (None, None)),
        (b'"usage":null', (None, None)),
        (b'"usage" : {"input_tokens":1,"output_tokens":2}', (1, 2)),
        (b'"usage":{"prompt_tokens":1,"completion_tokens":2} "usage":null', (1, 2)),
        (b'"usage":{"prompt_tokens":1} "usage":{"prompt_tokens":5}', (5, None)),
        (b'"usage":{"input_tokens":true}', (None, None)),
        (b'"usage":{"input_tokens":1,"x":{"y":"}"}}', (None, None)),
        (b'"usage":{{{{{{', (None, None)),
        (b'x\\"usage\\":{\\"input_tokens\\":1}', (None, None)),
        (b'"usage":{}' * 2000, (None, None)),
    ],
)
def test_usage_is_read_from_the_last_object_that_counts(tail: bytes, usage: tuple[int | None, int | None]) -> None:
    assert usage_in(tail) == usage


@pytest.mark.parametrize(
    ("tail", "code"),
    [
        (b"", "upstream_error"),
        (b'{"error":{"code":"a","type":"b"}}', "a"),
        (b'{"error":{"code":503,"type":"b"}}', "b"),
        (b'{"error":"words"}', "upstream_error"),
        (b'{"error":{"code":"' + b"x" * 99 + b'"}}', "x" * 64),
    ],
)
def test_an_errors_code_or_type_is_found(tail: bytes, code: str) -> None:
    assert error_code_in(tail) == code
