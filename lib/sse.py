"""Server-sent events as bytes: frames in, frames out; no socket and no JSON.

Follows the WHATWG event stream format, with one liberty: a last frame without its blank line is handed out by
`flush`, because upstreams do end like that. Lines end at LF, CR or CRLF and nowhere else: payloads hold U+2028,
U+2029 and U+0085 unescaped, so `str.splitlines` is no tool for this job.
"""

from __future__ import annotations

import re
from typing import NamedTuple

KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"

_BOM = b"\xef\xbb\xbf"
_USUAL = re.compile(rb"(?:event: ([^\n]*)\n)?data: ([^\n]*)")
"""What nearly all frames look like; one match costs a third of a walk along the lines."""


class Frame(NamedTuple):
    """One dispatched event: its name (empty if the stream gave none) and its joined data lines."""

    event: str
    data: bytes


class FrameTooLarge(Exception):
    """A frame grew beyond the decoder's limit."""


class Decoder:
    """Bytes in any cut → frames. The result does not depend on where the bytes were cut."""

    def __init__(self, max_frame_bytes: int) -> None:
        self._max = max_frame_bytes
        self._buffer = bytearray()
        self._after_cr = False
        self._at_start = True
        self._too_large = False

    def feed(self, chunk: bytes) -> list[Frame]:
        """Frames completed by this chunk, in order. Raises FrameTooLarge, once every frame before it is handed out."""
        if self._too_large:
            raise self._error()
        chunk = self._normalised(chunk)
        if not chunk:
            return []
        buffer = self._buffer
        if not buffer:
            *blocks, rest = chunk.split(b"\n\n")
        else:
            # Only the seam can hold a blank line that neither part holds alone.
            searched = max(0, len(buffer) - 1)
            buffer += chunk
            if buffer.find(b"\n\n", searched) < 0:
                return self._frames([], buffer)
            *blocks, rest = bytes(buffer).split(b"\n\n")
            buffer.clear()
        buffer += rest
        return self._frames(blocks, rest)

    def flush(self) -> list[Frame]:
        """The frame that the stream ended in without a blank line, if it has data. Raises FrameTooLarge."""
        if self._too_large:
            raise self._error()
        block = bytes(self._buffer)
        self._buffer.clear()
        frame = _parse(block)
        return [] if frame is None else [frame]

    def _normalised(self, chunk: bytes) -> bytes:
        if self._at_start and chunk:
            chunk = self._without_bom(chunk)
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[:1] == b"\n":  # the second half of a CRLF whose CR already ended the line
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk

    def _without_bom(self, chunk: bytes) -> bytes:
        chunk = bytes(self._buffer) + chunk
        self._buffer.clear()
        if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
            self._buffer += chunk  # maybe the beginning of a byte order mark
            return b""
        self._at_start = False
        return chunk.removeprefix(_BOM)

    def _frames(self, blocks: list[bytes], rest: bytes | bytearray) -> list[Frame]:
        frames: list[Frame] = []
        for block in blocks:
            if len(block) > self._max:
                return self._refused(frames)
            frame = _parse(block)
            if frame is not None:
                frames.append(frame)
        # A line end at the end may be the first half of a blank line, which is no part of the frame.
        if len(rest) > self._max and len(rest) - rest.endswith(b"\n") > self._max:
            return self._refused(frames)
        return frames

    def _refused(self, frames: list[Frame]) -> list[Frame]:
        self._too_large = True
        self._buffer.clear()
        if not frames:
            raise self._error()
        return frames

    def _error(self) -> FrameTooLarge:
        return FrameTooLarge(f"an event of more than {self._max} bytes")


def _parse(block: bytes) -> Frame | None:
    usual = _USUAL.fullmatch(block)
    if usual is not None:
        name, text = usual.groups(b"")
        return tuple.__new__(Frame, (name.decode("utf-8", "replace"), text))  # a third of the cost of Frame(…)
    return _parse_lines(block)


def _parse_lines(block: bytes) -> Frame | None:
    name = b""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        if line.startswith(b"data: "):
            data.append(line[6:])
        elif line.startswith(b"event:"):
            name = line[6:].removeprefix(b" ")
        elif line.startswith(b"data:"):
            data.append(line[5:])
        elif line == b"data":
            data.append(b"")
        elif line == b"event":
            name = b""
        # `id:`, `retry:`, comments and unknown fields say nothing that a gateway needs
    if not data:
        return None
    return Frame(name.decode("utf-8", "replace"), data[0] if len(data) == 1 else b"\n".join(data))


def encode(data: bytes, event: str | None = None) -> bytes:
    """One frame. `data` is JSON and so holds no raw line end."""
    if event is None:
        return b"data: %b\n\n" % data
    return b"event: %b\ndata: %b\n\n" % (event.encode(), data)
