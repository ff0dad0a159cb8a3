"""The text of a call's arguments: read as the model meant it, changed only where the schema asks for it.

What needs no change keeps every character: key order, big integers, the digits of a float, the way a string is
escaped. What does is written anew from exact values (floats are decimals here).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec

from lib.prompted import check
from lib.prompted.schema import Schema

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_CONTROL = {code: f"\\u{code:04x}" for code in range(0x20)} | {10: "\\n", 13: "\\r", 9: "\\t"}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_WORDS = {"true": True, "True": True, "false": False, "False": False}
_MAX_DIGITS = 4000
"""Longer integers cannot be read back."""
_MAX_DEPTH = 64


def decode(text: str) -> Any:
    """A JSON value with Decimal for floats. Raises ValueError."""
    try:
        return _DECODER.decode(text.encode())
    except (msgspec.DecodeError, RecursionError, ArithmeticError) as error:
        raise ValueError("not JSON, or beyond its limits") from error


def encode(value: Any) -> str:
    """What `decode` gave, as JSON."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_scalar(key)}:{encode(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(encode, value)) + "]"
    return str(value) if isinstance(value, Decimal) else _scalar(value)


def with_control_characters_escaped(text: str) -> str:
    """JSON whose strings held raw newlines or other control characters, as models write them."""
    pieces = text.split('"')
    inside = False
    for index, piece in enumerate(pieces):
        if inside:
            pieces[index] = piece.translate(_CONTROL)
        # An escaped quote does not end the string: its backslashes are odd in number.
        backslashes = len(piece) - len(piece.rstrip("\\"))
        if not (inside and backslashes % 2):
            inside = not inside
    return '"'.join(pieces)


def fit(text: str, schema: Schema, *, must_validate: bool) -> str | None:
    """The arguments as a JSON object that fits as well as it can without loss; None if it is no object, or does not
    validate though it must. An empty text is `{}`."""
    text = text.strip()
    if text in ("", "null"):
        text = "{}"
    try:
        value = decode(text)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    coerced = coerce(value, schema)
    if coerced is not value:
        value, text = coerced, encode(coerced)
    if must_validate and check.problem(schema, value) is not None:
        return None
    return text


def from_values(values: list[tuple[str, str]], schema: Schema, *, trimmed: bool) -> str | None:
    """Arguments that came as texts, name by name; None if one came twice or does not validate.

    trimmed: each value may stand on lines of its own.
    """
    found: dict[str, Any] = {}
    for name, value in values:
        if name in found:
            return None
        if trimmed:
            value = value.removeprefix("\n").removesuffix("\n")
        property = schema.property(name)
        found[name] = value if property.allows_text() else _from_text(value.strip(), property, 0)
    return encode(found) if check.problem(schema, found) is None else None


def coerce(value: Any, schema: Schema, depth: int = 0) -> Any:
    """The value with texts turned into what the schema asks for; the same object if there is nothing to turn."""
    if depth > _MAX_DEPTH:
        return value
    if isinstance(value, str):
        return value if schema.allows_text() else _from_text(value, schema, depth)
    if isinstance(value, dict):
        changed = {name: coerce(item, schema.property(name), depth + 1) for name, item in value.items()}
        return changed if any(changed[name] is not item for name, item in value.items()) else value
    if isinstance(value, list):
        items = [coerce(item, schema.item(index), depth + 1) for index, item in enumerate(value)]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def _from_text(text: str, schema: Schema, depth: int) -> Any:
    """What a text says in one of the types that the schema allows; the text itself if it says nothing of the kind."""
    types = schema.types() or frozenset()
    if "boolean" in types and text in _WORDS:
        return _WORDS[text]
    if "null" in types and text == "null":
        return None
    if types & {"integer", "number"} and _INTEGER.fullmatch(text) and len(text) < _MAX_DIGITS and text != "-0":
        return int(text)
    wanted = tuple(kind for name, kind in (("number", Decimal), ("object", dict), ("array", list)) if name in types)
    if not wanted:
        return text
    try:
        value = decode(with_control_characters_escaped(text))
    except ValueError:
        return text
    return coerce(value, schema, depth + 1) if isinstance(value, wanted) else text


def _scalar(value: Any) -> str:
    return msgspec.json.encode(value).decode()
