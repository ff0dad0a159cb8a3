"""The model catalogue of the fake Codex backend, with the gates by client version and by plan."""

from __future__ import annotations

import re
from typing import Any

Fields = dict[str, Any]

PAID = ["plus", "pro", "prolite", "team", "business", "enterprise", "edu"]
ALL = ["free", "go", *PAID]
_LADDER = ["low", "medium", "high", "xhigh", "max", "ultra"]


def _entry(slug: str, priority: int, minimum: str, plans: list[str], efforts: int, **fields: Any) -> Fields:
    return {
        "slug": slug,
        "display_name": slug.upper(),
        "description": "A model of the fake backend.",
        "priority": priority,
        "visibility": "list",
        "supported_in_api": True,
        "minimal_client_version": minimum,
        "available_in_plans": plans,
        "context_window": 272_000,
        "max_context_window": 272_000,
        "input_modalities": ["text", "image"],
        "default_reasoning_level": "medium",
        "supported_reasoning_levels": [{"effort": effort, "description": effort} for effort in _LADDER[:efforts]],
        "supports_reasoning_summaries": True,
        "default_reasoning_summary": "none",
        "support_verbosity": True,
        "default_verbosity": "low",
        "supports_parallel_tool_calls": True,
        "service_tiers": [{"id": "priority", "name": "Fast", "description": "Faster."}],
        "use_responses_lite": False,
        "base_instructions": "(long in reality)",
        **fields,
    }


CATALOGUE: list[Fields] = [
    # Out of order on purpose: `priority` is what sorts them.
    _entry("gpt-5.5", 7, "0.124.0", ALL, 4),
    _entry("gpt-5.6-sol", 1, "0.144.0", PAID, 6, max_context_window=921_000, use_responses_lite=True),
    _entry("gpt-5.6-luna", 3, "0.144.0", ALL, 5, max_context_window=921_000, use_responses_lite=True),
    _entry(
        *("gpt-5.3-codex-spark", 26, "0.100.0", ["pro"], 4),
        input_modalities=["text"],
        context_window=128_000,
        support_verbosity=False,
        service_tiers=[],
    ),
    _entry("codex-auto-review", 43, "0.98.0", PAID, 5, visibility="hide"),
]

Version = tuple[int, int, int]


def version_of(text: str | None) -> Version | None:
    """The first `X.Y.Z` in a text."""
    found = re.search(r"\b(\d+)\.(\d+)\.(\d+)\b", text or "")
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def visible(plan: str, version: Version) -> list[Fields]:
    """The entries that an account of this plan sees with a client of this version."""
    return [entry for entry in CATALOGUE if plan in entry["available_in_plans"] and not too_old(entry, version)]


def find(slug: object, plan: str) -> Fields | None:
    """The entry that an account of this plan may use."""
    found = (entry for entry in CATALOGUE if entry["slug"] == slug and plan in entry["available_in_plans"])
    return next(found, None)


def too_old(entry: Fields, version: Version | None) -> bool:
    minimum = version_of(entry["minimal_client_version"])
    assert minimum is not None
    return version is None or version < minimum


def efforts(entry: Fields) -> list[str]:
    return [level["effort"] for level in entry["supported_reasoning_levels"]]
