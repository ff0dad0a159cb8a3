from __future__ import annotations

import time
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    {"type": ["integer", "null"], "enum": [None, 3]},
    {"type": "string", "enum": [None, "a"]},
    {"enum": [None]},
    {"const": False},
    {"const": 0},
    {"type": "integer", "default": 0},
    {"type": "boolean", "default": False},
    {"type": "integer", "default": "not one"},
    {"type": "array", "default": []},
    {"properties": {"never": False, "always": True}, "additionalProperties": False},
    {"type": "array", "items": False},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "maxItems": 1},
    {"type": "array", "minItems": 2.0, "items": {}},
    {"type": "array", "minItems": 40, "items": {"type": "integer"}},
    {"type": "number", "multipleOf": 0.25, "minimum": 1.1},
    {"type": "integer", "multipleOf": 1.5, "minimum": 4},
    {"type": "integer", "multipleOf": 1e-300},
    {"type": "integer", "minimum": 10**400},
    {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 2},
    {"type": "integer", "exclusiveMaximum": -1.5},
    {"type": "number", "maximum": -(2**70)},
    {"allOf": [{"minLength": 7}, {"type": "string", "minLength": 3}]},
    {"type": "number", "allOf": [{"type": "integer"}, {"minimum": 2.5}]},
    {"allOf": [{"properties": {"a": {"minimum": 3}}}, {"properties": {"a": {"type": "integer"}}, "required": ["a"]}]},
    {"allOf": [{"enum": [1, 2]}, {"enum": [2, 3]}]},
    {"allOf": [{"allOf": [{"$ref": "#/$defs/a"}]}], "$defs": {"a": {"type": "integer", "minimum": 9}}},
    {"type": "integer", "anyOf": [{"type": "string"}, {"minimum": 4}]},
    {"anyOf": [False, {"type": "boolean"}]},
    {"$ref": "#/prefixItems/1", "prefixItems": [True, {"type": "boolean"}]},
    # Strict mode: every member is required, and what may be missing may be null.
    {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "value": {"type": "integer"}},
        "required": ["next", "value"],
        "additionalProperties": False,
    },
    # Two kinds of node, of which only one comes to an end.
    {
        "$ref": "#/$defs/expression",
        "$defs": {
            "expression": {"anyOf": [{"$ref": "#/$defs/sum"}, {"$ref": "#/$defs/literal"}]},
            "sum": {
                "type": "object",
                "properties": {"left": {"$ref": "#/$defs/expression"}, "right": {"$ref": "#/$defs/expression"}},
                "required": ["left", "right"],
            },
            "literal": {"type": "object", "properties": {"value": {"type": "number"}}, "required": ["value"]},
        },
    },
    # Much that is optional does not eat up what is required.
    {
        "type": "object",
        "properties": {
            **{f"p{number}": {"$ref": "#"} for number in range(40)},
            "last": {"type": "array", "items": {"type": "integer"}, "minItems": 2},
        },
        "required": ["last"],
    },
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
        {"type": "string", "minLength": 10**400},
        {"type": "array", "minItems": 10**400, "maxItems": 10**401},
        {"type": "array", "minItems": 32, "items": {"type": "array", "minItems": 32, "items": {"const": "x" * 9000}}},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}, {"allOf": [{"$ref": "#"}] * 9}]},
        {"allOf": [{"$ref": "#"}, {"type": "integer"}]},
        {"allOf": [{"$ref": "#"}] * 2000},
        {"allOf": [{"properties": {f"p{number}": {"type": "integer"}}} for number in range(20_000)]},
        {"allOf": [{"required": [f"p{number}"]} for number in range(20_000)]},
        {"properties": {f"p{number}": {"$ref": "#"} for number in range(50_000)}},
        {
            "properties": {f"p{number}": {"$ref": "#"} for number in range(20_000)},
            "required": [f"p{number}" for number in range(20_000)],
        },
        {"enum": list(range(100_000)), "allOf": [{"enum": list(range(100_000, 0, -1))}]},
        {"anyOf": [{"required": ["a"], "properties": {"a": False}}] * 50_000},
    ],
    ids=lambda schema: msgspec.json.encode(schema).decode()[:60],
)
def test_no_schema_makes_it_large_or_slow(schema: dict[str, Any]) -> None:
    began = time.process_time()
    value = example(schema)
    assert time.process_time() - began < 5
    assert len(msgspec.json.encode(value)) < 50_000


def test_a_schema_of_an_unknown_type_gets_a_text() -> None:
    assert example({"type": "unheard of"}) == "demo"
    assert example({"type": []}) == "demo"


def test_boolean_schemas_get_a_text() -> None:
    assert (example(True), example(False)) == ("demo", "demo")


def test_bounds_of_the_old_drafts_are_understood() -> None:
    assert example({"type": "integer", "minimum": 5, "exclusiveMinimum": True}) == 6
    assert example({"type": "array", "items": [{"type": "integer"}, {"type": "boolean"}]}) == [1, True]


@pytest.mark.parametrize(
    "schema", [7, {"properties": 7}, {"properties": [True]}, {"type": "integer", "minimum": "x"}, {"allOf": [3]}]
)
def test_a_malformed_schema_is_a_value_error(schema: Any) -> None:
    with pytest.raises(ValueError, match="schema"):
        example(schema)


def bounded(kind: str, low: str, high: str) -> st.SearchStrategy[dict[str, Any]]:
    """A schema of this type with none, one or both of the bounds, wide enough for a value."""
    integers = st.integers(-50, 50)
    return st.one_of(
        st.just({"type": kind}),
        integers.map(lambda at: {"type": kind, low: at}),
        integers.map(lambda at: {"type": kind, high: at}),
        integers.flatmap(lambda at: st.integers(2, 9).map(lambda width: {"type": kind, low: at, high: at + width})),
    )


SCALARS = st.sampled_from([None, False, True, 0, 1, -7, "", "a", "longer text", [], {}, [None], {"a": 0}])
LENGTHS = st.integers(0, 12).flatmap(
    lambda least: st.sampled_from(
        [{"minLength": least}, {"maxLength": least}, {"minLength": least, "maxLength": least}]
    )
)
BACK = st.sampled_from(["#/$defs/one", "#/$defs/two", "#"]).map(
    lambda target: {"type": "array", "items": {"anyOf": [{"$ref": target}, {"type": "null"}]}, "minItems": 1}
)
LEAVES = st.one_of(
    st.just(True),
    st.just({}),
    LENGTHS.map(lambda lengths: {"type": "string", **lengths}),
    st.sampled_from(["date", "uuid", "email", "unknown"]).map(lambda name: {"type": "string", "format": name}),
    bounded("integer", "minimum", "maximum"),
    bounded("integer", "exclusiveMinimum", "exclusiveMaximum"),
    bounded("number", "minimum", "exclusiveMaximum"),
    bounded("number", "exclusiveMinimum", "maximum"),
    st.integers(1, 9).map(lambda multiple: {"type": "integer", "multipleOf": multiple, "minimum": 3}),
    st.lists(st.sampled_from(["null", "integer", "string", "boolean", "object", "array"]), min_size=1, unique=True).map(
        lambda kinds: {"type": kinds}
    ),
    SCALARS.map(lambda value: {"const": value}),
    SCALARS.map(lambda value: {"default": value, "examples": [value]}),
    st.lists(SCALARS, min_size=1, max_size=3).map(lambda values: {"enum": values}),
    BACK,
)
NAMES = st.sampled_from("abcd")


def compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(NAMES, inner, max_size=3)
    objects = st.builds(
        lambda members, required, extra: {
            "type": "object",
            "properties": members,
            "required": [name for name in required if name in members or extra is not False],
            "additionalProperties": extra,
        },
        st.one_of(properties, properties.map(lambda members: {**members, "never": False})),
        st.lists(NAMES, unique=True, max_size=3),
        st.one_of(st.booleans(), inner),
    )
    arrays = st.builds(
        lambda first, rest, least: (
            {"type": "array", "prefixItems": first, "items": rest, "minItems": least}
            if first
            else {"type": "array", "items": rest, "minItems": least}
        ),
        st.lists(inner, max_size=2),
        inner,
        st.integers(0, 4),
    )
    return st.one_of(
        objects,
        arrays,
        st.just({"type": "array", "items": False}),
        st.lists(inner, min_size=1, max_size=3).map(lambda branches: {"anyOf": branches}),
        st.tuples(inner, st.just({"title": "t"})).map(lambda parts: {"allOf": list(parts)}),
        st.lists(properties, max_size=2).map(
            lambda several: {
                "allOf": [
                    {"type": "object", "properties": {f"{name}{number}": each for name, each in members.items()}}
                    for number, members in enumerate(several)
                ]
            }
        ),
        st.permutations([{"type": "string"}, {"type": "integer"}, {"type": "null"}]).map(
            lambda branches: {"oneOf": branches}
        ),
    )


SATISFIABLE = st.recursive(LEAVES, compound, max_leaves=8)


@settings(deadline=None, max_examples=300)
@given(SATISFIABLE.filter(lambda schema: schema is not True), SATISFIABLE, SATISFIABLE)
def test_the_example_of_any_satisfiable_schema_fits_it(root: dict[str, Any], one: Any, two: Any) -> None:
    schema = {**root, "$defs": {"one": one, "two": two}}
    value = example(schema)
    jsonschema.Draft202012Validator(schema).validate(value)
    assert len(msgspec.json.encode(value)) < 50_000


WORDS = st.sampled_from(
    ["type", "properties", "items", "required", "anyOf", "allOf", "oneOf", "$ref", "#", "enum", "const", "default"]
    + ["minItems", "maxLength", "minimum", "exclusiveMaximum", "multipleOf", "object", "integer", "number", "array"]
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=5)),
    max_leaves=20,
)


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(WORDS, ANYTHING, max_size=5))
def test_whatever_the_schema_says_there_is_a_value_or_a_value_error(schema: dict[str, Any]) -> None:
    try:
        value = example(schema)
    except ValueError:
        return
    assert len(msgspec.json.encode(value)) < 50_000
