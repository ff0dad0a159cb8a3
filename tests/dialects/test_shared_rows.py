"""Rows that dialects share, and what the canonical form takes of them."""

from __future__ import annotations

from typing import Any

import pytest

from lib.dialects.fields import Fields, Table, read
from lib.dialects.shared_rows import MODEL, SERVICE_TIER, model_of, service_tier_of


def walked(**body: Any) -> Fields:
    return read(Table(MODEL, SERVICE_TIER), body)


def test_model_is_left_to_the_gateway_when_empty_or_auto() -> None:
    assert [model_of(walked(model=model)) for model in (None, "", "auto", "gpt-5.5")] == [
        None,
        None,
        None,
        "gpt-5.5",
    ]


@pytest.mark.parametrize(
    ("sent", "tier", "asked"),
    [
        (None, None, {}),
        ("auto", None, {}),
        ("default", None, {}),
        ("priority", "priority", {"service_tier": "service_tier"}),
        ("fast", "priority", {"service_tier": "service_tier"}),
        ("flex", None, {"service_tier.flex": "service_tier"}),
    ],
)
def test_only_the_priority_tier_is_handed_on(sent: str | None, tier: str | None, asked: dict[str, str]) -> None:
    found = walked(service_tier=sent)
    assert service_tier_of(found) == tier
    assert found.asked == asked
