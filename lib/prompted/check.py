"""Whether a value fits a JSON schema, within bounds that no schema can stretch.

As lenient as `schema` about what it does not understand. Not looked at: `format`, `not`, conditionals, `dependent…`,
`unevaluated…`; `oneOf` is read as `anyOf`. Patterns take linear time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from decimal import Decimal
from typing import Any

from lib.prompted import patterns
from lib.prompted.schema import Schema, branches, named_types, resolved

_MAX_DEPTH = 64
_MAX_STEPS = 50_000
_PATTERN_STEPS = 40
"""How many steps through a pattern count as one."""


def problem(schema: Schema, value: Any) -> str | None:
    """Why the value does not fit, in words; None if it does. Floats may be Decimals."""
    try:
        return _Check(schema.root).problem(schema.node, value, "", 0)
    except _BeyondBoundsError:
        return "the value or its schema is too large to be checked"


class _BeyondBoundsError(Exception):
    """Too deep, or too many steps."""


class _Check:
    """One check of one value: counts its steps."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._steps = 0

    def problem(self, node: Any, value: Any, path: str, depth: int) -> str | None:
        self._steps += 1
        if depth > _MAX_DEPTH or self._steps > _MAX_STEPS:
            raise _BeyondBoundsError
        node = resolved(node, self._root)
        if node is False:
            return f"{path or 'the value'} is not allowed"
        if not isinstance(node, dict):
            return None
        types = named_types(node["type"]) if "type" in node else None
        if types is not None and types.isdisjoint(_types_of(value)):
            return f"{path or 'the value'} is not of type {' or '.join(sorted(types))}"
        found = self._value(node, value, path) or self._combined(node, value, path, depth)
        if found is None and isinstance(value, dict):
            found = self._object(node, value, path, depth)
        if found is None and isinstance(value, list):
            found = self._array(node, value, path, depth)
        return found

    def _value(self, node: Mapping[str, Any], value: Any, path: str) -> str | None:
        """Keywords that look at the value alone."""
        if "const" in node and not self._equal(value, node["const"]):
            return f"{path or 'the value'} is not the one that is allowed"
        choices = node.get("enum")
        if isinstance(choices, list) and not any(self._equal(value, choice) for choice in choices):
            return f"{path or 'the value'} is none of those that are allowed"
        for keyword, bound in node.items():
            if keyword in _BOUNDS and not _BOUNDS[keyword](value, bound):
                return f"{path or 'the value'} does not satisfy {keyword}"
        pattern = node.get("pattern")
        if isinstance(value, str) and isinstance(pattern, str) and self._found(pattern, value) is False:
            return f"{path or 'the value'} does not match its pattern"
        return None

    def _combined(self, node: Mapping[str, Any], value: Any, path: str, depth: int) -> str | None:
        for part in branches(node, "allOf"):
            found = self.problem(part, value, path, depth + 1)
            if found is not None:
                return found
        for keyword in ("anyOf", "oneOf"):
            parts = branches(node, keyword)
            if parts and all(self.problem(part, value, path, depth + 1) is not None for part in parts):
                return f"{path or 'the value'} fits none of the alternatives"
        return None

    def _object(self, node: Mapping[str, Any], value: dict[str, Any], path: str, depth: int) -> str | None:
        required, properties = node.get("required"), node.get("properties")
        for name in required if isinstance(required, list) else ():
            if isinstance(name, str) and name not in value:
                return f"{path or 'the value'} has no '{name}'"
        properties = properties if isinstance(properties, dict) else {}
        by_pattern = node.get("patternProperties")
        patterned = list(by_pattern.items()) if isinstance(by_pattern, dict) else []
        extra = node.get("additionalProperties")
        for name, member in value.items():
            rules = [properties[name]] if name in properties else []
            rules += [rule for pattern, rule in patterned if self._found(str(pattern), name)]
            if not rules and (extra is False or isinstance(extra, dict)):
                rules = [extra]
            for rule in rules:
                found = self.problem(rule, member, f"{path}.{name}" if path else name, depth + 1)
                if found is not None:
                    return found
        return None

    def _array(self, node: Mapping[str, Any], value: list[Any], path: str, depth: int) -> str | None:
        first, items = node.get("prefixItems"), node.get("items")
        if isinstance(items, list):
            first, items = items, node.get("additionalItems")
        first = first if isinstance(first, list) else []
        for index, member in enumerate(value):
            rule = first[index] if index < len(first) else items
            found = self.problem(rule, member, f"{path}[{index}]", depth + 1)
            if found is not None:
                return found
        if node.get("uniqueItems") is True:
            for index, member in enumerate(value):
                if any(self._equal(member, other) for other in value[:index]):
                    return f"{path or 'the value'} holds an element twice"
        return None

    def _found(self, pattern: str, text: str) -> bool | None:
        self._steps += patterns.size(pattern) * len(text) // _PATTERN_STEPS
        if self._steps > _MAX_STEPS:
            raise _BeyondBoundsError
        return patterns.found(pattern, text)

    def _equal(self, one: Any, other: Any, depth: int = 0) -> bool:
        self._steps += 1
        if depth > _MAX_DEPTH or self._steps > _MAX_STEPS:
            raise _BeyondBoundsError
        if isinstance(one, dict) and isinstance(other, dict):
            return one.keys() == other.keys() and all(self._equal(one[key], other[key], depth + 1) for key in one)
        if isinstance(one, list) and isinstance(other, list):
            pairs = zip(one, other, strict=False)
            return len(one) == len(other) and all(self._equal(left, right, depth + 1) for left, right in pairs)
        left, right = _number(one), _number(other)
        if left is not None and right is not None:
            return left == right
        return type(one) is type(other) and bool(one == other)


def _types_of(value: Any) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("boolean",)
    number = _number(value)
    if number is not None:
        whole = isinstance(number, int) or number == number.to_integral_value()
        return ("integer", "number") if whole else ("number",)
    names = {str: "string", dict: "object", list: "array", type(None): "null"}
    return (names[type(value)],)


def _number(value: Any) -> int | Decimal | None:
    """An exact number; the digits of a float are those it is written with."""
    if isinstance(value, float):
        return Decimal(repr(value))
    return value if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


def _compared(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def satisfied(value: Any, bound: Any) -> bool:
        left, right = _number(value), _number(bound)
        return left is None or right is None or test(left, right)

    return satisfied


def _sized(kind: type[Sized], test: Callable[[int, Any], bool]) -> Callable[[Any, Any], bool]:
    def satisfied(value: Any, bound: Any) -> bool:
        return not isinstance(value, kind) or _number(bound) is None or test(len(value), bound)

    return satisfied


def _is_multiple(value: Any, unit: Any) -> bool:
    try:
        return bool(unit <= 0 or value % unit == 0)
    except ArithmeticError:
        return True  # beyond the precision that is worth a thought


_BOUNDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "minimum": _compared(lambda value, bound: value >= bound),
    "maximum": _compared(lambda value, bound: value <= bound),
    "exclusiveMinimum": _compared(lambda value, bound: value > bound),
    "exclusiveMaximum": _compared(lambda value, bound: value < bound),
    "multipleOf": _compared(_is_multiple),
    "minLength": _sized(str, lambda size, bound: size >= bound),
    "maxLength": _sized(str, lambda size, bound: size <= bound),
    "minItems": _sized(list, lambda size, bound: size >= bound),
    "maxItems": _sized(list, lambda size, bound: size <= bound),
    "minProperties": _sized(dict, lambda size, bound: size >= bound),
    "maxProperties": _sized(dict, lambda size, bound: size <= bound),
}
