"""Bodies of image endpoints as values."""

from __future__ import annotations

import pytest

from lib.canonical.images import FinishedImage, InputImage
from lib.errors import UpstreamError
from lib.upstreams.image_results import data_url, result_of


def test_what_the_body_says_is_kept() -> None:
    data = b'[{"b64_json":"QQ==","revised_prompt":"x"},{"url":"u"},{}]'
    body = b'{"created":5,"size":"1x1","quality":7,"usage":[],"data":%b}' % data
    result = result_of(body, now=9.5)
    assert result.pictures == (FinishedImage("QQ==", None, "x"), FinishedImage(None, "u", None))
    assert (result.created, result.size, result.quality, result.usage) == (5, "1x1", None, None)


def test_the_clock_stands_in_for_a_missing_date() -> None:
    assert result_of(b'{"created":"now","data":[{"url":"u"}]}', now=9.5).created == 9


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"\xff", b"[]", b"7", b"{}", b"[" * 5000),
        *(b'{"data":null}', b'{"data":[]}', b'{"data":[7]}', b'{"data":[{}]}'),
    ],
)
def test_a_body_without_pictures_is_the_upstreams_fault(body: bytes) -> None:
    with pytest.raises(UpstreamError, match="holds no picture"):
        result_of(body, now=0)


def test_a_picture_as_a_url() -> None:
    assert data_url(InputImage("image/png", b"abc")) == "data:image/png;base64,YWJj"
