"""The demo's pictures are real PNGs, quick, and always the same for the same prompt."""

from __future__ import annotations

import struct
import time
import zlib

import pytest

from lib.canonical.pictures import measure
from lib.upstreams.demo_png import draw


def decoded(picture: bytes) -> tuple[int, int, int, list[bytes]]:
    """Width, height, colours in the palette and the rows, after every checksum was looked at."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, rest = {}, picture[8:]
    while rest:
        length, kind = struct.unpack(">I4s", rest[:8])
        data = rest[8 : 8 + length]
        assert rest[8 + length : 12 + length] == struct.pack(">I", zlib.crc32(kind + data))
        chunks[kind], rest = data, rest[12 + length :]
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    width, height, depth, colour, *others = struct.unpack(">2I5B", chunks[b"IHDR"])
    assert (depth, colour, others) == (8, 3, [0, 0, 0])
    pixels = zlib.decompress(chunks[b"IDAT"])
    assert len(pixels) == (width + 1) * height
    rows = [pixels[at : at + width + 1] for at in range(0, len(pixels), width + 1)]
    assert {row[0] for row in rows} == {0}
    return width, height, len(chunks[b"PLTE"]) // 3, [row[1:] for row in rows]


@pytest.mark.parametrize("coarse", [1, 3, 16])
@pytest.mark.parametrize("size", [(10, 10), (257, 31), (64, 300)])
def test_every_size_is_a_valid_png(size: tuple[int, int], coarse: int) -> None:
    picture = draw("A cat of 9 lives", *size, coarse=coarse)
    width, height, colours, rows = decoded(picture)
    assert (width, height) == size
    assert max(max(row) for row in rows) < colours <= 256
    found = measure(picture)
    assert found is not None and found.size == f"{size[0]}x{size[1]}"


def test_the_picture_follows_from_prompt_and_seed() -> None:
    assert draw("A cat", 64, 64) == draw("A cat", 64, 64)
    others = {draw("A dog", 64, 64), draw("A cat", 64, 64, seed="1"), draw("A cat", 64, 64, coarse=8)}
    assert len(others | {draw("A cat", 64, 64)}) == 4


def test_the_initials_stand_in_the_middle() -> None:
    _, _, _, rows = decoded(draw("i", 160, 160))
    white = max(max(row) for row in rows)
    lit = [(y, row.index(white), row.count(white)) for y, row in enumerate(rows) if white in row]
    assert lit[0] == (55, 65, 30)
    assert lit[-1] == (104, 65, 30)
    assert lit[25] == (80, 75, 10)
    assert all(white not in row for row in decoded(draw("ß 猫 !", 160, 160))[3])


def test_a_coarse_picture_consists_of_squares() -> None:
    _, _, _, rows = decoded(draw("x", 64, 64, coarse=8))
    assert all(len(set(row[at : at + 8])) == 1 for row in rows for at in range(0, 64, 8))
    assert all(rows[y] == rows[y - y % 8] for y in range(64))


def test_any_text_is_a_prompt() -> None:
    for prompt in ("", "\ud800", "x" * 100_000):
        decoded(draw(prompt, 16, 16))


def test_a_million_pixels_take_a_moment() -> None:
    best = min(_seconds() for _ in range(3))
    assert best < 0.1


def _seconds() -> float:
    started = time.perf_counter()
    draw("A cat", 1024, 1024)
    return time.perf_counter() - started
