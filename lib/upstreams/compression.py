"""Compressed answers, decompressed piece by piece. No socket.

gzip and deflate come with Python; zstd does from 3.14 on, and until then as the package backports.zstd. br needs the
package brotli, which Lambda's bundle leaves out: nothing here asks for br, and it would be an eighth of it. Both are
imported with the first answer that needs them.
"""

from __future__ import annotations

import importlib
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

_MAX_PIECE = 256 * 1024
"""What is made of the input at a time, so that a small input cannot fill the memory: the reader stops the rest. Brotli
takes it as a hint, and gives up to twice as much."""

_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS
_BARE_DEFLATE = -zlib.MAX_WBITS
_MAX_WINDOW_LOG = 23
"""8 MiB of memory for a decompressor, which is what RFC 9659 bounds zstd on the web to."""
_ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"


class UnknownEncoding(ValueError):
    """A `Content-Encoding` that is not decoded here. The text says which, and what has to be installed for it."""


class DamagedData(ValueError):
    """What was to be compressed data and is not, or goes on after its end."""


class _Member(Protocol):
    """One compressed stream; several may follow each other in a body."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """What is ready, at most about so many bytes; less says that there is no more until more is fed."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes:
        """What followed the end."""


class Decompressor:
    """Input in any cut → pieces of a bounded size. Raises DamagedData."""

    def __init__(self, begin: Callable[[bytes], _Member], error: type[Exception], *, joins: bool = True) -> None:
        """begin: a new member, which begins with these bytes. error: what members raise. joins: whether one member may
        follow another."""
        self._begin = begin
        self._error = error
        self._joins = joins
        self._member: _Member | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pieces that this input completes; made as they are taken. Take them all before the next input."""
        try:
            while data := data.lstrip(b"\0") if self._ended else data:  # padding may follow the end
                member = self._started(data)
                piece = member.decompress(data, _MAX_PIECE)
                while len(piece) >= _MAX_PIECE and not member.eof:
                    # The output was cut at the bound: more may be inside although all input is taken.
                    yield piece
                    piece = member.decompress(b"", _MAX_PIECE)
                if piece:
                    yield piece
                data = member.unused_data if member.eof else b""
        except self._error as error:
            raise DamagedData("not valid compressed data") from error

    @property
    def whole(self) -> bool:
        """Whether the input so far is complete."""
        return self._member is None or self._member.eof

    @property
    def _ended(self) -> bool:
        return self._member is not None and self._member.eof

    def _started(self, data: bytes) -> _Member:
        if self._ended and not self._joins:
            raise DamagedData("more follows the end of the compressed data")
        if self._member is None or self._ended:
            self._member = self._begin(data)
        return self._member


class _Inflate:
    """zlib with the interface that Python's other decompressors have."""

    def __init__(self, wbits: int) -> None:
        self._zlib = zlib.decompressobj(wbits)

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data


class _Brotli:
    """The same for brotli, which raises when anything follows its end, and may keep what does not fit into its first
    buffer, of 32 KB, until it is asked again."""

    unused_data = b""

    def __init__(self, brotli: Any) -> None:
        self._brotli = brotli.Decompressor()

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        pieces: list[bytes] = []
        left = max_length
        while left > 0 and (piece := self._brotli.process(data, output_buffer_limit=left)):
            pieces.append(piece)
            left -= len(piece)
            data = b""
        return b"".join(pieces)

    @property
    def eof(self) -> bool:
        finished: bool = self._brotli.is_finished()
        return finished


def decompressor(content_encoding: str, *, load: Callable[[str], Any] = importlib.import_module) -> Decompressor | None:
    """For an answer with this header; None if its body is plain. Raises UnknownEncoding. load: imports a package."""
    encoding = content_encoding.strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding in ("gzip", "x-gzip"):
        return Decompressor(lambda _: _Inflate(_ZLIB_OR_GZIP), zlib.error)
    if encoding == "deflate":
        return Decompressor(_deflated, zlib.error)
    if encoding == "zstd":
        zstd = _package(load, _ZSTD, encoding, "backports.zstd")
        options = {zstd.DecompressionParameter.window_log_max: _MAX_WINDOW_LOG}
        return Decompressor(lambda _: zstd.ZstdDecompressor(options=options), zstd.ZstdError)
    if encoding == "br":
        brotli = _package(load, "brotli", encoding, "brotli")
        if not hasattr(brotli.Decompressor, "can_accept_more_data"):
            raise _wants(encoding, "brotli 1.2 or newer")  # older ones know no bound
        return Decompressor(lambda _: _Brotli(brotli), brotli.error, joins=False)
    raise UnknownEncoding("an encoding that was not asked for")


def _deflated(data: bytes) -> _Member:
    # RFC 9110 means zlib by "deflate", but some servers leave its header away.
    return _Inflate(_ZLIB_OR_GZIP if data[0] & 0x0F == 8 else _BARE_DEFLATE)


def _package(load: Callable[[str], Any], name: str, encoding: str, wanted: str) -> Any:
    try:
        return load(name)
    except ImportError as error:
        raise _wants(encoding, wanted) from error


def _wants(encoding: str, package: str) -> UnknownEncoding:
    return UnknownEncoding(f"{encoding}, which was not asked for. To have it decoded, install {package}")
