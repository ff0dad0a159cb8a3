"""What a picture's first bytes say: its format and its size in pixels. Nothing is decoded.

PNG, JPEG, GIF and WebP, from their specifications; whatever else is no picture here, SVG and HTML among it.
"""

from __future__ import annotations

import binascii
from typing import NamedTuple

_PNG = b"\x89PNG\r\n\x1a\n"
_GIFS = (b"GIF87a", b"GIF89a")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG markers that begin a frame, which holds the size; the three others in this range are tables."""
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""JPEG markers without a segment."""
_MAX_STEPS = 4096
"""Segments and fill bytes before the frame; real pictures have some tens."""
_SHOWN_BYTES = 48
"""As many as the formats with a fixed place for the size need, and a multiple of three for base64."""


class Picture(NamedTuple):
    """Format and size; no pixel was looked at."""

    media_type: str
    width: int
    height: int

    @property
    def size(self) -> str:
        """As the API writes it: `1024x1536`."""
        return f"{self.width}x{self.height}"


def measure(data: bytes) -> Picture | None:
    """The picture that these bytes begin; None for anything else, and for one without a size."""
    found: tuple[str, int, int] | None = None
    if data.startswith(_PNG):
        if data[12:16] == b"IHDR" and len(data) >= 24:
            found = "image/png", _big(data, 16, 4), _big(data, 20, 4)
    elif data.startswith(b"\xff\xd8\xff"):
        found = _jpeg(data)
    elif data.startswith(_GIFS):
        if len(data) >= 10:
            found = "image/gif", _little(data, 6, 2), _little(data, 8, 2)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        found = _webp(data)
    return Picture(*found) if found is not None and found[1] and found[2] else None


def media_type(b64: str) -> str | None:
    """The format of a picture in base64, told by its beginning."""
    data = _head(b64)
    if data.startswith(_PNG):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(_GIFS):
        return "image/gif"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def size_of(b64: str) -> str | None:
    """The size of a picture in base64 (`1024x1024`), where it stands at the beginning: in all formats but JPEG."""
    found = measure(_head(b64))
    return None if found is None else found.size


def _head(b64: str) -> bytes:
    try:
        return binascii.a2b_base64(b64[: _SHOWN_BYTES * 4 // 3])
    except ValueError:
        return b""


def _jpeg(data: bytes) -> tuple[str, int, int] | None:
    """Walks from segment to segment up to the frame; a picture may hold colour profiles and previews before it."""
    at = 2
    for _ in range(_MAX_STEPS):
        if at + 9 > len(data) or data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker in _FRAMES:
            return "image/jpeg", _big(data, at + 7, 2), _big(data, at + 5, 2)
        if marker == 0xFF:
            at += 1  # a fill byte
        else:
            at += 2 if marker in _BARE else 2 + max(2, _big(data, at + 2, 2))
    return None


def _webp(data: bytes) -> tuple[str, int, int] | None:
    kind = data[12:16]
    if len(data) < 30:
        return None
    if kind == b"VP8X":
        return "image/webp", _little(data, 24, 3) + 1, _little(data, 27, 3) + 1
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = _little(data, 21, 4)
        return "image/webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return "image/webp", _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF
    return None


def _big(data: bytes, at: int, length: int) -> int:
    return int.from_bytes(data[at : at + length], "big")


def _little(data: bytes, at: int, length: int) -> int:
    return int.from_bytes(data[at : at + length], "little")
