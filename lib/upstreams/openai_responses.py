"""The canonical request as a body for an OpenAI-compatible `POST /responses`, and a whole Response as events.

The canonical form is this API's own, so nearly everything travels as it is. The answer is always asked for as a
stream: one reader does for both kinds of callers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lib.canonical.request import CORE, LOGPROBS, CanonicalRequest, Item, Tool
from lib.upstreams.tool_names import Names, short_call_id

_PARAMETERS = frozenset(
    {
        *("access_programs", "background_options", "client_metadata", "context_management", "image"),
        *("max_output_tokens", "max_tool_calls", "metadata", "moderation", "prompt_cache_options"),
        *("prompt_cache_retention", "safety_identifier", "store", "stream_options", "temperature", "top_logprobs"),
        *("top_p", "truncation", "user"),
    }
)
"""Names in `CanonicalRequest.parameters` that are parameters of this API."""

TIERS = frozenset({"service_tier.flex", "service_tier.scale"})

ACCEPTS = CORE | _PARAMETERS | TIERS | {"include", "service_tier", "prompt_cache_key", "logprobs", LOGPROBS}
"""Canonical fields that have an effect here."""

_ENCRYPTED = "reasoning.encrypted_content"
_OUTPUTS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}


@dataclass(frozen=True, slots=True)
class Shaped:
    """A body, and what is needed to read the answer."""

    body: dict[str, Any]
    names: Names


def shape(request: CanonicalRequest) -> Shaped:
    """The body for `POST /responses`."""
    names = Names(tool["name"] for tool in request.tools if isinstance(tool.get("name"), str))
    own = "input" in request.body
    """Whether the caller speaks Responses, where what is left out means the same as upstream."""
    body: dict[str, Any] = {
        "input": _input(request.input, names),
        **{name: value for name, value in request.parameters.items() if name in _PARAMETERS},
        "store": request.parameters.get("store") is True,
        "stream": True,
    }
    if own and request.body.get("metadata"):
        body["metadata"] = request.body["metadata"]
    optional = {
        "model": request.model,
        "instructions": request.instructions,
        "reasoning": _reasoning(request),
        "text": request.text,
        "include": _include(request),
        "service_tier": tier_of(request),
        "prompt_cache_key": request.prompt_cache_key,
    }
    body |= {name: value for name, value in optional.items() if value}
    if request.tools:
        body["tools"] = [_tool(tool, names, keep_strict=own) for tool in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = _choice(request.tool_choice, names)
        if request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls
    return Shaped(body, names)


def tier_of(request: CanonicalRequest) -> str | None:
    """The service tier that was asked for: "priority", or one that only an API with tiers knows."""
    asked = (name.partition(".")[2] for name in request.asked if name in TIERS)
    return request.service_tier or next(asked, None)


def _reasoning(request: CanonicalRequest) -> dict[str, Any] | None:
    """Chat Completions always wants summaries, for want of a switch. Models that do not reason refuse to be asked for
    one, and so does the API for organisations that it has not verified: only a caller's own wish is passed on."""
    name = request.asked.get("reasoning")
    if request.reasoning is None or name is None:
        return None
    if name == "reasoning_effort":
        return {key: value for key, value in request.reasoning.items() if key != "summary"}
    return request.reasoning


def _include(request: CanonicalRequest) -> list[str]:
    """As asked. The signatures of the Messages API hold encrypted reasoning, so its thinking needs it."""
    if "thinking" in request.asked.get("reasoning", "") and _ENCRYPTED not in request.include:
        return [*request.include, _ENCRYPTED]
    return request.include


def _input(items: list[Item], names: Names) -> list[Item]:
    answers = Counter(item.get("call_id") for item in items if item["type"] in _OUTPUTS.values())
    shaped = []
    for item in items:
        kept = _item(item, names)
        if kept is None:
            continue
        shaped.append(kept)
        output = _OUTPUTS.get(item["type"])
        if output is not None:
            answers[item["call_id"]] -= 1
            if answers[item["call_id"]] < 0:
                # A turn that its user interrupted: the API refuses a call without an output.
                shaped.append({"type": output, "call_id": kept["call_id"], "output": "aborted"})
    return shaped


def _item(item: Item, names: Names) -> Item | None:
    """Without members that say nothing, which the API refuses in some places. None for reasoning that nobody could
    read: without its encrypted content, the API would look for a stored item of that id."""
    kind = item["type"]
    kept = {name: value for name, value in item.items() if value is not None}
    if kind == "reasoning" and "encrypted_content" not in kept:
        if not kept.get("content"):
            return None
        kept.pop("id", None)  # open models read the text itself
    for member in ("content", "output"):
        if isinstance(kept.get(member), list):
            kept[member] = [_part(part) for part in kept[member]]
    if isinstance(kept.get("call_id"), str):
        kept["call_id"] = short_call_id(kept["call_id"])
    if kind in _OUTPUTS and isinstance(kept.get("name"), str):
        kept["name"] = names.short(kept["name"])
    return kept


def _part(part: Any) -> Any:
    if not isinstance(part, dict) or None not in part.values():
        return part
    return {name: value for name, value in part.items() if value is not None}


def _tool(tool: Tool, names: Names, *, keep_strict: bool) -> Tool:
    if tool.get("type") not in ("function", "custom"):
        return tool
    shaped = {**tool, "name": names.short(tool["name"])}
    if tool["type"] == "function":
        shaped["parameters"] = tool.get("parameters") or {"type": "object", "properties": {}}
        if not keep_strict:
            shaped.setdefault("strict", False)  # left out, it means false in other dialects and true here
    return shaped


def _choice(choice: str | dict[str, Any], names: Names) -> str | dict[str, Any]:
    if isinstance(choice, str):
        return choice
    shaped = {**choice}
    if shaped.get("type") in ("function", "custom") and isinstance(shaped.get("name"), str):
        shaped["name"] = names.short(shaped["name"])
    if isinstance(shaped.get("tools"), list):
        shaped["tools"] = _choices(shaped["tools"], names)
    return shaped


def _choices(choices: Iterable[Any], names: Names) -> list[Any]:
    return [_choice(each, names) if isinstance(each, dict) else each for each in choices]
