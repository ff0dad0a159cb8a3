from __future__ import annotations

from typing import Any

import pytest

from lib.upstreams.openai_chat_logprobs import logprobs_of


def test_every_member_is_there_whatever_the_server_left_out() -> None:
    top = {"token": "ö", "logprob": -2, "bytes": None}
    found = logprobs_of({"content": [{"token": "a", "logprob": -0.5, "top_logprobs": [top], "id": 5}]})
    assert found == [
        {
            "token": "a",
            "logprob": -0.5,
            "bytes": [97],
            "top_logprobs": [{"token": "ö", "logprob": -2, "bytes": [195, 182]}],
        }
    ]


def test_bytes_of_a_token_that_is_no_character_are_kept() -> None:
    (found,) = logprobs_of({"content": [{"token": "\\xe2", "logprob": -0.5, "bytes": [226]}]})
    assert (found["bytes"], found["top_logprobs"]) == ([226], [])


@pytest.mark.parametrize(
    "found",
    [
        *(None, 5, -0.2, [], {}, {"content": None}, {"content": 5}, {"tokens": ["a"], "token_logprobs": [-1]}),
        {"content": [None, {"token": 1, "logprob": 1}, {"token": "a"}, {"token": "a", "logprob": True}]},
    ],
)
def test_other_shapes_have_none(found: Any) -> None:
    assert logprobs_of(found) == []
