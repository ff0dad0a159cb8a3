"""The documented precedence of cooldown hints (lib/upstreams/waits.py)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from lib.types import Window
from lib.upstreams.waits import wait_s

NOW = 1_795_000_000.0


def wait(
    error: dict[str, object] | None = None, headers: dict[str, str] | None = None, *windows: Window
) -> float | None:
    return wait_s(error or {}, headers or {}, windows, NOW)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"resets_at": NOW + 90}, 90),
        ({"resets_at": (NOW + 90) * 1000}, 90),
        ({"resets_at": str(int(NOW + 90))}, 90),
        ({"resets_at": datetime.fromtimestamp(NOW + 90, UTC).isoformat()}, 90),
        ({"resets_at": datetime.fromtimestamp(NOW + 90, UTC).replace(tzinfo=None).isoformat()}, 90),
        ({"resets_in_seconds": 12}, 12),
        ({"retry_after": "7.5"}, 7.5),
        ({"retry_after_ms": 1500}, 1.5),
        ({"message": "Please try again in 11.054s."}, 11.054),
        ({"message": "try again in 250ms"}, 0.25),
        ({"message": "Try again in 20 s"}, 20),
        ({"message": "try again in 1h2m3s"}, 3723),
        ({"message": "try again in 2 minutes"}, 120),
        ({"message": "try again tomorrow"}, None),
        ({"resets_at": True}, None),
        ({"resets_at": "soon", "resets_in_seconds": None}, None),
        ({"resets_in_seconds": float("nan")}, None),
    ],
)
def test_body_hints_are_read_in_every_unit(error: dict[str, object], expected: float | None) -> None:
    assert wait(error) == (None if expected is None else pytest.approx(expected, abs=1e-6))


def test_retry_after_is_seconds_or_a_date() -> None:
    assert wait(headers={"retry-after": "30"}) == 30
    assert wait(headers={"retry-after-ms": "1500", "retry-after": "30"}) == 1.5
    assert wait(headers={"retry-after": format_datetime(datetime.fromtimestamp(NOW + 60, UTC))}) == 60
    assert wait(headers={"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}) == 0
    assert wait(headers={"retry-after": "Fri, 01 Jan 2999 00:00:00 GMT"}) == 366 * 86_400
    assert wait(headers={"retry-after": "whenever"}) is None


def test_conflicting_hints_follow_one_precedence() -> None:
    full = Window("codex", 100, 300, NOW + 5)
    everything = {"resets_at": NOW + 1, "resets_in_seconds": 2, "retry_after": 3, "message": "try again in 4s"}
    headers = {"retry-after": "6"}
    order = []
    for key in ("resets_at", "resets_in_seconds", "retry_after"):
        order.append(wait(everything, headers, full))
        del everything[key]
    order.append(wait(everything, headers, full))
    order.append(wait(everything, {}, full))
    order.append(wait({}, {}, full))
    assert order == [1, 2, 3, 6, 4, 5]


def test_a_hint_in_the_past_gives_way_to_the_next() -> None:
    assert wait({"resets_at": NOW - 10, "resets_in_seconds": 8}) == 8
    assert wait({"resets_at": NOW + 10 * 366 * 86_400}, {"retry-after": "9"}) == 9


def test_only_a_full_window_says_when_it_resets() -> None:
    assert wait({}, {}, Window("codex", 99, 300, NOW + 5)) is None
    assert wait({}, {}, Window("codex", 100, 300, NOW + 5), Window("codex", 100, 10_080, NOW + 50)) == 50
