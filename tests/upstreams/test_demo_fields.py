from __future__ import annotations

import pytest

from lib.errors import InvalidRequest
from lib.upstreams.demo_fields import DEFAULT_MODEL, Members, printable


def test_the_model_is_reported_as_it_is_named() -> None:
    assert Members({"model": "any"}).model() == "any"
    assert Members({"model": ""}).model() == DEFAULT_MODEL
    assert Members({}).model() == DEFAULT_MODEL


def test_null_is_the_same_as_absent() -> None:
    members = Members({"a": None, "b": None, "c": None})
    assert (members.boolean("a"), members.integer("b", 1), members.choice("c", ("x", "y"), "x")) == (False, None, "x")
    assert members.unread() == []


def test_what_nobody_took_is_named() -> None:
    members = Members({"z": 1, "a": 2, "taken": 3, "user": "me", "null": None})
    members.take("taken")
    assert members.unread() == ["a", "z"]


@pytest.mark.parametrize(
    ("value", "code"), [(True, "invalid_type"), (1.0, "invalid_type"), (0, "integer_below_min_value")]
)
def test_integers_are_whole_and_within_bounds(value: object, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Members({"n": value}).integer("n", 1, 5)
    assert (caught.value.param, caught.value.code) == ("n", code)


def test_messages_hold_no_control_characters_and_stay_short() -> None:
    with pytest.raises(InvalidRequest) as caught:
        Members({"f": "a\nb" + "x" * 1000}).choice("f", ("x",), "x")
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 200
    with pytest.raises(InvalidRequest) as caught:
        Members({"n": 10**400}).integer("n", 1, 5)
    assert "a very large number" in caught.value.message
    assert printable("a\r\n\u2028b") == "a���b"
