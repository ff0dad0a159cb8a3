"""How the streams of forwarded endpoints end, well or not.

    chat, completions       at `data: [DONE]`; or, where a server leaves that out, at the end of the body when the last
                            chunk of each choice had a finish reason
    responses and others    after an event of a terminal type; in a Responses stream `error` is none yet, because
                            `response.failed` follows it

JSON escapes line ends and quotes, so neither can stand within a text: what begins a line is an event's own. All bytes
here have LF for their line ends.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

import msgspec

from lib import sse
from lib.dialects.forward_tail import DONE, MAX_CODE, UNREADABLE, error_code_in, frames_in
from lib.dialects.responses_object import error_code
from lib.errors import GatewayError

_DONE_LINES = re.compile(rb"(?:\A|\n)data: ?\[DONE\][ \t]*\n+\Z")
_MAX_DONE = 64
"""Bytes of a `[DONE]` and all that may surround it."""
_KIND = re.compile(rb'event: ?([^\n]*)\n|data: ?\{"type": ?"([^"]*)"')
_COMMON = ("id", "object", "created", "model")
"""What all chunks of an answer share."""
_NUMBER = re.compile(rb'"sequence_number": ?(\d{1,15})')


class Wire(Protocol):
    """What distinguishes the streams of one kind of endpoint. Keeps nothing: one serves all streams."""

    cuts_with_all: bool
    """Whether `cut` has a use for all that was said."""

    def ends(self, piece: bytes) -> bool:
        """Whether the last of these whole events is the last of the stream."""

    def closing(self, first: bytes, tail: bytes) -> bytes | None:
        """For a body that ended before `ends` said so: what is still missing; None if the answer is not whole."""

    def broken(self, error: GatewayError, first: bytes, tail: bytes) -> bytes:
        """The end of a stream that broke; `first` is how it began."""

    def cut(self, first: bytes, tail: bytes, seen: bytes) -> bytes | None:
        """The end of a stream that has to stop in the middle, as if it had reached its limit of tokens; None where the
        API has no such end. seen: all events, or none where they are not known any more."""

    def error_code(self, tail: bytes) -> str | None:
        """The code of the failure that the upstream told at the end; None if it ended well."""


class DoneWire:
    """Chat Completions, and the older Completions."""

    cuts_with_all = False

    def ends(self, piece: bytes) -> bool:
        start = max(0, len(piece) - _MAX_DONE)  # nowhere else, because a search through all of it has its price
        return piece.find(DONE, start) >= 0 and _DONE_LINES.search(piece, start) is not None

    def closing(self, first: bytes, tail: bytes) -> bytes | None:
        frames = frames_in(tail)
        if DONE in frames:
            return b""
        reasons = _reasons(frames)
        if reasons is None:
            return sse.DONE
        return sse.DONE if reasons and all(reasons.values()) else None

    def broken(self, error: GatewayError, first: bytes, tail: bytes) -> bytes:
        return sse.encode(msgspec.json.encode(error.envelope())) + sse.DONE

    def cut(self, first: bytes, tail: bytes, seen: bytes) -> bytes | None:
        frames = [*frames_in(first), *frames_in(tail)]
        chunk = _chunk_of(frames)
        if chunk is None:
            return None
        nothing: dict[str, Any] = {"text": ""} if chunk.get("object") == "text_completion" else {"delta": {}}
        last: dict[str, Any] = {name: chunk[name] for name in _COMMON if name in chunk}
        reasons = _reasons(frames) or {}
        cut_off = sorted(index for index, reason in reasons.items() if not reason) or [0]
        last["choices"] = [{"index": index, **nothing, "finish_reason": "length"} for index in cut_off]
        return sse.encode(msgspec.json.encode(last)) + sse.DONE

    def error_code(self, tail: bytes) -> str | None:
        frames = [data for data in frames_in(tail) if data != DONE]
        return error_code_in(frames[-1]) if frames and frames[-1].startswith(b'{"error"') else None


class TypedWire:
    """Streams whose events have types, one of which ends them: `good` or `bad`."""

    def __init__(self, good: frozenset[str], bad: frozenset[str], *, is_responses: bool = False) -> None:
        self._bad = bad
        self._ends = good | (bad - {_ERROR} if is_responses else bad)
        self._is_responses = self.cuts_with_all = is_responses

    def ends(self, piece: bytes) -> bool:
        return _last_kind(piece) in self._ends

    def closing(self, first: bytes, tail: bytes) -> bytes | None:
        # What follows a terminal event in the same read does not make its answer less whole.
        kinds = _kinds(tail)
        if not self._ends.isdisjoint(kinds):
            return b""
        if _ERROR not in kinds:
            return None
        told = _error_of(tail)
        message = told.get("message")
        return self._failed(first, tail, told.get("code"), message if isinstance(message, str) else "It failed.")

    def broken(self, error: GatewayError, first: bytes, tail: bytes) -> bytes:
        """`error`, its details nested (the SDKs raise on those) and flat (the schema's form). A Responses stream then
        fails as a whole, too, when it said what it is."""
        details = error.envelope()["error"]
        event = {"type": "error", **{name: details[name] for name in ("code", "message", "param")}, "error": details}
        if not self._is_responses:
            return sse.encode(msgspec.json.encode(event), "error")
        end = sse.encode(msgspec.json.encode({**event, "sequence_number": _next_number(tail)}), "error")
        return end + self._failed(first, tail + end, error_code(error.code, error.status), error.message)

    def cut(self, first: bytes, tail: bytes, seen: bytes) -> bytes | None:
        response = _response_of(first) if self._is_responses else None
        if response is None:
            return None
        from lib.dialects.forward_cut import cut_short

        return cut_short(response, seen, _next_number(tail))

    def error_code(self, tail: bytes) -> str | None:
        # The head of a long terminal event is not in the tail, but a failed answer is short.
        if self._bad.isdisjoint(_kinds(tail)):
            return None
        code = _error_of(tail).get("code")
        return code[:MAX_CODE] if isinstance(code, str) and code else error_code_in(tail)

    def _failed(self, first: bytes, tail: bytes, code: Any, message: str) -> bytes:
        """The terminal event of a Response that failed; nothing if the stream did not say what it is."""
        response = _response_of(first)
        if response is None:
            return b""
        reason = {"code": code if isinstance(code, str) else "server_error", "message": message}
        failed = {**response, "status": "failed", "error": reason}
        event = {"type": "response.failed", "response": failed, "sequence_number": _next_number(tail)}
        return sse.encode(msgspec.json.encode(event), "response.failed")


_ERROR = "error"
CHAT: Wire = DoneWire()
RESPONSES: Wire = TypedWire(
    frozenset({"response.completed", "response.incomplete"}),
    frozenset({"response.failed", _ERROR}),
    is_responses=True,
)
SPEECH: Wire = TypedWire(frozenset({"speech.audio.done"}), frozenset({_ERROR}))
TRANSCRIPT: Wire = TypedWire(frozenset({"transcript.text.done"}), frozenset({_ERROR}))


class _Choice(msgspec.Struct):
    index: int = 0
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    error: Any = None


class _Typed(msgspec.Struct):
    type: str


def _reasons(frames: list[bytes]) -> dict[int, str | None] | None:
    """Choice → why it has ended, as far as these chunks tell; None when one of them is an error."""
    reasons: dict[int, str | None] = {}
    for data in frames:
        try:
            chunk = msgspec.json.decode(data, type=_Chunk)
        except UNREADABLE:
            continue  # the tail begins within this event, or it is none of this API
        if chunk.error is not None:
            return None
        reasons.update((choice.index, choice.finish_reason) for choice in chunk.choices or ())
    return reasons


def _chunk_of(frames: list[bytes]) -> dict[str, Any] | None:
    """The first chunk with a choice, which says what all share: Azure's very first says nothing, not even its name."""
    found = [chunk for chunk in map(_decoded, frames) if chunk is not None and isinstance(chunk.get("choices"), list)]
    return next((chunk for chunk in found if chunk["choices"]), found[0] if found else None)


def _last_kind(piece: bytes) -> str:
    """The type of the last whole event; comments and further blank lines are none."""
    end = len(piece)
    while end > 0:
        start = piece.rfind(b"\n\n", 0, max(0, end - 2)) + 2
        if start < 2:
            start = 0
        if piece[start : start + 1] not in (b":", b"\n", b""):
            return _kind(piece, start, end)
        end = start
    return ""


def _kinds(tail: bytes) -> set[str]:
    return {_kind(event + b"\n", 0, len(event) + 1) for event in tail.split(b"\n\n")}


def _kind(events: bytes, start: int, end: int) -> str:
    """The type of the event that stands there; its name, if it has one, is taken for it."""
    found = _KIND.match(events, start, end)
    if found is not None:
        return (found[1] or found[2] or b"").decode("utf-8", "replace").strip()
    for data in frames_in(events[start:end]):
        try:
            return msgspec.json.decode(data, type=_Typed).type
        except UNREADABLE:
            return ""
    return ""


def _error_of(tail: bytes) -> dict[str, Any]:
    """The details of the last `error` event, which stand in an object of their own or beside the type."""
    for data in reversed(frames_in(tail)):
        try:
            event = msgspec.json.decode(data)
        except UNREADABLE:
            continue
        if isinstance(event, dict) and event.get("type") == _ERROR:
            return event["error"] if isinstance(event.get("error"), dict) else event
    return {}


def _next_number(tail: bytes) -> int:
    numbers = _NUMBER.findall(tail)
    return int(numbers[-1]) + 1 if numbers else 0


def _decoded(data: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(data)
    except UNREADABLE:
        return None
    return found if isinstance(found, dict) else None


def _response_of(first: bytes) -> dict[str, Any] | None:
    """The Response object of the first event."""
    frames = frames_in(first)
    response = ((_decoded(frames[0]) if frames else None) or {}).get("response")
    return response if isinstance(response, dict) else None
