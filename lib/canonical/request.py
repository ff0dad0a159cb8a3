"""The question half of the canonical form: a Responses request, whatever dialect it came in.

Input items stay wire dictionaries, because replayed items exceed any model of them; the known top-level fields are
typed. A dialect guarantees:

- `input` is a list of items, each with a `type`; a message's `content` is a list of parts (`input_text`,
  `input_image`, `input_file`, `input_audio` from users and the system, `output_text`, `refusal` from the assistant);
- tools are flat Responses tools; `tool_choice` is a Responses tool choice;
- every tool output answers a call that stands before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from lib.values import Value, replace

LOGPROBS = "message.output_text.logprobs"
"""The value of `include` that asks for the log probabilities of tokens. In `asked` it stands under this name for those
who include it themselves, and under `logprobs` for Chat Completions, which has that parameter instead."""

CORE = frozenset(
    {
        *("model", "input", "instructions", "stream", "tools", "tool_choice", "parallel_tool_calls"),
        *("reasoning", "text"),
    }
)
"""Fields that have an effect on every upstream."""

Item = dict[str, Any]
Tool = dict[str, Any]


class CanonicalRequest(Value, frozen=True, kw_only=True):
    """One model request. `None` means that the caller did not say."""

    unshown: ClassVar = frozenset(
        {"input", "instructions", "tools", "text", "prompt_cache_key", "parameters", "body", "affinity"}
    )

    model: str | None
    input: list[Item]
    stream: bool = False
    instructions: str | None = None

    tools: list[Tool] = []
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None

    reasoning: dict[str, Any] | None = None
    """`{"effort", "summary", …}`"""
    text: dict[str, Any] | None = None
    """`{"verbosity", "format": {"type": "text" | "json_object" | "json_schema", …}}`"""
    include: list[str] = []
    service_tier: str | None = None
    prompt_cache_key: str | None = None

    parameters: dict[str, Any] = {}
    """Further Responses parameters under their canonical names (`temperature`, `max_output_tokens`, `stop`, …)."""

    asked: dict[str, str] = {}
    """Canonical field → the caller's name for it, for every field that the caller set to something with an effect
    (`{"max_output_tokens": "max_tokens"}`); unknown fields stand under their own name. The relay names those that the
    upstream does not accept in `x-gateway-ignored`."""

    body: Mapping[str, Any] = {}
    """The caller's own body, for parameters that are echoed as sent."""

    affinity: str = ""
    """The conversation key: requests with the same one prefer the same account."""


def without_reasoning(request: CanonicalRequest) -> CanonicalRequest:
    """The request without encrypted reasoning, which only the account that produced it can read."""
    kept = [item for item in request.input if item.get("type") != "reasoning"]
    return request if len(kept) == len(request.input) else replace(request, input=kept)
