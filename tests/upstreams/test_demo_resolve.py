from __future__ import annotations

from typing import Any

import pytest

from lib.upstreams.demo_resolve import Resolver, count, members, types

LIST: dict[str, Any] = {
    "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
    "required": ["next"],
}
ENDLESS: dict[str, Any] = {"properties": {"next": {"$ref": "#"}}, "required": ["next"]}


def flat(schema: Any, *, lean: bool = False, root: Any = None) -> dict[str, Any]:
    return Resolver(root or schema).flat(schema, 9, lean=lean)


def test_references_and_all_of_are_joined() -> None:
    schema = {"$ref": "#/$defs/a~1b", "maximum": 9, "allOf": [{"maximum": 7}], "$defs": {"a/b": {"type": "integer"}}}
    assert flat(schema) == {"type": "integer", "maximum": 7}
    assert flat({"$ref": "#/items/1", "items": [True, {"minimum": 2}]})["minimum"] == 2
    assert flat({"$ref": "#/nowhere/9"}) == {}


def test_a_property_in_two_parts_has_to_fit_both() -> None:
    schema = {"allOf": [{"properties": {"a": {"minimum": 1}}}, {"properties": {"a": {"maximum": 2}}}]}
    assert flat(flat(schema)["properties"]["a"]) == {"minimum": 1, "maximum": 2}


def test_the_first_alternative_that_is_not_null_is_taken_unless_lean() -> None:
    choice = LIST["properties"]["next"]
    assert "properties" in flat(choice, root=LIST)
    assert flat(choice, lean=True, root=LIST) == {"type": "null"}


def test_alternatives_of_another_type_are_passed_over() -> None:
    assert flat({"type": "integer", "anyOf": [False, {"type": "string"}, {"minimum": 3}]})["minimum"] == 3
    assert flat({"type": "number", "anyOf": [{"type": "integer"}]})["type"] == ["integer"]


def test_what_needs_endless_levels_does_not_fit() -> None:
    assert not Resolver(ENDLESS).fits(ENDLESS, 20)
    assert Resolver(LIST).fits(LIST, 3)
    assert not Resolver({}).fits({"items": {"type": "string"}, "minItems": 1}, 0)


def test_the_steps_are_limited() -> None:
    schema = {"allOf": [{"$ref": "#"}] * 50}
    schemas = Resolver(schema)
    schemas.flat(schema, 20, lean=False)
    assert schemas.spent


def test_what_is_no_schema_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        flat({"allOf": [3]})
    with pytest.raises(TypeError):
        count({"minItems": "2"}, "minItems", 0)


def test_keywords_are_read_in_all_their_forms() -> None:
    assert (types({}), types({"type": "null"}), types({"type": ["a", "b"]})) == ([], ["null"], ["a", "b"])
    assert (count({}, "minItems", 3), count({"minItems": -1}, "minItems", 3)) == (3, 0)
    assert members({"items": [1], "additionalItems": 2}) == ([1], 2)
    assert members({"prefixItems": [1], "items": 2}) == ([1], 2)
