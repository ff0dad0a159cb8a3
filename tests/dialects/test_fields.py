"""The table of top-level parameters: what each row's treatment does to a value."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lib.dialects import fields
from lib.dialects.fields import Field, Treatment, read
from lib.dialects.shared_rows import EFFORT, MODEL, SERVICE_TIER
from lib.errors import InvalidRequest

ROWS = fields.Table(
    Field("name", fields.string, required=True),
    Field("heat", fields.number(0, 2), neutral=(1,), treatment=Treatment.PASSED),
    Field("cap", fields.integer(1), "max_output_tokens", treatment=Treatment.PASSED),
    Field("old_cap", fields.integer(1), "max_output_tokens", treatment=Treatment.PASSED),
    Field("effort", EFFORT, "reasoning"),
    Field("tools", fields.array, "tools", ([],), Treatment.EMULATED),
    Field("n", fields.integer(), neutral=(1,), treatment=Treatment.REFUSED, reason="one only."),
    Field("audio", fields.object_, treatment=Treatment.REFUSED, reason="text only."),
    SERVICE_TIER,
    MODEL,
)


def walked(**body: Any) -> fields.Fields:
    return read(ROWS, {"name": "x"} | body)


def refusal(**body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        walked(**body)
    return caught.value


def test_passed_field_goes_on_under_its_canonical_name_and_is_asked_for() -> None:
    found = walked(cap=5)
    assert found.parameters == {"max_output_tokens": 5}
    assert found.asked == {"max_output_tokens": "cap"}


def test_neutral_value_is_kept_but_not_asked_for() -> None:
    found = walked(heat=1.0, tools=[])
    assert found.parameters == {"heat": 1.0}
    assert found.asked == {}


def test_null_is_the_same_as_absent() -> None:
    nulls = dict.fromkeys(("heat", "cap", "effort", "tools", "n", "audio", "service_tier", "model"))
    assert walked(**nulls) == walked()


def test_field_that_the_gateway_serves_is_not_asked_for() -> None:
    assert walked().values == {"name": "x"}
    assert walked().asked == {}


def test_two_names_of_one_field_are_both_told() -> None:
    assert walked(old_cap=1, cap=2).asked == {"max_output_tokens": "old_cap, cap"}


def test_refused_field_gives_its_reason() -> None:
    error = refusal(audio={})
    assert (error.status, error.param, error.code) == (400, "audio", "unsupported_parameter")
    assert error.message == "'audio' is not supported: text only."


def test_refused_field_with_a_neutral_value_passes_and_another_value_is_unsupported() -> None:
    assert walked(n=1).values == {"name": "x"}
    assert refusal(n=2).code == "unsupported_value"


def test_missing_required_field_is_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(ROWS, {"name": None})
    assert (caught.value.param, caught.value.code) == ("name", "missing_required_parameter")


def test_unknown_field_stands_under_its_own_name() -> None:
    found = walked(topK=5, **{"x-y.z": True})
    assert found.asked == {"topK": "topK", "x-y.z": "x-y.z"}
    assert found.parameters == {}


@pytest.mark.parametrize("name", ["reasoning", "max_output_tokens", "instructions"])
def test_unknown_field_cannot_pass_for_a_canonical_one(name: str) -> None:
    assert walked(**{name: 5}).asked == {f"unknown.{name}": name}


@pytest.mark.parametrize("name", ["", "a b", "a\r\nset-cookie: b", "é", "a" * 65, "a,b"])
def test_unknown_field_with_a_strange_name_is_refused(name: str) -> None:
    error = refusal(**{name: 1})
    assert error.code == "unknown_parameter"
    assert "\n" not in error.message and len(error.message) < 120


def test_too_many_unknown_fields_are_refused() -> None:
    known_limit = {f"f{i}": 1 for i in range(fields.MAX_UNKNOWN_FIELDS)}
    assert len(walked(**known_limit).asked) == fields.MAX_UNKNOWN_FIELDS
    assert refusal(**known_limit, more=1).code == "unknown_parameter"


CHECKS: list[tuple[fields.Check, list[Any], list[Any], list[Any]]] = [
    # check, good, of the wrong type, out of bounds
    (fields.string, ["", "a"], [1, True, [], {}, 0.5], []),
    (fields.boolean, [True, False], [0, 1, "true", []], []),
    (fields.integer(), [0, -5, 10**400], [True, 1.0, "1"], []),
    (fields.integer(1), [1, 10**400], [True, 1.0], [0, -1]),
    (fields.integer(0, 20), [0, 20], [False], [21, -1, 10**400]),
    (fields.number(0, 2), [0, 2, 0.5], [True, "1", []], [-0.1, 2.1, 10**400]),
    (fields.array, [[], [1]], [{}, "a"], []),
    (fields.object_, [{}, {"a": 1}], [[], "a"], []),
    (fields.string_map, [{}, {"a": "b"}], [[]], [{"a": 1}, {"a": None}, {str(i): "" for i in range(17)}]),
    (fields.string_list, [[], ["a"]], ["a"], [[1], [None]]),
    (EFFORT, ["none", "ultra"], [1, []], ["", "HIGH"]),
    (fields.identifier(3), ["", "abc", "é"], [1], ["abcd", "a\nb", "a\x00", "\u2028", "\x85"]),
]


@pytest.mark.parametrize(("check", "good", "wrong_type", "out_of_bounds"), CHECKS)
def test_check_accepts_and_refuses(
    check: fields.Check, good: list[Any], wrong_type: list[Any], out_of_bounds: list[Any]
) -> None:
    for value in good:
        assert check(value, "p") == value
    for code, values in (("invalid_type", wrong_type), ("invalid_value", out_of_bounds)):
        for value in values:
            with pytest.raises(InvalidRequest) as caught:
                check(value, "p")
            assert (caught.value.code, caught.value.param) == (code, "p")
            assert check.expected in caught.value.message


def test_message_says_what_to_send() -> None:
    assert refusal(heat="hot").message == (
        "Invalid type for 'heat': expected a number between 0 and 2, but got a string instead."
    )
    assert refusal(heat=3).message == "Invalid value for 'heat': expected a number between 0 and 2, but got 3."


def test_value_in_a_message_is_short_and_without_line_ends() -> None:
    error = refusal(effort="\r\n" + "x" * 10_000)
    assert len(error.message) < 250
    assert "\n" not in error.message and "\r" not in error.message
    assert "very large" in refusal(heat=10**400).message


@pytest.mark.parametrize("model", ["x" * 257, "a\nb", "a\x00"])
def test_model_name_that_could_split_a_header_is_refused(model: str) -> None:
    assert refusal(model=model).param == "model"


def test_field_that_stands_twice_is_a_mistake_in_the_table() -> None:
    with pytest.raises(ValueError, match="twice"):
        fields.Table(Field("a", fields.string), Field("a", fields.boolean))


@pytest.mark.parametrize(
    "check",
    [
        fields.integer(1, 4),
        fields.number(high=2),
        fields.one_of("low", "high", fast="high"),
        fields.identifier(4, min_length=1),
        fields.string_list,
        fields.string_map,
    ],
    ids=lambda check: check.expected,
)
def test_keywords_of_a_check_allow_what_it_allows(check: fields.Check) -> None:
    samples: list[Any] = [-1, 0, 1, 4, 5, 1.5, 2.5, "", "a", "abcd", "abcde", "low", "fast", "none", True]
    samples += [[], ["a"], [1], {}, {"a": "b"}, {"a": 1}, {str(each): "" for each in range(17)}]
    allowed = [sample for sample in samples if type(sample) in check.types]
    assert allowed
    for sample in allowed:
        fits = check.valid is None or check.valid(sample)
        assert Draft202012Validator(check.keywords).is_valid(sample) == fits, sample
