"""Thinking: its settings → reasoning settings, and its blocks ↔ reasoning items.

What the request says                                       effort asked of the upstream
`output_config.effort` low, medium, high, xhigh             the same
`output_config.effort` max                                  xhigh, the highest that every model has
`thinking` enabled, `budget_tokens` under 4,096             low
`thinking` enabled, `budget_tokens` under 16,384            medium
`thinking` enabled, `budget_tokens` from 16,384             high
`thinking` adaptive or between_tools, or none at all        the model's own default
`thinking` disabled                                         low, the lowest that every model has

`output_config.effort` outranks `thinking`. Thinking that is neither disabled nor absent is shown as thinking blocks:
the reasoning summary, and in the `signature` the upstream's encrypted reasoning, from which the next request restores
the reasoning item. Signatures of other services are of no use here, and neither is redacted thinking: both are dropped.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from lib.canonical.request import Item
from lib.dialects.fields import integer, missing, object_, one_of

SIGNATURE = "reasoning.v1:"
"""Begins the signature of every thinking block of ours; the encrypted reasoning follows, if there is any."""

_KINDS = one_of("enabled", "adaptive", "between_tools", "disabled")
_EFFORT = one_of("low", "medium", "high", "xhigh", max="xhigh")
_DISPLAY = one_of("summarized", "omitted")
_BUDGET = integer(1)
_MEDIUM_FROM, _HIGH_FROM = 4_096, 16_384


class Display(enum.Enum):
    """What of the reasoning is shown to the client."""

    NOTHING = "nothing"
    SIGNATURE = "signature"
    TEXT = "text"


def display_of(thinking: Any) -> Display:
    """From the `thinking` member of a checked body."""
    if type(thinking) is not dict or thinking.get("type") == "disabled":
        return Display.NOTHING
    return Display.SIGNATURE if thinking.get("display") == "omitted" else Display.TEXT


def parse_reasoning(thinking: Mapping[str, Any] | None, output: Mapping[str, Any]) -> dict[str, Any] | None:
    """The canonical `reasoning`, None to leave it to the model. Raises InvalidRequest."""
    effort = None if thinking is None else _thinking_effort(thinking)
    if output.get("effort") is not None:
        effort = _EFFORT(output["effort"], "output_config.effort")
    reasoning = {} if effort is None else {"effort": effort}
    if display_of(thinking) is Display.TEXT:
        reasoning["summary"] = "auto"
    return reasoning or None


def _thinking_effort(thinking: Mapping[str, Any]) -> str | None:
    if thinking.get("type") is None:
        raise missing("thinking.type")
    kind = _KINDS(thinking["type"], "thinking.type")
    if thinking.get("display") is not None:
        _DISPLAY(thinking["display"], "thinking.display")
    if kind == "disabled":
        return "low"
    if kind != "enabled":
        return None
    if thinking.get("budget_tokens") is None:
        raise missing("thinking.budget_tokens")
    budget = _BUDGET(thinking["budget_tokens"], "thinking.budget_tokens")
    return "low" if budget < _MEDIUM_FROM else "medium" if budget < _HIGH_FROM else "high"


def signature_of(encrypted: str | None) -> str:
    """The signature for a thinking block. Never empty: clients take an empty one for a broken block."""
    return SIGNATURE + (encrypted or "")


def restore(block: Item, param: str) -> Item | None:
    """The reasoning item behind a thinking block; None if it is not one of ours. Raises InvalidRequest."""
    signature = object_(block, param).get("signature")
    if type(signature) is not str or not signature.startswith(SIGNATURE):
        return None
    encrypted = signature.removeprefix(SIGNATURE)
    # The summary was for the client; the upstream reads the encrypted content alone.
    return {"type": "reasoning", "summary": [], "encrypted_content": encrypted} if encrypted else None
