from __future__ import annotations

from typing import Any

import pytest

from lib.prompted.schema import Schema


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        ({"type": "string"}, {"string"}),
        ({"type": ["integer", "null"]}, {"integer", "null"}),
        ({"type": "Double"}, {"number"}),
        ({"type": "ArrayList"}, {"array"}),
        ({"type": "Queue<String>"}, None),
        ({}, None),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"integer", "null"}),
        ({"anyOf": [{"type": "integer"}, {}]}, None),
        ({"allOf": [{}, {"type": "number"}]}, {"number"}),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "array"}}}, {"array"}),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, {"null"}),
    ],
)
def test_the_types_that_a_place_allows(schema: Any, types: set[str] | None) -> None:
    assert Schema(schema).types() == (None if types is None else frozenset(types))


def test_places_are_found_through_parts_and_references() -> None:
    schema = Schema(
        {
            "allOf": [{"properties": {"a": {"$ref": "#/$defs/list"}}}],
            "$defs": {"list": {"anyOf": [{"items": {"type": "integer"}}, {"type": "null"}]}},
        }
    )
    assert schema.property("a").item(3).types() == frozenset({"integer"})
    assert schema.property("b").types() is None


def test_arrays_have_a_place_for_each_position() -> None:
    schema = Schema({"prefixItems": [{"type": "string"}], "items": {"type": "null"}})
    assert [schema.item(index).types() for index in (0, 1)] == [frozenset({"string"}), frozenset({"null"})]
    old = Schema({"items": [{"type": "string"}], "additionalItems": {"type": "null"}})
    assert [old.item(index).types() for index in (0, 1)] == [frozenset({"string"}), frozenset({"null"})]
