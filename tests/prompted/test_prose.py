from __future__ import annotations

import pytest

from lib.prompted.prose import Prose


def spots(text: str, prose: Prose | None = None) -> list[int]:
    """Where a marker would count."""
    prose = prose or Prose()
    found, pos, past = [], 0, False
    while (pos := prose.advance(text, pos, past=past)) >= 0:
        if not prose.quoted:
            found.append(pos)
        past = True
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<", [0]),
        ("a < b <", [2, 6]),
        ("a { b", []),
        ("{", [0]),
        ("  {", [2]),
        ("`a` <", [0, 4]),
        ("a `<` <", [6]),
        ("a ``<`<`` <", [10]),
        ("```\n<\n```\n<", [0, 10]),
        ("```\n<\n``` x\n<", [0]),
        ("~~~\n<\n```\n<\n~~~\n<", [16]),
        ("> <\n<", [4]),
        ('"<" <', [4]),
        ('5" < 6"', [3]),
        ("it's < isn't", [5]),
        ('"a\nb <\n\n<', [8]),
        ("'a <\n<", [5]),
        ("“a\n<” <", [6]),
    ],
)
def test_markers_count_outside_of_code_and_quotes(text: str, expected: list[int]) -> None:
    assert spots(text) == expected


def test_a_place_inside_a_fence_is_left_at_its_end() -> None:
    assert spots("<\n```\n<", Prose(line_start=False, fence="```")) == [6]


def test_blank_space_leaves_the_line_at_its_start() -> None:
    prose = Prose()
    prose.advance("a\n \t", 0)
    assert prose.line_start
    prose.advance("b", 0)
    assert not prose.line_start
