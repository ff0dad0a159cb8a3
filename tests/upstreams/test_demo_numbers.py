from __future__ import annotations

from typing import Any

import pytest

from lib.upstreams.demo_numbers import integer, number


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, 1),
        ({"minimum": 7.5}, 8),
        ({"maximum": -3}, -3),
        ({"exclusiveMaximum": -3}, -4),
        ({"minimum": 5, "exclusiveMinimum": True}, 6),
        ({"minimum": 5, "exclusiveMinimum": 4}, 5),
        ({"multipleOf": 5, "maximum": 4}, 0),
        ({"multipleOf": 0.5, "minimum": 2.5}, 3),
        ({"minimum": 10**400}, 10**400),
        ({"multipleOf": 0}, 1),
    ],
)
def test_an_integer_is_the_nearest_to_one(schema: dict[str, Any], value: int) -> None:
    assert integer(schema) == value


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"minimum": 1.5}, 1.5),
        ({"exclusiveMinimum": 1}, 2),
        ({"exclusiveMinimum": 1, "exclusiveMaximum": 1.5}, 1.25),
        ({"exclusiveMinimum": 1, "maximum": 1.5}, 1.25),
        ({"exclusiveMaximum": 0}, -1),
        ({"minimum": 0.25, "multipleOf": 0.1, "maximum": 0.9}, 0.9),
    ],
)
def test_a_number_is_near_to_one(schema: dict[str, Any], value: float) -> None:
    assert number(schema) == value


@pytest.mark.parametrize("schema", [{"minimum": "1"}, {"multipleOf": [1]}, {"exclusiveMaximum": {}}])
def test_a_bound_that_is_no_number_is_a_type_error(schema: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        number(schema)
