from __future__ import annotations

import pytest

from lib.upstreams.demo_voice import RATE, length, plan, spoken


@pytest.mark.parametrize("speed", [0.25, 1.0, 1.3, 4.0])
@pytest.mark.parametrize(
    "text", ["Hello, world!", "áéñ ſß", "2 + 2 = 4", "🌊 漢字 שלום", "…'-", " \n ", "qqq" * 100, "\ud800"]
)
def test_the_length_is_known_beforehand(text: str, speed: float) -> None:
    words = plan(text, voice="alloy", speed=speed)
    assert sum(map(len, spoken(words))) == length(words)


def test_the_same_text_sounds_the_same() -> None:
    first, second = (b"".join(spoken(plan("Ahoy there", voice="alloy", speed=1))) for _ in range(2))
    assert first == second


def test_longer_texts_take_longer() -> None:
    lengths = [length(plan("word " * count, voice="alloy", speed=1)) for count in (1, 10, 100)]
    assert lengths[0] * 8 < lengths[1] < lengths[2] / 8


def test_other_scripts_are_spoken_and_marks_are_not() -> None:
    assert length(plan("漢", voice="alloy", speed=1)) > RATE // 20
    assert length(plan("é", voice="alloy", speed=1)) == length(plan("e", voice="alloy", speed=1))
    assert plan("'", voice="alloy", speed=1) == []


def test_no_piece_is_large() -> None:
    assert max(map(len, spoken(plan("a" * 4096, voice="alloy", speed=1)))) < 200_000
