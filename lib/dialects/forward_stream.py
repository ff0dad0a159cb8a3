"""Watches a forwarded stream of server-sent events: where it ends, whether it ends well, and what it says at its end.

The bytes pass without a look at single events. Only whole events leave: the beginning of one that a read cut off waits
for its rest, so that a keep-alive comment, or the news that the stream broke, never lands within an event. Line ends
other than LF are made LF, for which the standard has the same meaning.
"""

from __future__ import annotations

import msgspec

from lib.dialects.forward_tail import DONE, UNREADABLE, frames_in, usage_in
from lib.dialects.forward_wires import Wire
from lib.errors import GatewayError, UpstreamError, Verdict, ended_early
from lib.sse import CR

_TAIL = 16 * 1024
"""Bytes of the stream's end that are kept: the terminal event's usage stands in them, and the last sequence number."""
_MAX_FIRST = 256 * 1024
_MAX_SEEN = 8 * 1024 * 1024
"""Bytes of a stream that are kept for the case that it has to be cut short; beyond that, none is."""
_MAX_DONE = 64
"""Bytes of a `[DONE]` and all that may surround it."""
_BOM = b"\xef\xbb\xbf"


class StreamWatch:
    """One stream. `feed` what comes; then `finish` at the end of the body, or `fail`.

    may_cut: it may have to stop before its time, for which a Responses stream is kept.
    """

    def __init__(self, wire: Wire, *, max_event_bytes: int, may_cut: bool = False) -> None:
        self.ended = False
        """The stream is whole: what comes after it is of no use."""
        self.is_broken = False
        """It ended before its time: by `fail` or `cut`, when not all that matters had come."""
        self._wire = wire
        self._max = max_event_bytes
        self._rest = bytearray()
        """The beginning of an event."""
        self._large = b""
        self._small = bytearray()
        """The last large piece, and what came after it."""
        self._first = b""
        self._after_cr = False
        self._seen: list[bytes] | None = [] if may_cut and wire.cuts_with_all else None
        self._seen_bytes = 0

    def feed(self, chunk: bytes) -> bytes:
        """What may leave: whole events, or nothing. Raises UpstreamError for an event that is too large."""
        if self.ended:
            return b""
        if CR in chunk or self._after_cr:
            chunk = self._with_lf(chunk)
        if self._rest or not chunk.endswith(b"\n\n"):
            chunk = self._whole_events(chunk)
            if not chunk:
                return b""
        if not self._first:
            chunk = self._begun(chunk)
        if self._seen is not None:  # joined and read when it is cut short, and not before
            self._seen.append(chunk)
            self._seen_bytes += len(chunk)
            if self._seen_bytes > _MAX_SEEN:
                self._seen = None
        if len(chunk) >= _TAIL:
            self._large = chunk
            self._small.clear()
        else:
            self._small += chunk
            if len(self._small) > 2 * _TAIL:
                del self._small[:-_TAIL]
        self.ended = self._wire.ends(chunk)
        return chunk

    def finish(self) -> bytes:
        """The body is over: what is missing to a good end. Raises UpstreamError when the answer is not whole."""
        last = self._last_event()
        if self.ended:
            return last
        closing = self._wire.closing(self._first, self._tail())
        if closing is None:
            raise ended_early(bool(self._first))
        self.ended = True
        return last + closing

    def fail(self, error: GatewayError) -> bytes:
        """The end of a stream that broke. Where all that matters had come, well or not, only what was missing to its
        end; nothing when that had come, too. An event that was cut off is dropped."""
        if self.ended:
            return b""
        closing = self._wire.closing(self._first, self._tail()) if self._first else None
        self.ended, self.is_broken = True, closing is None
        return self._wire.broken(error, self._first, self._end()) if closing is None else closing

    def cut(self) -> bytes:
        """The end of a stream that has to stop before its time: as one that reached its limit of tokens, where the API
        has such an end; empty when it has not, or when nothing has come or all has."""
        if self.ended or not self._first:
            return b""
        end = self._wire.closing(self._first, self._tail())
        if end is None:
            end = self._wire.cut(self._first, self._end(), b"".join(self._seen or ()))
            self.is_broken = end is not None
        self.ended = end is not None
        return end or b""

    def usage(self) -> tuple[int | None, int | None]:
        """Input and output tokens, as far as the end of the stream tells."""
        return usage_in(self._tail())

    def error_code(self) -> str | None:
        """The code of a failure that the upstream itself told at the end."""
        return self._wire.error_code(self._tail())

    def _tail(self) -> bytes:
        return (self._large[-_TAIL:] + self._small)[-_TAIL:]

    def _end(self) -> bytes:
        """All that is kept of it: a large event has its number at its beginning."""
        return self._large + self._small

    def _begun(self, chunk: bytes) -> bytes:
        chunk = chunk.removeprefix(_BOM)
        self._first = chunk[:_MAX_FIRST]
        return chunk

    def _with_lf(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk.startswith(b"\n"):  # the second half of a CRLF whose CR already ended the line
            chunk = chunk[1:]
            self._after_cr = False
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _whole_events(self, chunk: bytes) -> bytes:
        """All that is whole of what waits and what came."""
        rest = self._rest
        searched = max(0, len(rest) - 1)  # only the seam can hold a blank line that neither part holds alone
        rest += chunk
        end = rest.rfind(b"\n\n", searched) + 2
        if end < 2:
            end = len(rest) if self._is_bare_done(rest) else 0
        if len(rest) - end > self._max:
            raise UpstreamError(
                f"The upstream sent an event of more than {self._max} bytes.",
                verdict=Verdict.SERVICE,
                code="upstream_bad_response",
            )
        whole = bytes(rest[:end])
        del rest[:end]
        return whole if not whole or whole.endswith(b"\n\n") else whole.rstrip(b"\n") + b"\n\n"

    def _is_bare_done(self, rest: bytearray) -> bool:
        """A `[DONE]` without its blank line, from servers that then keep the connection open."""
        return len(rest) < _MAX_DONE and rest.startswith(b"data:") and rest.endswith((DONE, DONE + b"\n"))

    def _last_event(self) -> bytes:
        """The event that the body ended in without a blank line, if its JSON is whole."""
        rest = bytes(self._rest).rstrip(b"\n") + b"\n\n"
        self._rest.clear()
        try:
            for data in frames_in(rest):
                if data != DONE:
                    msgspec.json.decode(data)
        except UNREADABLE:
            return b""
        return self.feed(rest) if rest.strip() else b""
