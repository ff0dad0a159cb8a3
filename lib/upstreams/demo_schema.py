"""A value that fits a JSON schema: the demo upstream's way to fill in tool arguments and structured answers.

Covers what tool schemas use: types and type unions, `enum`, `const`, `default`, `examples`, objects with `required`
and `additionalProperties`, arrays with `minItems` and `prefixItems`, `anyOf`, `oneOf`, `allOf`, `$ref` inside the
schema, lengths, bounds, `multipleOf` and the common formats. `pattern`, `not`, `uniqueItems` and conditionals are not
looked at. The value is always the same for the same schema. Depth, size and time are bounded, whatever the schema asks
for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from lib.upstreams.demo_numbers import integer, number
from lib.upstreams.demo_resolve import Flat, Resolver, count, members, types

_MAX_DEPTH = 24
_DEEP = 4
"""From this depth on only what must be there is filled in, so that a recursive schema comes to its end."""
_MAX_ITEMS = 256
_MAX_LENGTH = 1024
_MAX_SIZE = 32_768
"""Characters of JSON, about; what is optional may use a quarter of them."""
_WEIGHT = 8
"""Characters that a value takes beside its own text, about."""

_FORMATS = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "duration": "PT1H",
    "email": "demo@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_KINDS: Mapping[Any, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


def example(schema: Any, text: str = "demo") -> Any:
    """A value for the schema; plain strings in it are `text`. Raises ValueError when the schema is malformed."""
    try:
        return _Sampler(schema, text).value(schema, 0)
    except (TypeError, AttributeError, LookupError, ValueError, OverflowError) as error:
        raise ValueError("a keyword of the JSON schema has a value of the wrong kind") from error


class _Sampler:
    """Makes one value. `_size` is what it has taken so far."""

    def __init__(self, root: Any, text: str) -> None:
        self._schemas = Resolver(root)
        self._text = text
        self._size = 0
        self._makers = {"object": self._object, "array": self._array, "string": self._string}

    def value(self, schema: Any, depth: int) -> Any:
        if depth > _MAX_DEPTH or self._spent():
            return self._text
        flat = self._schemas.flat(schema, _MAX_DEPTH - depth, lean=self._lean(depth))
        self._size += _WEIGHT
        given = _given(flat)
        if given:
            self._size += len(msgspec.json.encode(given[0]))
            return given[0]
        kind = next((kind for kind in types(flat) if kind != "null"), "null") if types(flat) else _implied(flat)
        if kind in ("integer", "number"):
            return integer(flat) if kind == "integer" else number(flat)
        if kind in ("boolean", "null"):
            return True if kind == "boolean" else None
        return self._makers.get(kind, self._string)(flat, depth)

    def _spent(self) -> bool:
        return self._size > _MAX_SIZE or self._schemas.spent

    def _lean(self, depth: int) -> bool:
        """Whether what is optional stays away."""
        return depth >= _DEEP or self._size > _MAX_SIZE // 4

    def _optional(self, schema: Any, depth: int) -> bool:
        return not self._lean(depth) and self._schemas.fits(schema, _MAX_DEPTH - depth - 1)

    def _object(self, schema: Flat, depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = dict.fromkeys(schema.get("required") or ())
        others = schema.get("additionalProperties", True)
        filled: dict[str, Any] = {}
        for name in [*(() if self._lean(depth) else properties), *required]:
            if self._spent():
                break
            if name in filled or not (name in required or self._optional(properties[name], depth)):
                continue
            self._size += len(name)
            filled[name] = self.value(properties.get(name, others), depth + 1)
        return filled

    def _array(self, schema: Flat, depth: int) -> list[Any]:
        first, rest = members(schema)
        least = min(count(schema, "minItems", 0), _MAX_ITEMS)
        most = count(schema, "maxItems", _MAX_ITEMS)
        wanted = max(least, len(first) or int("items" in schema))
        made: list[Any] = []
        for index in range(min(wanted, most)):
            member = first[index] if index < len(first) else rest
            if self._spent() or (index >= least and not self._optional(member, depth)):
                break
            made.append(self.value(member, depth + 1))
        return made

    def _string(self, schema: Flat, depth: int) -> str:
        text = _FORMATS.get(schema.get("format", ""), self._text)
        least = min(count(schema, "minLength", 0), _MAX_LENGTH)
        if len(text) < least:
            text = (text or "x") * math.ceil(least / max(len(text), 1))
            text = text[:least]
        text = text[: count(schema, "maxLength", len(text))]
        self._size += len(text)
        return text


def _given(schema: Flat) -> list[Any]:
    """The value that the schema itself gives, if it does: alone in a list, because it may be None."""
    if "const" in schema:
        return [schema["const"]]
    values = schema.get("enum") or ()
    fitting = next(([value] for value in values if _is_of_type(value, schema)), [])
    if values:
        return fitting or [values[0]]
    hints = [*(schema.get("examples") or ())[:1], *([schema["default"]] if "default" in schema else ())]
    return next(([value] for value in hints if _is_of_type(value, schema)), [])


def _is_of_type(value: Any, schema: Flat) -> bool:
    named = types(schema)
    if isinstance(value, bool) and named:
        return "boolean" in named
    return not named or any(isinstance(value, _KINDS.get(kind, ())) for kind in named)


def _implied(schema: Flat) -> str:
    """The type that the keywords speak of when none is named."""
    if "properties" in schema or "required" in schema or "additionalProperties" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema or "minItems" in schema:
        return "array"
    return "number" if "minimum" in schema or "maximum" in schema else "string"
