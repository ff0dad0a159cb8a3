from __future__ import annotations

import gzip
import importlib
import random
import sys
import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.upstreams.compression import DamagedData, Decompressor, UnknownEncoding, decompressor

brotli: Any = importlib.import_module("brotli")
zstd: Any = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")

TEXT = "data: grüße\n\n".encode() * 500


SKIPPED = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
"""A frame of zstd that holds nothing for the reader."""


def bare_deflate(data: bytes) -> bytes:
    compress = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compress.compress(data) + compress.flush()


FORMS = {
    "gzip": ("gzip", gzip.compress(TEXT)),
    "x-gzip": ("x-gzip", gzip.compress(TEXT)),
    "two-members": ("gzip", gzip.compress(TEXT[:999]) + gzip.compress(TEXT[999:]) + bytes(7)),
    "zlib": ("deflate", zlib.compress(TEXT)),
    "bare": ("deflate", bare_deflate(TEXT)),
    "zstd": ("zstd", zstd.compress(TEXT)),
    "zstd-frames": ("zstd", zstd.compress(TEXT[:999]) + SKIPPED + zstd.compress(b"") + zstd.compress(TEXT[999:])),
    "br": ("br", brotli.compress(TEXT)),
}
PRESSES: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": bare_deflate,
    "zstd": zstd.compress,
    "br": brotli.compress,
}


def made(encoding: str) -> Decompressor:
    found = decompressor(encoding)
    assert found is not None
    return found


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_decompressed_one_byte_at_a_time(form: str) -> None:
    encoding, data = FORMS[form]
    unpack = made(f" {encoding.upper()}")
    assert b"".join(piece for byte in data for piece in unpack.feed(bytes([byte]))) == TEXT
    assert unpack.whole


@pytest.mark.parametrize("form", ["two-members", "zstd-frames", "br"])
@given(data=st.data())
def test_the_result_does_not_depend_on_the_cut(form: str, data: st.DataObject) -> None:
    encoding, packed = FORMS[form]
    cuts = data.draw(st.lists(st.integers(0, len(packed)), max_size=8))
    unpack = made(encoding)
    bounds = [0, *sorted(cuts), len(packed)]
    parts = [packed[start:end] for start, end in zip(bounds, bounds[1:], strict=False)]
    assert b"".join(piece for part in parts for piece in unpack.feed(part)) == TEXT


@pytest.mark.parametrize("encoding", PRESSES)
def test_a_bomb_comes_in_bounded_pieces_and_only_as_they_are_taken(encoding: str) -> None:
    bomb = PRESSES[encoding](bytes(50_000_000))
    pieces = made(encoding).feed(bomb)
    sizes = [len(next(pieces))]
    assert sizes[0] >= 256 * 1024
    sizes += [len(piece) for piece in pieces]
    assert max(sizes) <= (2 if encoding == "br" else 1) * 256 * 1024
    assert sum(sizes) == 50_000_000


@pytest.mark.parametrize("size", [256 * 1024 - 1, 256 * 1024, 512 * 1024])
@pytest.mark.parametrize("encoding", PRESSES)
def test_a_body_as_long_as_the_bound_is_whole(encoding: str, size: int) -> None:
    unpack = made(encoding)
    assert sum(len(piece) for piece in unpack.feed(PRESSES[encoding](bytes(size)))) == size
    assert unpack.whole


def _flushing(encoding: str) -> Callable[[bytes], bytes]:
    if encoding == "zstd":
        press = zstd.ZstdCompressor()
        return lambda data: bytes(press.compress(data, mode=press.FLUSH_BLOCK))
    if encoding == "br":
        packer = brotli.Compressor()
        return lambda data: bytes(packer.process(data) + packer.flush())
    deflate = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    return lambda data: deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize("size", [1, 100_000, 300_000])
@pytest.mark.parametrize("encoding", ["gzip", "zstd", "br"])
def test_what_is_flushed_within_the_stream_comes_at_once(encoding: str, size: int) -> None:
    flushed, unpack = _flushing(encoding), made(encoding)
    for number in range(3):
        event = b"data: %d %b\n\n" % (number, random.Random(number).randbytes(size))
        assert b"".join(unpack.feed(flushed(event))) == event
    assert not unpack.whole


@pytest.mark.parametrize("encoding", PRESSES)
def test_what_is_not_compressed_is_an_error(encoding: str) -> None:
    with pytest.raises(DamagedData):
        list(made(encoding).feed(b"<html>This is not what it says, and never was.</html>"))


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("encoding", PRESSES)
def test_what_follows_the_end_is_an_error(encoding: str, apart: bool) -> None:
    parts = [PRESSES[encoding](TEXT), b"<html>"]
    unpack = made(encoding)
    with pytest.raises(DamagedData):
        for part in parts if apart else [b"".join(parts)]:
            list(unpack.feed(part))


@pytest.mark.parametrize("apart", [True, False])
def test_brotli_has_one_member_alone(apart: bool) -> None:
    unpack = made("br")
    with pytest.raises(DamagedData):
        for part in [brotli.compress(TEXT)] * 2 if apart else [brotli.compress(TEXT) * 2]:
            list(unpack.feed(part))


@pytest.mark.parametrize("encoding", PRESSES)
def test_a_cut_body_is_not_whole(encoding: str) -> None:
    unpack = made(encoding)
    assert unpack.whole, "an empty body is"
    list(unpack.feed(PRESSES[encoding](TEXT)[:-1]))
    assert not unpack.whole


def test_a_window_that_would_fill_the_memory_is_refused() -> None:
    press = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    with pytest.raises(DamagedData):
        list(made("zstd").feed(press.compress(TEXT) + press.flush()))


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_a_plain_body_needs_nothing(encoding: str) -> None:
    assert decompressor(encoding) is None


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip, br", "aes"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(UnknownEncoding, match="^an encoding that was not asked for$"):
        decompressor(encoding)


@pytest.mark.parametrize(("encoding", "needs"), [("br", "brotli"), ("zstd", "backports.zstd")])
def test_a_package_that_is_not_there_is_named(encoding: str, needs: str) -> None:
    def load(name: str) -> Any:
        raise ModuleNotFoundError(name)

    with pytest.raises(UnknownEncoding, match=f"^{encoding}, .* install {needs}$"):
        decompressor(encoding, load=load)


def test_a_brotli_that_knows_no_bound_is_not_used() -> None:
    with pytest.raises(UnknownEncoding, match="install brotli 1.2 or newer$"):
        decompressor("br", load=lambda _: SimpleNamespace(Decompressor=object))
