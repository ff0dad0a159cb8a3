"""Server-sent events as bytes: frames in, frames out; no socket and no JSON.

Follows the WHATWG event stream format, with one liberty: a last frame without its blank line is handed out by
`flush`, because upstreams do end like that. Lines end at LF, CR or CRLF and nowhere else: payloads hold U+2028,
U+2029 and U+0085 unescaped, so `str.splitlines` is no tool for this job.
"""

from __future__ import annotations

import io

KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"

Frame = tuple[bytes, bytes]
"""One dispatched event: its name (empty if the stream gave none) and its joined data lines."""

_BOM = b"\xef\xbb\xbf"
CR = 0x0D
"""As a number: `in` raises and catches a TypeError before it takes bytes."""

_MAX_ONLY = 2048
"""Chunks up to this size may be one frame of a live model; larger ones hold many."""


class FrameTooLarge(Exception):
    """A frame grew beyond the decoder's limit."""


class Decoder:
    """Bytes in any cut → frames. The result does not depend on where the bytes were cut."""

    def __init__(self, max_frame_bytes: int) -> None:
        self._max = max_frame_bytes
        self._max_only = min(max_frame_bytes, _MAX_ONLY)
        self._buffer = bytearray()
        self._name = self._head = b""
        """The name of the last single frame, and how that began: with this name, up to its data. Without a head there
        is nothing to compare with: at the start, and while part of a frame or of a line end waits for the rest."""
        self._after_cr = False
        self._at_start = True
        self._too_large = False

    def feed(self, chunk: bytes) -> list[Frame]:
        """Frames completed by this chunk, in order. Raises FrameTooLarge, once every frame before it is handed out."""
        if self._head and len(chunk) <= self._max_only and CR not in chunk:
            # Live models send one frame in each chunk, and most begin as the one before. Methods that take one argument
            # and no position, and memchr, cost a quarter of what a pattern does.
            rest = chunk.removeprefix(self._head)
            if rest is not chunk:  # something was removed
                data, _, end = rest.partition(b"\n")
                if end == b"\n":
                    return [(self._name, data)]
        self._head = b""
        return self._feed(chunk)

    def _feed(self, chunk: bytes) -> list[Frame]:
        if self._too_large:
            raise self._error()
        if self._at_start or self._after_cr or CR in chunk:
            chunk = self._normalised(chunk)
            if not chunk:
                return []
        buffer = self._buffer
        if not buffer and len(chunk) <= self._max_only and (only := self._only(chunk)) is not None:
            return [only]
        if buffer:
            searched = max(0, len(buffer) - 1)  # only the seam can hold a blank line that neither part holds alone
            buffer += chunk
            if buffer.find(b"\n\n", searched) < 0:
                return self._bounded([], buffer)
            chunk = bytes(buffer)
            buffer.clear()
        end = chunk.rfind(b"\n\n") + 2
        if end < 2:
            buffer += chunk
            return self._bounded([], buffer)
        if end < len(chunk):
            buffer += chunk[end:]
            chunk = chunk[:end]
        frames = _usual(chunk) if end <= self._max else None
        if frames is None:
            frames = self._frames(chunk.split(b"\n\n"))
        return self._bounded(frames, buffer) if buffer else frames

    def flush(self) -> list[Frame]:
        """The frame that the stream ended in without a blank line, if it has data. Raises FrameTooLarge."""
        if self._too_large:
            raise self._error()
        block = bytes(self._buffer)
        self._buffer.clear()
        frame = _parse(block)
        return [] if frame is None else [frame]

    def _only(self, chunk: bytes) -> Frame | None:
        """The frame of a chunk that is one usual frame and nothing else; None for any other."""
        first, _, after = chunk.partition(b"\n")
        name = first.removeprefix(b"event: ")
        rest = after.removeprefix(b"data: ")
        data, _, end = rest.partition(b"\n")
        if name is first or rest is after or end != b"\n":
            return None
        if not self._after_cr:
            self._name, self._head = name, chunk[: len(chunk) - len(rest)]
        return name, data

    def _normalised(self, chunk: bytes) -> bytes:
        if self._at_start and chunk:
            chunk = self._without_bom(chunk)
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[:1] == b"\n":  # the second half of a CRLF whose CR already ended the line
                chunk = chunk[1:]
        if CR in chunk:
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

    def _frames(self, blocks: list[bytes]) -> list[Frame]:
        frames: list[Frame] = []
        for block in blocks:
            if self._is_too_large(block):
                return self._refused(frames)
            frame = _parse(block)
            if frame is not None:
                frames.append(frame)
        return frames

    def _bounded(self, frames: list[Frame], rest: bytearray) -> list[Frame]:
        """`rest`: the beginning of the next frame."""
        return self._refused(frames) if self._is_too_large(rest) else frames

    def _is_too_large(self, block: bytes | bytearray) -> bool:
        # Line ends around a frame are blank lines, or halves of one, and no part of it.
        return len(block) > self._max and len(block.strip(b"\n")) > self._max

    def _refused(self, frames: list[Frame]) -> list[Frame]:
        self._too_large = True
        self._buffer.clear()
        if not frames:
            raise self._error()
        return frames

    def _error(self) -> FrameTooLarge:
        return FrameTooLarge(f"an event of more than {self._max} bytes")


def _usual(chunk: bytes) -> list[Frame] | None:
    """The frames of a chunk of nothing but usual ones: all with a name, or all without one; None for any other.

    What a line is follows from its place; that costs two thirds of a search with a pattern. `readlines` finds line ends
    with memchr, where `split` looks at each byte.
    """
    lines = io.BytesIO(chunk).readlines()
    if lines[0].startswith(b"data: "):
        frames = [(b"", data[6:-1]) for data in lines[::2] if data.startswith(b"data: ")]
        size = 2
    else:
        pairs = zip(lines[::3], lines[1::3], strict=False)
        frames = [
            (name[7:-1], data[6:-1])
            for name, data in pairs
            if name.startswith(b"event: ") and data.startswith(b"data: ")
        ]
        size = 3
    blank = lines[size - 1 :: size].count(b"\n")
    return frames if len(lines) == len(frames) * size == blank * size else None


def _parse(block: bytes) -> Frame | None:
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
    return name, b"\n".join(data)


def encode(data: bytes, event: str | None = None) -> bytes:
    """One frame. `data` is JSON and so holds no raw line end."""
    if event is None:
        return b"data: %b\n\n" % data
    return b"event: %b\ndata: %b\n\n" % (event.encode(), data)
