"""Pictures of the demo upstream: a gradient, some discs and the prompt's initials, out of nothing but a hash.

Eight bits a pixel with a palette, and rows cut from ready-made ramps: a million pixels take about ten milliseconds.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from math import isqrt
from typing import NamedTuple

_SHADES = 120
"""Of each of the two gradients; the discs' follows the background's in the palette, and white comes last."""
_WHITE = 2 * _SHADES
_DISCS = 4
_MAX_INITIALS = 3
_GLYPH_WIDTH, _GLYPH_HEIGHT = 3, 5
_LEVEL = 2

_GLYPHS = {
    **{"A": "75775", "B": "65656", "C": "34443", "D": "65556", "E": "74647", "F": "74644", "G": "34553"},
    **{"H": "55755", "I": "72227", "J": "11153", "K": "55655", "L": "44447", "M": "57755", "N": "65555"},
    **{"O": "25552", "P": "65644", "Q": "25563", "R": "65655", "S": "34216", "T": "72222", "U": "55557"},
    **{"V": "55552", "W": "55775", "X": "55255", "Y": "55222", "Z": "71247"},
    **{"0": "75557", "1": "26227", "2": "61247", "3": "61216", "4": "55711", "5": "74616", "6": "34757"},
    **{"7": "71222", "8": "75757", "9": "75716"},
}
"""Five rows of three pixels each, as octal digits: a set bit is a white pixel."""


class _Disc(NamedTuple):
    x: int
    y: int
    radius: int


def draw(prompt: str, width: int, height: int, *, seed: str = "", coarse: int = 1) -> bytes:
    """A PNG of this size. The same prompt and seed always give the same picture. coarse: the side of the squares that
    an unfinished picture consists of, in pixels."""
    digest = sha256(f"{seed} {prompt}".encode("utf-8", "surrogatepass")).digest()
    rows = _rows(digest, _initials(prompt), -(-width // coarse), -(-height // coarse))
    if coarse > 1:
        rows = _widened(rows, width, coarse)
    pixels = b"".join(rows)[: (width + 1) * height]
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", _palette(digest)),
            _chunk(b"IDAT", zlib.compress(pixels, _LEVEL)),
            _chunk(b"IEND", b""),
        )
    )


def _rows(digest: bytes, initials: str, width: int, height: int) -> Iterator[bytes]:
    """Each row with the filter byte (none) before it."""
    length = width + height
    ramp = bytes(_SHADES * place // length for place in range(length))
    shaded = bytes(_WHITE - 1 - shade for shade in ramp)
    discs = [_disc(digest[8 + 3 * number :], width, height) for number in range(_DISCS)]
    write = _writer(initials, width, height)
    for y in range(height):
        row = bytearray(ramp[y : y + width])
        for disc in discs:
            reach = disc.radius**2 - (y - disc.y) ** 2
            if reach > 0:
                half = isqrt(reach)
                begin, end = max(0, disc.x - half), min(width, disc.x + half)
                row[begin:end] = shaded[y + begin : y + end]
        write(row, y)
        yield b"\0" + row


def _disc(digest: bytes, width: int, height: int) -> _Disc:
    x, y, radius = digest[:3]
    return _Disc(x * width // 256, y * height // 256, min(width, height) * (32 + radius // 2) // 512)


def _writer(initials: str, width: int, height: int) -> Callable[[bytearray, int], None]:
    """Puts the letters into the middle, each pixel of the font a square of `cell` pixels."""
    cell = min(width, height) // 16
    columns = len(initials) * (_GLYPH_WIDTH + 1) - 1
    left, top = (width - columns * cell) // 2, (height - _GLYPH_HEIGHT * cell) // 2
    stroke = bytes((_WHITE,)) * cell

    def write(row: bytearray, y: int) -> None:
        line = (y - top) // cell if cell else -1
        if not 0 <= line < _GLYPH_HEIGHT:
            return
        for place, letter in enumerate(initials):
            bits = int(_GLYPHS[letter][line], 8)
            for column in range(_GLYPH_WIDTH):
                if bits >> (_GLYPH_WIDTH - 1 - column) & 1:
                    begin = left + (place * (_GLYPH_WIDTH + 1) + column) * cell
                    row[begin : begin + cell] = stroke

    return write


def _initials(prompt: str) -> str:
    """The first letters of the first words, as far as the font has them."""
    letters = (word[0].upper() for word in prompt[:1000].split())
    return "".join([letter for letter in letters if letter in _GLYPHS][:_MAX_INITIALS])


def _widened(rows: Iterator[bytes], width: int, coarse: int) -> Iterator[bytes]:
    for row in rows:
        wide = b"".join(bytes((shade,)) * coarse for shade in row[1:])[:width]
        yield (b"\0" + wide) * coarse


def _palette(digest: bytes) -> bytes:
    """The background's gradient, the discs' one, and white."""
    first, second, third, fourth = (_bright(digest[2 * place : 2 * place + 2]) for place in range(4))
    return b"".join((_gradient(first, second), _gradient(third, fourth), b"\xff\xff\xff"))


def _bright(digest: bytes) -> tuple[float, ...]:
    from colorsys import hsv_to_rgb

    return tuple(255 * part for part in hsv_to_rgb(digest[0] / 256, 0.55 + digest[1] / 1024, 0.9))


def _gradient(begin: tuple[float, ...], end: tuple[float, ...]) -> bytes:
    steps = ((begin[part], end[part] - begin[part]) for part in range(3))
    channels = [[int(low + span * shade / _SHADES) for shade in range(_SHADES)] for low, span in steps]
    return bytes(value for colour in zip(*channels, strict=True) for value in colour)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
