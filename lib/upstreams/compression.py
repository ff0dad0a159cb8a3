"""Compressed answers, decompressed piece by piece. No socket."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

_MAX_PIECE = 256 * 1024
"""What is made of the input at a time, so that a small input cannot fill the memory: the reader stops the rest."""

_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS
_BARE_DEFLATE = -zlib.MAX_WBITS


class UnknownEncoding(ValueError):
    """A `Content-Encoding` other than gzip, deflate and identity."""


class Decompressor:
    """Input in any cut → pieces of at most 256 KiB. Raises zlib.error on what is not compressed data."""

    def __init__(self, encoding: str) -> None:
        self._inflate = zlib.decompressobj(_ZLIB_OR_GZIP)
        self._may_be_bare = encoding == "deflate"
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pieces that this input completes; made as they are taken."""
        while data := data.lstrip(b"\0") if self._inflate.eof else data:  # padding may follow the end
            inflate = self._started(data)
            piece = inflate.decompress(data, _MAX_PIECE)
            if piece:
                yield piece
            data = inflate.unconsumed_tail
            if len(piece) == _MAX_PIECE and not data:
                # The output was cut at the bound: more may be inside although all input is taken.
                while piece := inflate.decompress(b"", _MAX_PIECE):
                    yield piece
            if inflate.eof:
                data = inflate.unused_data  # another member of a gzip file

    @property
    def whole(self) -> bool:
        """Whether the input so far is complete."""
        return self._inflate.eof or not self._fed

    def _started(self, data: bytes) -> zlib._Decompress:
        if self._inflate.eof:
            self._inflate = zlib.decompressobj(_ZLIB_OR_GZIP)
        elif not self._fed and self._may_be_bare and data[0] & 0x0F != 8:
            # RFC 9110 means zlib by "deflate", but some servers leave its header away.
            self._inflate = zlib.decompressobj(_BARE_DEFLATE)
        self._fed = True
        return self._inflate


def decompressor(content_encoding: str) -> Decompressor | None:
    """For an answer with this header; None if its body is plain. Raises UnknownEncoding."""
    encoding = content_encoding.strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise UnknownEncoding(encoding)
    return Decompressor(encoding)
