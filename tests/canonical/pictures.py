"""The beginnings of pictures, as their formats have them; nothing in them could be shown."""

from __future__ import annotations

import struct


def png(width: int = 4, height: int = 3) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0) + b"rest"


def gif(width: int = 4, height: int = 3) -> bytes:
    return b"GIF89a" + struct.pack("<2H", width, height) + b"\0" * 8


def jpeg(width: int = 4, height: int = 3, *, before: bytes = b"\xff\xe0\x00\x04ab") -> bytes:
    return b"\xff\xd8" + before + b"\xff\xc0\x00\x11\x08" + struct.pack(">2H", height, width) + b"\0" * 12


def webp(kind: bytes, width: int = 4, height: int = 3) -> bytes:
    size = {
        b"VP8X": b"\0" * 4 + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3],
        b"VP8L": b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + b"\0" * 8,
        b"VP8 ": b"\0\0\0\x9d\x01\x2a" + struct.pack("<2H", width, height),
    }[kind]
    return b"RIFF\0\0\0\0WEBP" + kind + b"\0\0\0\0" + size
