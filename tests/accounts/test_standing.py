from __future__ import annotations

import itertools

import pytest

from lib.accounts.standing import MAX_ENTRIES, Rest, Seen, Standing, decode, encode


def test_it_survives_the_way_through_a_store() -> None:
    standing = Standing({"codex": Rest(5.0, 1.0)}, {"ab": 2.0}, (Seen("codex", 29.5, 300, None, 3.0),))
    assert decode(encode(standing)) == standing


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"[]", b'{"rests":{"codex":[null,1]}}', b'{"windows":[["codex"]]}', b"[" * 100_000]
)
def test_what_cannot_be_read_is_nothing(data: bytes) -> None:
    assert decode(data) is None


def test_members_of_a_later_version_are_passed_over() -> None:
    assert decode(b'{"rests":{"codex":[5,1,"more"]},"colour":"red"}') == Standing({"codex": Rest(5.0, 1.0)})


def test_merging_takes_what_was_learned_later_in_any_order() -> None:
    parts = [
        Standing({"codex": Rest(600, 1)}, {"ab": 1}, (Seen("codex", 10, 300, None, 1),)),
        Standing({"codex": Rest(0, 2), "spark": Rest(9, 1)}, {}, (Seen("codex", 50, 300, None, 2),)),
        Standing({"codex": Rest(30, 3)}, {"ab": 3, "cd": 2}, (Seen("codex", 70, 10_080, None, 1),)),
    ]
    expected = Standing(
        {"codex": Rest(30, 3), "spark": Rest(9, 1)},
        {"ab": 3, "cd": 2},
        (Seen("codex", 50, 300, None, 2), Seen("codex", 70, 10_080, None, 1)),
    )
    for first, second, third in itertools.permutations(parts):
        assert first.merged(second).merged(third) == expected == first.merged(second.merged(third))


def test_of_two_rests_learned_at_once_the_longer_counts() -> None:
    short, long = Standing({"codex": Rest(5, 1)}), Standing({"codex": Rest(9, 1)})
    assert short.merged(long) == long.merged(short) == long


def test_it_is_bounded_and_keeps_the_newest() -> None:
    crowd = Standing(
        {f"{number}": Rest(1, number) for number in range(99)},
        {f"{number}": number for number in range(99)},
        tuple(Seen(f"{number}", 1, 1, None, number) for number in range(99)),
    )
    merged = Standing().merged(crowd)
    assert [len(merged.rests), len(merged.refused), len(merged.windows)] == [MAX_ENTRIES] * 3
    assert "98" in merged.rests and "98" in merged.refused and merged.windows[0].bucket == "98"


def test_nothing_was_learned_in_the_future() -> None:
    ahead = Standing({"codex": Rest(9e9, 9e9)}, {"ab": 9e9}, (Seen("codex", 1, 1, 9e9, 9e9),))
    assert ahead.not_after(5) == Standing({"codex": Rest(9e9, 5)}, {"ab": 5}, (Seen("codex", 1, 1, 9e9, 5),))
