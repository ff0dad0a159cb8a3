from __future__ import annotations

from lib.prompted.literals import ENDS, MISMATCH, any_end, blank_end, literal_end


def test_a_literal_is_there_or_not_or_cannot_be_told() -> None:
    assert literal_end("xabc", 1, "abc") == 4
    assert literal_end("xab", 1, "abc") == ENDS
    assert literal_end("x", 1, "abc") == ENDS
    assert literal_end("xabd", 1, "abc") == MISMATCH


def test_of_several_literals_the_one_that_is_there_counts() -> None:
    assert any_end("abd", 0, ("abc", "ab")) == 2
    assert any_end("ab", 0, ("xy", "abc")) == ENDS
    assert any_end("ax", 0, ("xy", "abc")) == MISMATCH


def test_blank_space_is_that_of_json() -> None:
    assert blank_end("a \t\r\n\u2028", 1) == 5
    assert blank_end("a", 1) == 1
