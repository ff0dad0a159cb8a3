from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from lib.prompted import check
from lib.prompted.schema import Schema


def fits(schema: Any, value: Any) -> bool:
    return check.problem(Schema(schema), value) is None


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [1, Decimal("2.0"), 3.0], [Decimal("2.5"), "1", True, None]),
        ({"type": "number"}, [1, 2.5, Decimal("1e400")], ["1", False]),
        ({"type": ["string", "null"]}, ["", None], [1, []]),
        ({"type": "dict"}, [{}], [[], "{}"]),
        ({"type": "HashMap"}, [{"a": 1}], [1]),
        ({"type": "tuple"}, [[1]], [{}]),
        ({"type": "boolean"}, [True], [0, "true"]),
        ({"enum": [1, "a", None, [1, {"b": 2}]]}, [1, Decimal("1.0"), "a", None, [1, {"b": 2}]], [True, "b", [1]]),
        ({"const": 0.1}, [Decimal("0.1"), 0.1], [Decimal("0.2"), "0.1"]),
        ({"minimum": 1, "exclusiveMaximum": 2.5}, [1, Decimal("2.4")], [0, 2.5]),
        ({"multipleOf": 0.1}, [Decimal("0.3"), 1], [Decimal("0.35")]),
        ({"minLength": 2, "maxLength": 3}, ["ab", "🌊🌊🌊", 5], ["a", "abcd"]),
        ({"pattern": "^a+b?$"}, ["aab", 1], ["ba", "abb"]),
        ({"minItems": 1, "maxItems": 2, "uniqueItems": True}, [[1], [1, 2]], [[], [1, 2, 3], [1, Decimal("1.0")]]),
        ({"items": {"type": "integer"}}, [[1, 2], "x"], [[1, "2"]]),
        ({"prefixItems": [{"type": "string"}], "items": False}, [["a"], []], [[1], ["a", 2]]),
        ({"items": [{"type": "string"}], "additionalItems": {"type": "null"}}, [["a", None]], [["a", 1]]),
        ({"required": ["a"], "properties": {"a": {"type": "string"}}}, [{"a": "x"}, 5], [{}, {"a": 1}]),
        ({"properties": {"a": {}}, "additionalProperties": False}, [{"a": 1}, {}], [{"b": 1}]),
        ({"additionalProperties": {"type": "integer"}}, [{"b": 1}], [{"b": "1"}]),
        ({"patternProperties": {"^x": {"type": "null"}}, "additionalProperties": False}, [{"x1": None}], [{"y": None}]),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, ["a", 1], [None]),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, [{"a": 1}, {"a": 1, "b": 1}], [{}]),
        ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, [1, 2], [0, 3]),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}}, [None], [1]),
        ({"minProperties": 1}, [{"a": 1}], [{}]),
        (False, [], [None, {}]),
        (True, [None, {}], []),
    ],
)
def test_keywords_mean_what_they_say(schema: Any, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not fits(schema, value)] == []
    assert [value for value in bad if fits(schema, value)] == []


@pytest.mark.parametrize(
    "schema",
    [
        None,
        5,
        "string",
        [],
        {"type": "Any"},
        {"type": 7},
        {"type": ["string", "wat"]},
        {"enum": "abc", "minimum": "x", "required": True, "properties": [], "items": 3, "anyOf": {}, "pattern": 1},
        {"minLength": None, "maxItems": "2", "multipleOf": 0, "$ref": 5},
        {"required": [1, None]},
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "other.json#/a"},
        {"$ref": "#/no/such/place"},
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"pattern": "(?=look)ahead"},
        {"pattern": "["},
    ],
)
def test_what_makes_no_sense_rejects_nothing(schema: Any) -> None:
    values: list[Any] = [None, 1, Decimal("1.5"), "a", [1], {"a": {"b": []}}, True]
    for value in values:
        assert fits(schema, value)
        assert Schema(schema).property("a").item(0).types() is None


def test_the_problem_names_the_place() -> None:
    schema = {"properties": {"a": {"items": {"required": ["b"]}}}}
    assert check.problem(Schema(schema), {"a": [{"b": 1}, {}]}) == "a[1] has no 'b'"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}, 1),
        ({"anyOf": [{"$ref": "#/$defs/x"}] * 3, "$defs": {"x": {"anyOf": [{"$ref": "#"}] * 3}}}, 1),
        ({"uniqueItems": True}, [[n] for n in range(3000)]),
        ({"pattern": "^(a|aa)+$"}, "a" * 9_999 + "b"),
        ({"items": {"pattern": "(x+x+)+y"}}, ["x" * 5_000] * 100),
        ({"patternProperties": {"(a*)*b": {}}}, {"a" * 5_000: 1}),
    ],
)
def test_no_schema_takes_long(schema: Any, value: Any) -> None:
    started = time.perf_counter()
    check.problem(Schema(schema), value)
    Schema(schema).types()
    assert time.perf_counter() - started < 2


def test_a_deep_schema_and_a_deep_value_are_no_harm() -> None:
    schema: dict[str, Any]
    value: Any
    schema, value = {}, 1
    for _ in range(900):
        schema, value = {"properties": {"a": schema}, "anyOf": [schema]}, {"a": value}
    assert not fits(schema, value)
    assert Schema(schema).types() is None
