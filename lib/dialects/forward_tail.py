"""What the end of a forwarded answer says: decoded once, when it is over."""

from __future__ import annotations

import re
from typing import Any

import msgspec

DONE = b"[DONE]"
"""The data of the event that ends a chat stream."""
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_OBJECT = re.compile(rb"\s*:\s*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})")
"""The value of a member: an object of objects without further ones, as usage and errors are."""
_MAX_TRIES = 4
MAX_CODE = 64


def frames_in(events: bytes) -> list[bytes]:
    """The data of each event; comments and other lines are left out. Lines end at LF."""
    frames = []
    for event in events.split(b"\n\n"):
        lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
        if lines:
            frames.append(b"\n".join(lines).strip())
    return frames


def usage_in(tail: bytes) -> tuple[int | None, int | None]:
    """Input and output tokens, from the last usage object that has any; both APIs' names for them."""
    for usage in _objects(tail, b'"usage"'):
        counts = (
            _count(usage, "input_tokens", "prompt_tokens"),
            _count(usage, "output_tokens", "completion_tokens"),
        )
        if counts != (None, None):
            return counts
    return None, None


def error_code_in(tail: bytes) -> str:
    """The code, or else the type, of the last error object."""
    for error in _objects(tail, b'"error"'):
        for name in ("code", "type"):
            if isinstance(error.get(name), str) and error[name]:
                return str(error[name])[:MAX_CODE]
    return "upstream_error"


def _objects(tail: bytes, key: bytes) -> list[dict[str, Any]]:
    """The objects that are values of this key, the last first. Only a key can look like that: within a string its
    quotes would be escaped."""
    found = []
    at = len(tail)
    for _ in range(_MAX_TRIES):
        at = tail.rfind(key, 0, at)
        if at < 0:
            break
        match = _OBJECT.match(tail, at + len(key))
        if match is None:
            continue
        try:
            found.append(msgspec.json.decode(match[1], type=dict[str, Any]))
        except UNREADABLE:
            continue
    return found


def _count(usage: dict[str, Any], *names: str) -> int | None:
    return next((usage[name] for name in names if type(usage.get(name)) is int), None)
