from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.errors import InvalidRequest
from lib.scoped_keys import Limits, check
from lib.web.minting import described, limits_of, minted, new_id

NOW = 1_767_225_600.5
SECRET = b"minting-secret-canary-of-the-gateway"


def test_all_limits_are_taken_and_days_are_counted_from_now() -> None:
    body = {
        "models": ["gpt-5*"],
        "endpoints": ["chat", "/v1/images/*", "resp*"],
        "days": 0.5,
        "not_before": 1_767_225_600,
        "label": "Ann’s phone",
        "requests_per_minute": 60,
    }
    limits = limits_of(body, NOW)
    assert limits == Limits(
        models=("gpt-5*",),
        endpoints=("chat", "/v1/images/*", "resp*"),
        expires_at=1_767_225_601 + 43_200,
        not_before=1_767_225_600,
        label="Ann’s phone",
        requests_per_minute=60,
    )
    found = check(minted(SECRET, "k", limits), [SECRET], NOW)
    assert described(found.blocks[0]) == described(limits)


def test_nothing_and_null_limit_nothing() -> None:
    assert limits_of({}, NOW) == limits_of({"models": None, "days": None}, NOW) == Limits()


@pytest.mark.parametrize(
    ("body", "param", "told"),
    [
        ({"model": "gpt"}, "model", "members are models"),
        ({"models": "gpt"}, "models", "list"),
        ({"models": []}, "models", "at least one"),
        ({"models": ["a b"]}, "models", "without commas"),
        ({"models": ["a,b"]}, "models", "without commas"),
        ({"models": [1]}, "models", "names"),
        ({"models": ["x" * 201]}, "models", "200"),
        ({"endpoints": ["chats"]}, "endpoints", "chat, responses"),
        ({"days": 0}, "days", "more than 0"),
        ({"days": -1}, "days", "more than 0"),
        ({"days": True}, "days", "number"),
        ({"days": float("nan")}, "days", "number"),
        ({"days": 10**400}, "days", "at most"),
        ({"days": "3"}, "days", "number"),
        ({"days": 1, "expires_at": 2_000_000_000}, "days", "same thing"),
        ({"expires_at": 1_767_225_600}, "expires_at", "ever valid"),
        ({"expires_at": 1_800_000_000, "not_before": 1_900_000_000}, "expires_at", "ever valid"),
        ({"expires_at": 1.5e9}, "expires_at", "whole number"),
        ({"not_before": -1}, "not_before", "whole number"),
        ({"label": ""}, "label", "1 to 64"),
        ({"label": "a\nb"}, "label", "control"),
        ({"label": "x" * 65}, "label", "1 to 64"),
        ({"requests_per_minute": 0}, "requests_per_minute", "from 1"),
        ({"requests_per_minute": 1.5}, "requests_per_minute", "whole"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(body: dict[str, Any], param: str, told: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        limits_of(body, NOW)
    assert caught.value.param == param
    assert told in caught.value.message


def test_limits_that_do_not_fit_into_a_key_are_refused() -> None:
    limits = limits_of({"models": [f"{number:0199}" for number in range(20)]}, NOW)
    with pytest.raises(InvalidRequest, match="2048"):
        minted(SECRET, "k", limits)


@pytest.mark.parametrize(
    ("label", "beginning"),
    [(None, "key"), ("Phone", "phone"), ("Ann’s phone!", "ann-s-phone"), ("测试", "key"), ("x" * 64, "x" * 24)],
)
def test_an_id_begins_with_the_label_and_is_never_the_same(label: str | None, beginning: str) -> None:
    first, second = new_id(label), new_id(label)
    assert first != second
    assert re.fullmatch(re.escape(beginning) + r"-[0-9a-f]{8}", first)


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3),
)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["models", "endpoints", "days", "expires_at", "label", "x"]), VALUES, max_size=3)
)
def test_any_body_makes_a_key_or_a_400(body: dict[str, Any]) -> None:
    try:
        key = minted(SECRET, "k", limits_of(body, NOW))
    except InvalidRequest:
        return
    assert check(key, [SECRET], NOW).id == "k"
