"""A value that fits a JSON schema: the demo upstream's way to fill in tool arguments and structured answers.

Covers what tool schemas use: types and type unions, `enum`, `const`, `default`, `examples`, objects with `required`
and `additionalProperties`, arrays with `minItems` and `prefixItems`, `anyOf`, `oneOf`, `allOf`, `$ref` inside the
schema, lengths, bounds, `multipleOf` and the common formats. `pattern`, `not`, `uniqueItems` and conditionals are not
looked at. The value is always the same for the same schema. Depth and size are bounded, whatever the schema asks for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_MAX_DEPTH = 12
_MAX_ITEMS = 32
_MAX_LENGTH = 1024
_MAX_VALUES = 1000

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


def example(schema: Any, text: str = "demo") -> Any:
    """A value for the schema; plain strings in it are `text`. Raises ValueError when the schema is malformed."""
    if not isinstance(schema, Mapping):
        raise ValueError("a JSON schema is an object")
    try:
        return _Sampler(schema, text).value(schema, 0)
    except (TypeError, AttributeError, KeyError, OverflowError) as error:
        raise ValueError("a keyword of the JSON schema has a value of the wrong kind") from error


class _Sampler:
    def __init__(self, root: Mapping[str, Any], text: str) -> None:
        self._root = root
        self._text = text
        self._made = 0
        self._makers = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
        }

    def value(self, schema: Any, depth: int) -> Any:
        self._made += 1
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH or self._made > _MAX_VALUES:
            return self._text
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        for key in ("enum", "examples"):
            if isinstance(schema.get(key), Sequence) and schema[key]:
                return schema[key][0]
        if schema.get("default") is not None:
            return schema["default"]
        for key in ("anyOf", "oneOf"):
            branches = schema.get(key)
            if isinstance(branches, Sequence) and branches:
                return self.value(self._branch(schema, key, branches), depth + 1)
        return self._typed(schema, depth)

    def _typed(self, schema: Mapping[str, Any], depth: int) -> Any:
        kind = schema.get("type")
        if isinstance(kind, Sequence) and not isinstance(kind, str):
            kind = next((name for name in kind if name != "null"), "null")
        if kind is None:
            kind = _implied(schema)
        if kind == "boolean":
            return True
        if kind == "null":
            return None
        return self._makers.get(kind, self._string)(schema, depth)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """With `$ref` followed and `allOf` merged."""
        for _ in range(_MAX_DEPTH):
            target = schema.get("$ref")
            if not isinstance(target, str):
                break
            schema = {**self._target(target), **{key: value for key, value in schema.items() if key != "$ref"}}
        merged = dict(schema)
        for part in schema.get("allOf") or ():
            _merge(merged, self._target(part["$ref"]) if "$ref" in part else part)
        return merged

    def _target(self, reference: str) -> Mapping[str, Any]:
        found: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def _branch(self, schema: Mapping[str, Any], key: str, branches: Sequence[Any]) -> Mapping[str, Any]:
        """The first branch that is not null, joined with what stands beside the alternatives."""
        usable = [self._resolved(branch) for branch in branches if isinstance(branch, Mapping)]
        chosen = next((branch for branch in usable if branch.get("type") != "null"), {"type": "null"})
        joined = {name: value for name, value in schema.items() if name != key}
        _merge(joined, chosen)
        return joined

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = schema.get("required") or []
        # Close to the bottom only what must be there, so that a recursive schema comes to its end.
        names = properties if depth < _MAX_DEPTH // 3 else [name for name in properties if name in required]
        filled = {name: self.value(properties[name], depth + 1) for name in names}
        for name in required:
            filled.setdefault(name, self.value(_open_member(schema), depth + 1))
        return filled

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        first = [self.value(item, depth + 1) for item in schema.get("prefixItems") or []]
        least = schema.get("minItems", 0 if depth >= _MAX_DEPTH // 3 else 1)
        if "items" not in schema and "minItems" not in schema:
            return first
        wanted = min(least, schema.get("maxItems", _MAX_ITEMS), _MAX_ITEMS) - len(first)
        return first + [self.value(schema.get("items", {}), depth + 1) for _ in range(wanted)]

    def _string(self, schema: Mapping[str, Any], depth: int) -> str:
        text = _FORMATS.get(schema.get("format", ""), self._text)
        least = min(schema.get("minLength", 0), _MAX_LENGTH)
        if len(text) < least:
            text = (text or "x") * math.ceil(least / max(len(text), 1))
            text = text[:least]
        return text[: schema.get("maxLength", len(text))]

    def _integer(self, schema: Mapping[str, Any], depth: int) -> int:
        value = _bounded(schema, 1)
        return math.floor(value) if math.ceil(value) > schema.get("maximum", math.inf) else math.ceil(value)

    def _number(self, schema: Mapping[str, Any], depth: int) -> float:
        return _bounded(schema, 0.5)


def _bounded(schema: Mapping[str, Any], step: float) -> float:
    """A number inside the bounds, as near to 1 as they allow."""
    value: float
    least = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    most = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    value = min(max(1, least), most)
    multiple = schema.get("multipleOf")
    if multiple:
        value, step = math.ceil(value / multiple) * multiple, multiple
        if value > most:
            value -= multiple
    if value == schema.get("exclusiveMinimum"):
        value = value + step if value + step < most else (value + most) / 2
    if value == schema.get("exclusiveMaximum"):
        value = value - step if value - step > least else (value + least) / 2
    return value


def _implied(schema: Mapping[str, Any]) -> str:
    """The type that the keywords speak of when none is named."""
    if "properties" in schema or "required" in schema or "additionalProperties" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    if "minimum" in schema or "maximum" in schema:
        return "number"
    return "string"


def _open_member(schema: Mapping[str, Any]) -> Any:
    extra = schema.get("additionalProperties")
    return extra if isinstance(extra, Mapping) else {}


def _merge(target: dict[str, Any], part: Mapping[str, Any]) -> None:
    for key, value in part.items():
        if key == "properties":
            target[key] = {**target.get(key, {}), **value}
        elif key == "required":
            target[key] = [*target.get(key, []), *value]
        else:
            target[key] = value
