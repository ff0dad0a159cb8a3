"""Rows of the tables, and rules about them, that several dialects share."""

from __future__ import annotations

from lib.dialects.fields import Field, Fields, ask, identifier, one_of

MODEL = Field("model", identifier(256))
EFFORT = one_of("none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra")
VERBOSITY = one_of("low", "medium", "high")
SERVICE_TIER = Field(
    "service_tier", one_of("auto", "default", "flex", "scale", "priority", fast="priority"), neutral=("auto", "default")
)


def model_of(fields: Fields) -> str | None:
    """The model asked for; None leaves the choice to the gateway (no model, an empty one, or "auto")."""
    model: str | None = fields.values.get("model")
    return None if model in ("", "auto") else model


def service_tier_of(fields: Fields) -> str | None:
    """The tier for `CanonicalRequest.service_tier`: only "priority" means the same everywhere. Another one that has an
    effect is asked for under a name of its own ("service_tier.flex"), because an upstream that takes tiers may still
    not have it."""
    tier = fields.values.get("service_tier")
    if tier is None or tier in SERVICE_TIER.neutral:
        return None
    if tier == "priority":
        ask(fields.asked, "service_tier", "service_tier")
        return "priority"
    ask(fields.asked, f"service_tier.{tier}", "service_tier")
    return None
