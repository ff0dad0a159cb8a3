"""What a JSON schema says once its references and alternatives are settled.

Nothing here trusts the schema: references may run in circles, and lists may be as long as a request. Every look at a
schema is a step, and after `_MAX_STEPS` of them nothing more is resolved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MAX_STEPS = 20_000
_MAX_COMPARED = 100
"""Of two `enum` lists, so many values are compared."""

Flat = dict[str, Any]


class Resolver:
    """For one schema and everything inside of it. `levels` bounds a value's nesting and the chain of references."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._steps = 0
        # With the schemas, because their ids are the keys: some are made here and would be gone, their ids reused.
        self._known: dict[tuple[int, int], tuple[Any, bool]] = {}

    @property
    def spent(self) -> bool:
        """Whether the schema has taken all its steps."""
        return self._steps > _MAX_STEPS

    def flat(self, schema: Any, levels: int, *, lean: bool) -> Flat:
        """The keywords of a schema, of what it refers to, of its `allOf` and of one alternative, joined.

        lean: choose the alternative that needs the fewest levels, not the first that fits. Raises TypeError for what
        is no schema.
        """
        merged: Flat = {}
        self._gather(schema, levels, lean, merged)
        return merged

    def fits(self, schema: Any, levels: int) -> bool:
        """Whether a value for the schema exists within so many levels. May say no too often, never yes."""
        if not isinstance(schema, Mapping):
            return schema is True
        self._steps += 1
        if levels < 0 or self.spent:
            return False
        if "const" in schema or schema.get("enum"):
            return True
        key = (id(schema), levels)
        if key not in self._known:
            self._known[key] = (schema, self._needs_fit(schema, levels - 1))
        return self._known[key][1]

    def _needs_fit(self, schema: Mapping[str, Any], levels: int) -> bool:
        reference = schema.get("$ref")
        if isinstance(reference, str) and not self.fits(self._target(reference), levels):
            return False
        if not all(self.fits(part, levels) for part in schema.get("allOf") or ()):
            return False
        for name in ("anyOf", "oneOf"):
            if schema.get(name) and not any(self.fits(branch, levels) for branch in schema[name]):
                return False
        properties = schema.get("properties") or {}
        if not all(self.fits(properties.get(name, True), levels) for name in schema.get("required") or ()):
            return False
        least = count(schema, "minItems", 0)
        first, rest = members(schema)
        return all(self.fits(item, levels) for item in first[:least]) and (
            least <= len(first) or self.fits(rest, levels)
        )

    def _gather(self, schema: Any, levels: int, lean: bool, merged: Flat) -> None:
        if isinstance(schema, bool) or self.spent:
            return
        if not isinstance(schema, Mapping):
            raise TypeError("a schema is an object or a boolean")
        # Joining costs as much as there is already.
        self._steps += 1 + (len(merged.get("properties") or ()) + len(merged.get("required") or ())) // 64
        for name in _KEYWORDS:
            if name in schema:
                _join(merged, name, schema[name])
        if levels <= 0:
            return
        reference = schema.get("$ref")
        if isinstance(reference, str):
            self._gather(self._target(reference), levels - 1, lean, merged)
        for part in schema.get("allOf") or ():
            self._gather(part, levels - 1, lean, merged)
        for name in ("anyOf", "oneOf"):
            if schema.get(name):
                self._gather(self._branch(schema[name], levels - 1, lean, merged), levels - 1, lean, merged)

    def _branch(self, branches: Sequence[Any], levels: int, lean: bool, merged: Flat) -> Any:
        usable = [branch for branch in branches[:_MAX_COMPARED] if _agree(merged, branch)] or branches[:1]
        if lean:
            for fewest in range(levels):
                found = next((branch for branch in usable if self.fits(branch, fewest)), None)
                if found is not None:
                    return found
        telling = [branch for branch in usable if not _is_null(branch)]
        return next((branch for branch in telling if self.fits(branch, levels)), (telling or usable)[0])

    def _target(self, reference: str) -> Any:
        """What a reference inside the schema means; anything goes when it means nothing."""
        found = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isdecimal() and len(name) < 9:
                found = found[int(name)] if int(name) < len(found) else None
            else:
                found = found.get(name) if isinstance(found, Mapping) else None
        return True if found is None else found


def types(schema: Mapping[str, Any]) -> list[Any]:
    """The types that a schema names; none for any."""
    kind = schema.get("type")
    return [] if kind is None else list(kind) if isinstance(kind, list) else [kind]


def count(schema: Mapping[str, Any], name: str, otherwise: int) -> int:
    """A keyword that counts something. Raises TypeError when it is no number."""
    value = schema.get(name)
    if value is None:
        return otherwise
    if not isinstance(value, int | float):
        raise TypeError(f"{name} is a number")
    return max(0, int(value))


def members(schema: Mapping[str, Any]) -> tuple[Sequence[Any], Any]:
    """Schemas of an array: those of its first items, and that of the others."""
    items = schema.get("items", True)
    if isinstance(items, list):  # before draft 2020
        return items, schema.get("additionalItems", True)
    return schema.get("prefixItems") or [], items


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and (
        schema.get("type") == "null" or ("const" in schema and schema["const"] is None) or schema.get("enum") == [None]
    )


def _agree(merged: Flat, branch: Any) -> bool:
    """Whether the types that are named beside the alternatives allow this one."""
    if not isinstance(branch, Mapping):
        return branch is not False
    return not types(merged) or not types(branch) or bool(_common_types(types(merged), types(branch)))


def _join(merged: Flat, name: str, value: Any) -> None:
    """Adds a keyword, so that both it and what is there already hold."""
    if name not in merged:
        merged[name] = value
    elif name in _JOINED:
        merged[name] = _JOINED[name](merged[name], value)


def _both(one: Any, other: Any) -> Any:
    return {"allOf": [one, other]}


def _properties(one: Mapping[str, Any], other: Mapping[str, Any]) -> Flat:
    joined = {**one, **other}
    for name in one.keys() & other.keys():
        joined[name] = _both(one[name], other[name])
    return joined


def _union(one: Sequence[str], other: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*one, *other]))


def _enum(one: Sequence[Any], other: Sequence[Any]) -> Sequence[Any]:
    return [value for value in one[:_MAX_COMPARED] if value in other[:_MAX_COMPARED]] or one


def _types(one: Any, other: Any) -> Any:
    return _common_types(types({"type": one}), types({"type": other})) or one


def _common_types(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    return [kind for kind in one if kind in other or (kind == "integer" and "number" in other)] or [
        kind for kind in other if kind == "integer" and "number" in one
    ]


_JOINED: Mapping[str, Any] = {
    "type": _types,
    "enum": _enum,
    "properties": _properties,
    "required": _union,
    "items": _both,
    "additionalProperties": _both,
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems"), min),
}
"""Keyword → what two of its values mean together; for the others the first stays."""
_KEYWORDS = (*_JOINED, "const", "default", "examples", "format", "multipleOf", "prefixItems", "additionalItems")
