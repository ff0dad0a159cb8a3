"""Usage windows in headers and events."""

from __future__ import annotations

from lib.types import Window
from lib.upstreams.codex_limits import from_event, from_headers

NOW = 1000.0


def test_headers_name_windows_by_bucket() -> None:
    windows = from_headers(
        {
            "x-codex-primary-used-percent": "29.5",
            "x-codex-primary-window-minutes": "300",
            "x-codex-primary-reset-at": "5000",
            "x-codex-secondary-used-percent": "12",
            "x-codex-secondary-window-minutes": "10080",
            "x-codex-secondary-reset-at": "",
            "x-codex-secondary-reset-after-seconds": "60",
            "x-codex-bengalfox-primary-used-percent": "7",
            "x-codex-plan-type": "plus",
        },
        NOW,
    )
    assert windows == [
        Window("codex", 29.5, 300, 5000.0),
        Window("codex", 12.0, 10080, 1060.0),
        Window("codex-bengalfox", 7.0, None, None),
    ]


def test_a_plan_without_a_second_window_has_none() -> None:
    assert from_headers({"x-codex-secondary-used-percent": "0", "x-codex-secondary-window-minutes": ""}, NOW) == []


def test_garbage_in_headers_says_nothing() -> None:
    assert from_headers({"x-codex-primary-used-percent": "lots"}, NOW) == []
    assert from_headers({"x-codex-primary-used-percent": "nan"}, NOW) == []
    assert from_headers({"x-codex-primary-used-percent": "-4"}, NOW) == []


def test_events_name_windows_too() -> None:
    event = {
        "type": "codex.rate_limits",
        "rate_limits": {
            "primary": {"used_percent": 100, "window_minutes": 300, "reset_after_seconds": 30, "reset_at": None},
            "secondary": None,
        },
    }
    assert from_event(event, NOW) == [Window("codex", 100.0, 300, 1030.0)]
    assert from_event({**event, "limit_id": "codex_spark"}, NOW)[0].bucket == "codex-spark"
    assert from_event({"type": "codex.rate_limits", "rate_limits": None}, NOW) == []


def test_credits_go_with_every_window() -> None:
    headers = {"x-codex-primary-used-percent": "100", "x-codex-primary-window-minutes": "300"}
    for name in ("has-credits", "unlimited"):
        assert from_headers({**headers, f"x-codex-credits-{name}": "True"}, NOW)[0].has_credits
        assert not from_headers({**headers, f"x-codex-credits-{name}": "False"}, NOW)[0].has_credits
        fields = {"rate_limits": {"primary": {"used_percent": 100}}, "credits": {name.replace("-", "_"): True}}
        assert from_event(fields, NOW)[0].has_credits
    assert not from_event({"rate_limits": {"primary": {"used_percent": 100}}, "credits": None}, NOW)[0].has_credits
