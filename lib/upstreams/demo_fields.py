"""What the demo upstream's forwarded endpoints have in common: reading a body's members, and what an answer is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from lib.errors import InvalidRequest

DEFAULT_MODEL = "demo-mini"

_MAX_MODEL_CHARS = 256
_MAX_SHOWN = 64
_MAX_UNREAD = 50
_HARMLESS = frozenset({"user", "safety_identifier", "metadata"})
"""Members that never change an answer, so that nobody has to be told that they were not used."""
_KINDS = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "an array"}


@dataclass(frozen=True, slots=True)
class Made:
    """One answer: its content type, and its body piece by piece, each made when it is asked for."""

    content_type: str
    pieces: Iterator[bytes]
    paced: bool = False
    """Whether somebody watches the pieces arrive."""
    ignored: Collection[str] = ()
    """What the caller asked for and did not get."""


class Members:
    """A body's members, read one by one; `null` is the same as absent. Everything raises InvalidRequest."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = {name: value for name, value in given.items() if value is not None}
        self._read: set[str] = set()

    @classmethod
    def of_json(cls, content: bytes) -> Members:
        """The members of a JSON object."""
        try:
            return cls(msgspec.json.decode(content, type=dict[str, Any]))
        except msgspec.MsgspecError as error:  # its messages name the position and never the content
            raise InvalidRequest(f"The body is not a JSON object: {error}.", code="invalid_json") from error
        except (UnicodeDecodeError, RecursionError) as error:
            raise InvalidRequest("The body is not valid JSON.", code="invalid_json") from error

    def take(self, name: str) -> Any:
        """The value of a member; None when it is not there."""
        self._read.add(name)
        return self._given.get(name)

    def model(self) -> str:
        """The model's name, which is reported back whatever it is."""
        return self.text("model", max_chars=_MAX_MODEL_CHARS, default="") or DEFAULT_MODEL

    def text(self, name: str, *, max_chars: int | None = None, default: str | None = None) -> str:
        """A string; one without a default is required and not empty."""
        value = self.take(name)
        if value is None and default is not None:
            return default
        if value is None:
            raise missing(name)
        if type(value) is not str:
            raise wrong_type(name, "a string", value)
        if not value and default is None:
            raise wrong_value(name, "a string that is not empty", value, code="empty_string")
        if max_chars is not None and len(value) > max_chars:
            raise InvalidRequest(
                f"Invalid '{name}': string too long. Expected a string with maximum length {max_chars}, "
                f"but got a string with length {len(value)} instead.",
                param=name,
                code="string_above_max_length",
            )
        return value

    def choice(self, name: str, allowed: Collection[str], default: str) -> str:
        """One of some strings."""
        value = self.text(name, default=default)
        if value not in allowed:
            raise wrong_value(name, "one of " + ", ".join(f"'{each}'" for each in allowed), value)
        return value

    def boolean(self, name: str) -> bool:
        """A boolean; absent means false."""
        value = self.take(name)
        if value is not None and type(value) is not bool:
            raise wrong_type(name, "a boolean", value)
        return bool(value)

    def integer(self, name: str, low: int, high: int | None = None) -> int | None:
        """A whole number between bounds, both included."""
        value = self.take(name)
        if value is None:
            return None
        if type(value) is not int:
            raise wrong_type(name, "an integer", value)
        if value < low:
            raise wrong_value(name, f"an integer of at least {low}", value, code="integer_below_min_value")
        if high is not None and value > high:
            raise wrong_value(name, f"an integer of at most {high}", value, code="integer_above_max_value")
        return value

    def number(self, name: str, low: float, high: float, default: float) -> float:
        """A number between bounds, both included."""
        value = self.take(name)
        if value is None:
            return default
        if type(value) not in (int, float):
            raise wrong_type(name, "a number", value)
        if value < low:
            raise wrong_value(name, f"a number of at least {low}", value, code="decimal_below_min_value")
        if value > high:
            raise wrong_value(name, f"a number of at most {high}", value, code="decimal_above_max_value")
        return float(value)

    def unread(self) -> list[str]:
        """The names of the members that nobody took, in order; of very many, the first."""
        return sorted(set(self._given) - self._read - _HARMLESS)[:_MAX_UNREAD]


def missing(param: str) -> InvalidRequest:
    """A required member is not there."""
    return InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def wrong_type(param: str, expected: str, value: Any) -> InvalidRequest:
    """A value of the wrong JSON type."""
    return InvalidRequest(
        f"Invalid type for '{param}': expected {expected}, but got {_KINDS.get(type(value), 'an object')} instead.",
        param=param,
        code="invalid_type",
    )


def wrong_value(param: str, expected: str, value: Any, *, code: str = "invalid_value") -> InvalidRequest:
    """A value of the right type that is out of bounds."""
    return InvalidRequest(
        f"Invalid value for '{param}': expected {expected}, but got {_shown(value)}.", param=param, code=code
    )


def _shown(value: Any) -> str:
    if type(value) is str:
        cut = value if len(value) <= _MAX_SHOWN else value[:_MAX_SHOWN] + "…"
        return "'" + printable(cut) + "'"
    if type(value) is int and value.bit_length() > 64:
        return "a very large number"
    return str(value) if type(value) in (bool, int, float) else _KINDS.get(type(value), "an object")


def printable(text: str) -> str:
    """The text without line ends and control characters, so that it stays on one line."""
    return "".join(char if char.isprintable() else "�" for char in text)


def json_answer(value: Any, members: Members) -> Made:
    """A whole body of JSON."""
    return Made("application/json", iter([msgspec.json.encode(value)]), ignored=members.unread())
