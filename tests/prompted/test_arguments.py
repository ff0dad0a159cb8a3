from __future__ import annotations

from typing import Any

import pytest

from lib.prompted import arguments
from lib.prompted.schema import Schema
from tests.prompted.replies import arguments_of


def fitted(text: str, **properties: Any) -> str | None:
    return arguments.fit(text, Schema({"type": "object", "properties": properties}), must_validate=False)


@pytest.mark.parametrize(
    "text",
    [
        '{"b":1,"a":2,"c":{"z":1,"y":2}}',
        '{"n":123456789012345678901234567890}',
        '{"n": [1.0, 0.10, -0.0, 1e3, 1E-7, 1e400, 3.141592653589793238462643]}',
        '{"s": "\\u00e9é\\/\\ud83d\\ude00\\u0000\\t"}',
        '{ "s" :\n\t[ ]\n}',
    ],
)
def test_arguments_keep_every_character(text: str) -> None:
    assert arguments_of(f'{{"name": "f", "arguments": {text}}}') == text


@pytest.mark.parametrize("said", ['""', "null", "{}", '"{}"', '"  "'])
def test_empty_arguments_are_an_empty_object(said: str) -> None:
    assert arguments_of(f'{{"name": "bare", "arguments": {said}}}') == "{}"
    assert arguments_of('{"name": "bare"}') == "{}"


def test_arguments_inside_of_a_string_are_read() -> None:
    assert arguments_of('{"name": "f", "arguments": "{\\"x\\": \\"a\\\\nb\\"}"}') == '{"x": "a\\nb"}'


def test_raw_newlines_in_strings_are_accepted() -> None:
    body = '{"name": "f",\n "arguments": {\n"x": "a\n\tb \\" \\\\",\n"n": 1}}'
    assert arguments_of(body) == '{\n"x": "a\\n\\tb \\" \\\\",\n"n": 1}'


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "12", "12"),
        ("integer", "-3", "-3"),
        ("integer", "123456789012345678901234567890", "123456789012345678901234567890"),
        ("number", "1.50", "1.50"),
        ("number", "7", "7"),
        ("float", "0.10", "0.10"),
        ("boolean", "true", "true"),
        ("boolean", "False", "false"),
        ("null", "null", "null"),
        ("array", "[1, 2.50]", "[1,2.50]"),
        ("dict", '{\\"a\\": 1}', '{"a":1}'),
        (["integer", "null"], "5", "5"),
    ],
)
def test_a_text_becomes_what_the_schema_asks_for(kind: Any, text: str, value: str) -> None:
    assert fitted(f'{{"v": "{text}"}}', v={"type": kind}) == f'{{"v":{value}}}'


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", '"5"'),
        ("string", "5"),
        ("string", "true"),
        (["string", "integer"], '"5"'),
        ("any", '"5"'),
        ("wat", '"5"'),
        ("integer", '"007"'),
        ("integer", '"+5"'),
        ("integer", '" 5 "'),
        ("integer", '"5.0"'),
        ("integer", "5.0"),
        ("integer", '"-0"'),
        ("integer", '""'),
        ("integer", "true"),
        ("number", '"NaN"'),
        ("boolean", '"yes"'),
        ("boolean", "1"),
        ("null", '""'),
        ("array", '"a,b"'),
        ("object", '"[]"'),
    ],
)
def test_nothing_is_coerced_at_a_loss_or_unasked(kind: Any, value: str) -> None:
    assert fitted(f'{{"v": {value}}}', v={"type": kind}) == f'{{"v": {value}}}'


def test_coercion_reaches_into_arrays_objects_and_references() -> None:
    schema = {
        "properties": {"l": {"type": "array", "items": {"$ref": "#/$defs/n"}}, "o": {"anyOf": [{"type": "null"}, {}]}},
        "additionalProperties": {"type": "object", "properties": {"n": {"allOf": [{"type": "number"}]}}},
        "$defs": {"n": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
    }
    text = '{"l": ["1", null, 2], "o": "3", "x": {"n": "4.50", "m": "5"}}'
    expected = '{"l":[1,null,2],"o":"3","x":{"n":4.50,"m":"5"}}'
    assert arguments.fit(text, Schema(schema), must_validate=False) == expected


def test_values_as_texts_follow_the_schema() -> None:
    properties = {"s": {"type": "string"}, "n": {"type": "integer"}, "l": {"type": "array"}, "u": {}}
    values = [("s", "\n5\n"), ("n", "\n5\n"), ("l", ' ["a\nb"] '), ("u", "5")]
    found = arguments.from_values(values, Schema({"properties": properties}), trimmed=True)
    assert found == '{"s":"5","n":5,"l":["a\\nb"],"u":"5"}'


@pytest.mark.parametrize("text", ["", "{", "nul", "[" * 5000, '{"a": 1e99999999999999999999}', "\ud800"])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        arguments.decode(text)
