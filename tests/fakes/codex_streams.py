"""Streams as the Codex backend writes them: frames, and the examples of tests/streams."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tests.fakes.codex_composer import CREATED_AT, Fields

STREAMS = Path(__file__).parent.parent / "streams"
TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})


def rate_limits(used_percent: float = 29, plan: str = "plus") -> Fields:
    """The `codex.rate_limits` event: no sequence number, may come before everything else."""
    primary = {"used_percent": used_percent, "window_minutes": 300, "reset_after_seconds": 7089}
    secondary = {"used_percent": 12, "window_minutes": 10080, "reset_after_seconds": 401220}
    return {
        "type": "codex.rate_limits",
        "plan_type": plan,
        "rate_limits": {
            "allowed": used_percent < 100,
            "limit_reached": used_percent >= 100,
            "primary": primary | {"reset_at": CREATED_AT + 7089},
            "secondary": secondary | {"reset_at": CREATED_AT + 401220},
        },
        "code_review_rate_limits": None,
        "additional_rate_limits": None,
        "credits": {"has_credits": False, "unlimited": False, "balance": None},
        "promo": None,
    }


def frame(event: Mapping[str, Any], *, event_line: bool = True, crlf: bool = False) -> bytes:
    """One event as server-sent bytes."""
    end = b"\r\n" if crlf else b"\n"
    name = b"event: " + event["type"].encode() + end if event_line else b""
    return name + b"data: " + msgspec.json.encode(event) + end + end


def parse(data: bytes) -> list[Fields]:
    """The events of a whole stream, as in tests/streams."""
    lines = (line for line in data.split(b"\n") if line.startswith(b"data: "))
    return [msgspec.json.decode(line[6:]) for line in lines]


def load(name: str) -> list[Fields]:
    """The events of `tests/streams/<name>.sse`."""
    return parse((STREAMS / f"{name}.sse").read_bytes())
