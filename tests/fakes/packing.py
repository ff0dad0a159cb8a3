"""Bodies compressed piece by piece, each piece flushed, as servers compress their streams."""

from __future__ import annotations

import importlib
import sys
import zlib
from typing import Any, Protocol


class Packer(Protocol):
    def pack(self, data: bytes) -> bytes:
        """Compressed, and flushed: whoever reads it has all of `data`."""

    def end(self) -> bytes:
        """What is left at the end of the body."""


class Gzip:
    def __init__(self) -> None:
        self._press = zlib.compressobj(wbits=31)

    def pack(self, data: bytes) -> bytes:
        return self._press.compress(data) + self._press.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._press.flush()


class Zstd:
    def __init__(self) -> None:
        self._press: Any = _zstd().ZstdCompressor()

    def pack(self, data: bytes) -> bytes:
        return bytes(self._press.compress(data, mode=self._press.FLUSH_BLOCK))

    def end(self) -> bytes:
        return bytes(self._press.flush())


class Brotli:
    def __init__(self) -> None:
        self._press: Any = importlib.import_module("brotli").Compressor(quality=5)

    def pack(self, data: bytes) -> bytes:
        return bytes(self._press.process(data) + self._press.flush())

    def end(self) -> bytes:
        return bytes(self._press.finish())


PACKERS: dict[str, type[Packer]] = {"gzip": Gzip, "zstd": Zstd, "br": Brotli}
"""By what stands in `Content-Encoding`."""


def packed(encoding: str, *pieces: bytes) -> bytes:
    """A whole body."""
    packer = PACKERS[encoding]()
    return b"".join(map(packer.pack, pieces)) + packer.end()


def _zstd() -> Any:
    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
