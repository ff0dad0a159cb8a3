"""Log probabilities beside a text out of which calls are read."""

from __future__ import annotations

from typing import Any

import pytest

from lib.prompted.tokens import Tokens, logprobs_of


def told(*texts: str) -> list[dict[str, Any]]:
    return [{"token": text, "logprob": -1.0} for text in texts]


def texts(found: list[dict[str, Any]]) -> list[str]:
    return [each["token"] for each in found]


def test_tokens_stay_with_the_stretch_that_they_begin_in() -> None:
    tokens = Tokens()
    tokens.add("one two", told("one", " two"))
    tokens.add(" <call> three", told(" <", "call>", " three"))
    assert texts(tokens.taken(0, "one t")) == ["one", " two"]
    assert texts(tokens.taken(5, "wo ")) == [" <"]
    assert texts(tokens.taken(14, " three")) == [" three"]


def test_a_token_that_is_less_than_a_character_goes_with_the_next() -> None:
    tokens = Tokens()
    tokens.add("", told("\\xe2\\x9b"))
    tokens.add("⛴", told("\\xb4"))
    assert texts(tokens.taken(0, "⛴")) == ["\\xe2\\x9b", "\\xb4"]


@pytest.mark.parametrize("odd", [None, "x", {}, [5, None], 7])
def test_what_is_no_list_of_tokens_counts_as_none(odd: Any) -> None:
    tokens = Tokens()
    tokens.add("Hi", odd)
    assert tokens.taken(0, "Hi") == []


def test_those_of_finished_parts_follow_each_other() -> None:
    assert texts(logprobs_of([{"logprobs": told("a")}, {}, {"logprobs": None}, {"logprobs": told("b")}])) == ["a", "b"]
