from __future__ import annotations

from typing import Any

import pytest

from lib.dialects.chat_logprobs import Tokens, choice_logprobs
from lib.errors import UpstreamError


def token(text: str, **members: Any) -> dict[str, Any]:
    return {"token": text, "logprob": -0.5, **members}


def texts(tokens: Any) -> list[str]:
    return [each.token for each in tokens]


def test_every_member_of_the_format_is_there() -> None:
    tokens = Tokens()
    assert tokens.add([token("a"), token("b", bytes=[98], top_logprobs=[token("c", extra=1)], extra=1)]) == 2
    whole = {"token": "b", "logprob": -0.5, "bytes": [98]}
    top = {"token": "c", "logprob": -0.5, "bytes": None}
    assert choice_logprobs(tokens.rest()) == {
        "content": [
            {"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []},
            {**whole, "top_logprobs": [top]},
        ],
        "refusal": None,
    }
    assert choice_logprobs(tokens.rest()) is None


def test_a_token_is_handed_out_when_all_of_it_is_shown() -> None:
    tokens = Tokens()
    tokens.add([token("Ær"), token("ø"), token("!")])
    assert [texts(tokens.shown(text)) for text in ("Æ", "rø", "")] == [[], ["Ær", "ø"], []]
    assert texts(tokens.rest()) == ["!"]


def test_what_is_less_than_a_character_is_measured_by_its_bytes() -> None:
    tokens = Tokens()
    tokens.add([token("\\xe2\\x9b", bytes=[226, 155]), token("\\xb4", bytes=[180]), token(" x")])
    assert [len(tokens.shown(text)) for text in ("⛴", " ")] == [2, 0]


def test_half_a_character_in_a_token_is_replaced() -> None:
    tokens = Tokens()
    tokens.add([token("\ud83d")])
    assert texts(tokens.rest()) == ["�"]


@pytest.mark.parametrize("found", ["x", [5], [{"token": "a"}], [{"token": 1, "logprob": 1}], {"a": 1}])
def test_log_probabilities_of_the_wrong_type_are_the_upstreams_failure(found: Any) -> None:
    with pytest.raises(UpstreamError):
        Tokens().add(found)
