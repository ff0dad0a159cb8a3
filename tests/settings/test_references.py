from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from lib.settings import Settings, references
from lib.settings.reading import Placed, Unresolved
from lib.settings.values import Pieces, Problem

ANSWERS: dict[str, str | Unresolved] = {
    "ssm:/one": "value-1",
    "ssm:/two": "value-2;value-3",
    "ssm:/empty": "",
    "secretsmanager:both#key": "value-4",
    "ssm:/none": Unresolved("is not there"),
}


def resolved(value: Any, *, is_list: bool = True, asked: list[str] | None = None) -> Any:
    def fetch(refs: Collection[str]) -> Mapping[str, str | Unresolved]:
        if asked is not None:
            asked.extend(refs)
        return {ref: ANSWERS[ref] for ref in refs}

    names = {"lists" if is_list else "singles": ["x"], "singles" if is_list else "lists": []}
    return references.resolved({"x": value, "other": "ssm:/one"}, fetch=fetch, **names)


@pytest.mark.parametrize("value", ["ssm:/one", " 'ssm:/one'\r\n", "\ufeffssm:/one"])
@pytest.mark.parametrize("is_list", [True, False])
def test_a_whole_value_may_be_a_reference(value: str, is_list: bool) -> None:
    assert resolved(value, is_list=is_list) == {"x": Placed("value-1", "X"), "other": "ssm:/one"}


def test_items_of_a_list_may_be_references() -> None:
    found = resolved("plain, ssm:/two; secretsmanager:both#key\n")["x"].value
    assert found == Pieces(["plain", "value-2;value-3", "value-4"])
    mapping = {"access_token": "a"}
    assert resolved([mapping, "plain,more", "ssm:/one"])["x"].value == Pieces([mapping, "plain,more", "value-1"])


@pytest.mark.parametrize("value", ["", "plain", "at-ssm:/one", "xssm:/one", '["ssm:/one", "x"]', None, 5, ["a"], True])
def test_without_a_reference_nothing_is_touched(value: object) -> None:
    asked: list[str] = []
    assert resolved(value, asked=asked) == {"x": value, "other": "ssm:/one"}
    assert asked == []


def test_a_single_value_is_not_taken_apart() -> None:
    assert resolved("a,ssm:/one", is_list=False)["x"] == "a,ssm:/one"


def test_each_reference_is_asked_for_once() -> None:
    asked: list[str] = []
    resolved("ssm:/one,ssm:/two,ssm:/one", asked=asked)
    assert sorted(asked) == ["ssm:/one", "ssm:/two"]


def test_what_is_left_of_a_list_counts() -> None:
    found = resolved("ssm:/none,ssm:/one,ssm:/none")
    assert found["x"].value == Pieces(["value-1"])
    assert [each for each in found.values() if isinstance(each, Problem)] == [
        Problem("X", "an item is not there and was dropped")
    ]


@pytest.mark.parametrize("value", ["ssm:/none", "ssm:/none,ssm:/none", ["ssm:/none"]])
def test_a_value_of_which_nothing_is_left_is_unresolved(value: object) -> None:
    assert resolved(value)["x"] == Placed(Unresolved("is not there"), "X")


def test_an_empty_secret_is_an_empty_value() -> None:
    assert resolved("ssm:/empty")["x"] == Placed("", "X")


def test_the_place_in_a_file_is_kept() -> None:
    assert resolved(Placed("ssm:/none", "FILE auth"))["x"].place == "FILE auth"


def test_no_setting_that_is_secret_is_left_out() -> None:
    """The type says which ones are secret; these may be references."""
    from lib.settings import model

    secret = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert secret - {*model._SECRETS, *model._SECRET_LISTS} == set()
