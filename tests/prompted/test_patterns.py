from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.prompted import patterns

PIECES = ["a", "b", ".", "\\d", "\\W", "[a-c]", "[^b\\]x-]", "(?:a|b)", "(ab|)", "^", "$", "a{2}", "b{1,3}", "\\."]


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("^[A-Z]{2}-\\d{4}$", ["AB-1234"], ["AB-123", "xAB-1234"]),
        ("^(foo|bar)?$", ["", "foo"], ["foobar"]),
        ("b", ["abc"], ["ac"]),
        ("^a{2,}$", ["aa", "aaaa"], ["a"]),
        ("^a{,2}$", ["a{,2}"], ["a"]),
        ("^\\u00e9\\x41\\t$", ["éA\t"], ["eA"]),
        ("^[\\w.+-]+@[\\w-]+\\.[a-z]{2,}$", ["a.b@c-d.org"], ["a@b", "@c.de"]),
        ("^(?<year>\\d{4})$", ["2026"], ["20"]),
        ("^.$", ["x", "🌊"], ["", "\n"]),
        ("[]a]", [], ["a"]),
        ("^\\$\\(x\\)\\{\\}\\\\/$", ["$(x){}\\/"], ["x"]),
    ],
)
def test_patterns_mean_what_they_say(pattern: str, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not patterns.found(pattern, text)] == []
    assert [text for text in bad if patterns.found(pattern, text)] == []


@pytest.mark.parametrize(
    "pattern",
    ["(", ")", "[", "*a", "a{3,1}", "\\", "\\1", "\\p{L}", "\\b", "(?=a)", "(?!a)", "(?<=a)b", "[a-\\d]", "\\u12"]
    + ["a{3}{4}", "(a{1000}){1000}", "a" * 3000, "(" * 1500 + ")" * 1500, "(?a"],
)
def test_what_is_not_supported_cannot_be_told(pattern: str) -> None:
    assert patterns.found(pattern, "a") is None


def test_a_text_without_bound_is_not_looked_at() -> None:
    assert patterns.found("a", "a" * (patterns.MAX_TEXT + 1)) is None


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "(a*)*b", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_no_pattern_backtracks(pattern: str) -> None:
    started = time.perf_counter()
    patterns.found(pattern, "a" * 3000 + "!")
    assert time.perf_counter() - started < 1


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(["", "", "*", "+", "?", "{0,2}"])), max_size=5),
    st.text("abcx.-]1 ", max_size=8),
)
def test_the_result_is_that_of_a_backtracking_engine(parts: list[tuple[str, str]], text: str) -> None:
    pattern = "".join(piece + ("" if piece in "^$" or piece.endswith("}") else count) for piece, count in parts)
    assert patterns.found(pattern, text) is (re.search(pattern.replace("$", "\\Z"), text, re.ASCII) is not None)
