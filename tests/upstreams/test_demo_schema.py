from __future__ import annotations

from typing import Any

import jsonschema
import msgspec
import pytest

from lib.upstreams.demo_schema import example

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "value": {"type": "number"},
            },
            "required": ["children", "value"],
        }
    },
}
SCHEMAS: list[dict[str, Any]] = [
    {},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a", "b"]},
    {"type": "object", "additionalProperties": {"type": "integer"}, "required": ["n"]},
    {"type": "object", "properties": {"a": {"enum": [3, 4]}, "b": {"const": None}}, "additionalProperties": False},
    {"type": ["null", "string"], "minLength": 9, "maxLength": 10},
    {"type": "string", "maxLength": 2},
    {"type": "string", "format": "date-time"},
    {"type": "integer", "minimum": 7.5},
    {"type": "integer", "maximum": -3},
    {"type": "integer", "exclusiveMinimum": 1},
    {"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 1.2},
    {"type": "integer", "multipleOf": 5, "maximum": 12},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 3},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": {"type": "null"}},
    {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}]},
    {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    {"allOf": [{"required": ["a"]}, {"properties": {"a": {"type": "array", "items": {"type": "integer"}}}}]},
    {"type": "integer", "default": None},
    {"properties": {"deep": {"properties": {"er": {"type": "array", "items": {"enum": ["x"]}}}, "required": ["er"]}}},
    TREE,
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: msgspec.json.encode(schema).decode()[:60])
def test_the_example_fits_the_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(schema).validate(example(schema))


def test_optional_properties_are_filled_too() -> None:
    assert example({"type": "object", "properties": {"a": {"type": "boolean"}}}) == {"a": True}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"x": {"$ref": "#"}, "y": {"$ref": "#"}}, "required": ["x", "y"]},
        {"type": "array", "minItems": 10**9, "items": {"$ref": "#"}},
        {"$ref": "#"},
        {"type": "string", "minLength": 10**9},
    ],
)
def test_no_schema_makes_it_large(schema: dict[str, Any]) -> None:
    assert len(msgspec.json.encode(example(schema))) < 50_000


@pytest.mark.parametrize("schema", [7, {"properties": 7}, {"type": "integer", "minimum": "x"}, {"allOf": [3]}])
def test_a_malformed_schema_is_a_value_error(schema: Any) -> None:
    with pytest.raises(ValueError, match="schema"):
        example(schema)
