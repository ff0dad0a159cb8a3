"""JSON schemas as their authors write them: places in them, and the types they allow.

Schemas of tools are sloppy: a keyword with a value of the wrong kind says nothing, a type that JSON does not have is
one of its usual aliases or says nothing either, and nothing here ever raises. `$ref` is followed inside the schema and
never anywhere else, cycles included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MAX_DEPTH = 16
_MAX_HOPS = 16

_ALIASES = {
    **dict.fromkeys(("object", "dict", "map", "hashmap", "hashtable"), "object"),
    **dict.fromkeys(("array", "list", "tuple", "set", "arraylist"), "array"),
    **dict.fromkeys(("string", "str", "char"), "string"),
    **dict.fromkeys(("integer", "int", "long", "short", "byte", "bigint"), "integer"),
    **dict.fromkeys(("number", "float", "double"), "number"),
    **dict.fromkeys(("boolean", "bool"), "boolean"),
    **dict.fromkeys(("null", "none"), "null"),
}

Types = frozenset[str]


class Schema:
    """One place in a schema."""

    __slots__ = ("node", "root")

    def __init__(self, node: Any, root: Any = None) -> None:
        """root: what `#` stands for; by default the node itself."""
        self.root = node if root is None else root
        self.node = resolved(node, self.root)

    def types(self) -> Types | None:
        """The JSON types that are allowed; None when any is."""
        return _types(self.node, self.root, set(), 0)

    def allows_text(self) -> bool:
        """Whether a string may stand here as it is."""
        types = self.types()
        return types is None or "string" in types

    def property(self, name: str) -> Schema:
        """The place of an object's member; one without rules when the schema has no word on it."""
        node = self._shape("properties")
        properties = node.get("properties")
        if isinstance(properties, dict) and name in properties:
            return Schema(properties[name], self.root)
        return self._place(node.get("additionalProperties"))

    def item(self, index: int) -> Schema:
        """The place of an array's element."""
        node = self._shape("items")
        first = node.get("prefixItems", node.get("items"))
        if isinstance(first, list):
            return self._place(first[index] if index < len(first) else node.get("additionalItems", node.get("items")))
        return self._place(node.get("items"))

    def _place(self, node: Any) -> Schema:
        return Schema(node if isinstance(node, dict) else {}, self.root)

    def _shape(self, keyword: str) -> Mapping[str, Any]:
        """The node that has this keyword: itself, or its only part or alternative that has it."""
        node = self.node
        if not isinstance(node, dict):
            return {}
        if keyword in node:
            return node
        parts = [resolved(part, self.root) for part in branches(node, "allOf", "anyOf", "oneOf")]
        having = [part for part in parts if isinstance(part, dict) and keyword in part]
        return having[0] if len(having) == 1 else node


def branches(node: Mapping[str, Any], *keywords: str) -> list[Any]:
    """The subschemas under these keywords, in one list."""
    return [part for key in keywords for part in (node[key] if isinstance(node.get(key), list) else ())]


def resolved(node: Any, root: Any) -> Any:
    """The node with `$ref` followed; one without rules where that leads nowhere in the same schema."""
    for _ in range(_MAX_HOPS):
        if not isinstance(node, dict) or not isinstance(node.get("$ref"), str):
            return node
        node = _target(node["$ref"], root)
    return {}


def _target(reference: str, root: Any) -> Any:
    if not reference.startswith("#"):
        return {}
    node = root
    for step in reference[1:].split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict):
            node = node.get(name, {})
        elif isinstance(node, list) and name.isdecimal() and len(name) < 6 and int(name) < len(node):
            node = node[int(name)]
        else:
            return {}
    return node


def _types(node: Any, root: Any, seen: set[int], depth: int) -> Types | None:
    node = resolved(node, root)
    if not isinstance(node, dict) or depth > _MAX_DEPTH:
        return None
    if "type" in node:
        return named_types(node["type"])
    if id(node) in seen:  # a cycle, or an alternative that was there before: nothing new
        return frozenset()
    seen.add(id(node))
    for part in branches(node, "allOf"):
        types = _types(part, root, seen, depth + 1)
        if types is not None:
            return types
    alternatives = [_types(part, root, seen, depth + 1) for part in branches(node, "anyOf", "oneOf")]
    known = [types for types in alternatives if types is not None]
    return frozenset[str]().union(*known) if known and len(known) == len(alternatives) else None


def named_types(named: Any) -> Types | None:
    """What the keyword `type` allows; None if that is anything."""
    names = named if isinstance(named, list) else [named]
    types = {_ALIASES.get(name.lower()) if isinstance(name, str) else None for name in names}
    return None if None in types else frozenset(name for name in types if name)
