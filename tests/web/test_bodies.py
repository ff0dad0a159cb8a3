from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from typing import Any

import pytest

from lib.errors import GatewayError
from lib.web.asgi import ClientGone, Message
from lib.web.bodies import MAX_DEPTH, media_type, read_json, read_json_raw


def read(*chunks: bytes | None, max_bytes: int = 1000, **headers: str) -> dict[str, Any]:
    """Feeds the chunks as body messages; None is a disconnect."""
    messages: list[Message] = [
        {"type": "http.disconnect"}
        if chunk is None
        else {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
        for index, chunk in enumerate(chunks)
    ]

    async def receive() -> Message:
        return messages.pop(0)

    scope = {"headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]}
    return asyncio.run(read_json(scope, receive, max_bytes=max_bytes))


def refusal(*chunks: bytes, **options: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        read(*chunks, **options)
    return caught.value


def test_the_body_may_come_in_any_pieces_and_under_any_text_type() -> None:
    assert read(b'{"a":1}') == {"a": 1}
    assert read(b'{"a"', b"", b":1}", content_type="text/plain") == {"a": 1}
    assert read(b'\xef\xbb\xbf{"a":1}', content_type="application/x-www-form-urlencoded") == {"a": 1}


def test_big_integers_stay_exact_and_the_last_duplicate_wins() -> None:
    assert read(b'{"a":123456789012345678901234567890,"a":2,"b":123456789012345678901234567890}') == {
        "a": 2,
        "b": 123456789012345678901234567890,
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"[]",
        b'"text"',
        b"null",
        b"{",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e400}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'{"\xff":1}',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-le"),
        '{"a":1}'.encode("utf-32"),
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":1}{"b":2}',
    ],
)
def test_what_is_no_json_object_is_a_400(body: bytes) -> None:
    error = refusal(body, max_bytes=1_000_000)
    assert (error.status, error.code, error.should_retry) == (400, "invalid_json", False)


def test_an_integer_of_ten_thousand_digits_does_no_harm() -> None:
    assert refusal(b'{"a":1' + b"0" * 10_000 + b"}", max_bytes=100_000).status == 400


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_nesting_is_bounded(opening: bytes, closing: bytes) -> None:
    each = opening.count(b"[") + opening.count(b"{")
    for levels, is_read in ((MAX_DEPTH - 2, True), (MAX_DEPTH, False), (900, False)):
        body = b'{"a":' + opening * (levels // each) + b"1" + closing * (levels // each) + b',"b":[]}'
        if is_read:
            assert read(body, max_bytes=100_000)["b"] == []
        else:
            assert "nested too deeply" in refusal(body, max_bytes=100_000).message


def test_brackets_in_texts_and_beside_each_other_are_no_nesting() -> None:
    assert read(b'{"a":"' + b"[" * 1000 + b'","b":[' + b"[]," * 1000 + b"[]]}", max_bytes=100_000)["a"] == "[" * 1000


def test_a_body_beyond_the_limit_is_a_413_declared_or_not() -> None:
    async def never() -> Message:
        raise AssertionError("read although the length was declared")

    scope = {"headers": [(b"content-length", b"1000000000")]}
    with pytest.raises(GatewayError) as caught:
        asyncio.run(read_json(scope, never, max_bytes=1000))
    assert (caught.value.status, caught.value.code) == (413, "payload_too_large")
    assert refusal(b'"' + b"x" * 2000 + b'"').status == 413
    assert refusal(b'"' + b"x" * 600, b"x" * 600 + b'"').status == 413


def test_compressed_bodies_are_read() -> None:
    assert read(gzip.compress(b'{"a":1}'), content_encoding="gzip") == {"a": 1}
    assert read(zlib.compress(b'{"a":1}'), content_encoding="Deflate") == {"a": 1}
    assert read(b'{"a":1}', content_encoding="identity") == {"a": 1}


def test_a_gzip_bomb_ends_at_the_limit() -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    started = time.perf_counter()
    assert refusal(bomb, max_bytes=100_000, content_encoding="gzip").status == 413
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("body", [b'{"a":1}', gzip.compress(b'{"a":1}')[:-9], gzip.compress(b"{}") + b"x", b""])
def test_a_broken_compressed_body_is_a_400(body: bytes) -> None:
    assert refusal(body, content_encoding="gzip").code == "invalid_json"


@pytest.mark.parametrize("encoding", ["zstd", "br", "gzip, gzip", "x"])
def test_an_unknown_encoding_is_a_415(encoding: str) -> None:
    error = refusal(b"{}", content_encoding=encoding)
    assert (error.status, error.code) == (415, "unsupported_encoding")


def test_a_multipart_form_is_a_415() -> None:
    error = refusal(b"{}", content_type="multipart/form-data; boundary=x")
    assert (error.status, error.code) == (415, "unsupported_media_type")


def test_a_client_that_leaves_in_mid_body_is_gone() -> None:
    with pytest.raises(ClientGone):
        read(b'{"a"', None)
    with pytest.raises(ClientGone):
        read(None)


def test_the_bytes_of_a_body_are_handed_out_unpacked_and_without_a_byte_order_mark() -> None:
    plain = b'{ "a" : 1.50 }'
    for sent, encoding in ((plain, ""), (b"\xef\xbb\xbf" + plain, ""), (gzip.compress(plain), "gzip")):

        async def receive(sent: bytes = sent) -> Message:
            return {"type": "http.request", "body": sent, "more_body": False}

        scope = {"headers": [(b"content-encoding", encoding.encode())]}
        assert asyncio.run(read_json_raw(scope, receive, max_bytes=1000)) == ({"a": 1.5}, plain)


def test_the_media_type_stands_without_its_parameters() -> None:
    assert media_type({"headers": [(b"content-type", b" Text/Plain ; charset=utf-8")]}) == "text/plain"
    assert media_type({"headers": []}) == ""
