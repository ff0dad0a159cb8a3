from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.upstreams.compression import Decompressor, UnknownEncoding, decompressor

TEXT = "data: grüße\n\n".encode() * 500


def bare_deflate(data: bytes) -> bytes:
    compress = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compress.compress(data) + compress.flush()


FORMS = {
    "gzip": ("gzip", gzip.compress(TEXT)),
    "x-gzip": ("x-gzip", gzip.compress(TEXT)),
    "two-members": ("gzip", gzip.compress(TEXT[:999]) + gzip.compress(TEXT[999:]) + bytes(7)),
    "zlib": ("deflate", zlib.compress(TEXT)),
    "bare": ("deflate", bare_deflate(TEXT)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_decompressed_one_byte_at_a_time(form: str) -> None:
    encoding, data = FORMS[form]
    inflate = Decompressor(encoding)
    assert b"".join(piece for byte in data for piece in inflate.feed(bytes([byte]))) == TEXT
    assert inflate.whole


@given(st.lists(st.integers(0, len(FORMS["two-members"][1])), max_size=8))
def test_the_result_does_not_depend_on_the_cut(cuts: list[int]) -> None:
    encoding, data = FORMS["two-members"]
    inflate = Decompressor(encoding)
    bounds = [0, *sorted(cuts), len(data)]
    parts = [data[start:end] for start, end in zip(bounds, bounds[1:], strict=False)]
    assert b"".join(piece for part in parts for piece in inflate.feed(part)) == TEXT


def test_a_bomb_comes_in_bounded_pieces_and_only_as_they_are_taken() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    pieces = Decompressor("gzip").feed(bomb)
    assert len(next(pieces)) == 256 * 1024
    sizes = [len(piece) for piece in pieces]
    assert max(sizes) == 256 * 1024
    assert sum(sizes) == 50_000_000 - 256 * 1024


def test_what_is_flushed_within_the_stream_comes_at_once() -> None:
    compress = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    inflate = Decompressor("gzip")
    for number in range(3):
        event = b"data: %d\n\n" % number
        flushed = compress.compress(event) + compress.flush(zlib.Z_SYNC_FLUSH)
        assert list(inflate.feed(flushed)) == [event]
    assert not inflate.whole


def test_what_is_not_compressed_is_an_error() -> None:
    with pytest.raises(zlib.error):
        list(Decompressor("gzip").feed(b"<html>"))


def test_an_empty_body_is_whole() -> None:
    assert Decompressor("gzip").whole


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_a_plain_body_needs_nothing(encoding: str) -> None:
    assert decompressor(encoding) is None


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "aes"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(UnknownEncoding):
        decompressor(encoding)
