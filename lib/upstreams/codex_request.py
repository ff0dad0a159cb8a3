"""The canonical request as a body that the Codex backend takes.

Built from an allow-list, never by copying the caller's body: the backend refuses every top-level key it does not know.
`store` and `stream` have one legal value each; `instructions` must be there and may be empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from lib.canonical.hosted import unavailable
from lib.canonical.request import CORE, LOGPROBS, CanonicalRequest, Tool
from lib.errors import InvalidRequest
from lib.upstreams.codex_items import mentions_json, shape_input
from lib.upstreams.tool_names import Names

ACCEPTS = frozenset(
    {
        *CORE,
        "include",
        LOGPROBS,
        "service_tier",
        "prompt_cache_key",
        "client_metadata",
        "user",  # as the affinity key
    }
)
"""Canonical fields that have an effect here."""

_REASONING = "reasoning.encrypted_content"
_ADDITIONAL = "additional_tools"
_INCLUDABLE = frozenset(
    {
        "code_interpreter_call.outputs",
        "computer_call_output.output.image_url",
        "file_search_call.results",
        "message.input_image.image_url",
        LOGPROBS,
        "reasoning.encrypted_content",
        "web_search_call.action.sources",
    }
)
_UNAVAILABLE_TOOLS = ("code_interpreter", "file_search", "computer_use", "mcp")
_TIERS = {"priority": "priority", "fast": "priority"}
_PLAIN_KEY = re.compile(r"[!-~]{1,64}")


@dataclass(frozen=True, slots=True)
class Shaped:
    """A body for `POST /responses`, and what is needed to read the answer."""

    body: dict[str, Any]
    names: Names


def shape(request: CanonicalRequest) -> Shaped:
    """Raises InvalidRequest for what the backend has no place for."""
    tools = [*request.tools, *_additional_tools(request)]
    names = Names(tool["name"] for tool in tools if isinstance(tool.get("name"), str))
    text = _text(request)
    wants_json = text.get("format", {}).get("type") == "json_object"
    given = [item for item in request.input if item["type"] != _ADDITIONAL]
    lifted, items = shape_input(given, names, keep_system=wants_json)
    if wants_json and not mentions_json(items):
        # Only the input counts: the same word in the instructions does not satisfy the backend.
        items.insert(0, {"type": "message", "role": "developer", "content": [_input_text("Reply in JSON.")]})
    body: dict[str, Any] = {
        "model": request.model,
        "instructions": "\n\n".join(part for part in (request.instructions, lifted) if part),
        "input": items,
        "store": False,
        "stream": True,
        "include": sorted({*_include(request), _REASONING}),
        "prompt_cache_key": _cache_key(request),
    }
    if request.reasoning:
        body["reasoning"] = request.reasoning
    if text:
        body["text"] = text
    if request.service_tier in _TIERS:
        body["service_tier"] = _TIERS[request.service_tier]
    if request.parameters.get("client_metadata"):
        body["client_metadata"] = request.parameters["client_metadata"]
    if tools:
        body |= _tools(request, tools, names)
    return Shaped(body, names)


def _include(request: CanonicalRequest) -> list[str]:
    """As asked, but for the log probabilities that a chat wants: models that reason have none, and the backend takes
    no `top_logprobs`, so that parameter is named as ignored. Whoever speaks Responses knows what they ask for."""
    wanted = [name for name in request.include if name != LOGPROBS or "logprobs" not in request.asked]
    for index, name in enumerate(wanted):
        if name not in _INCLUDABLE:
            raise InvalidRequest(
                f"'{name}' cannot be included by this upstream. Leave it out.",
                param=f"include[{index}]",
                code="unsupported_value",
            )
    return wanted


def _cache_key(request: CanonicalRequest) -> str:
    """The caller's key, or one that is as stable as the conversation. It travels in a header, too."""
    key = request.prompt_cache_key
    if key is not None and _PLAIN_KEY.fullmatch(key):
        return key
    return blake2b((key or request.affinity).encode(), digest_size=16).hexdigest()


def _input_text(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}


def _text(request: CanonicalRequest) -> dict[str, Any]:
    text = dict(request.text or {})
    shape_of = text.get("format")
    if isinstance(shape_of, dict) and shape_of.get("type") == "json_schema":
        # Left out, `strict` means true here and false in Chat Completions: say it.
        text["format"] = {"strict": False, **{k: v for k, v in shape_of.items() if v is not None}}
    return text


def _additional_tools(request: CanonicalRequest) -> list[Tool]:
    """Codex CLI sends the tools of its newer models as an input item, with its own ones in a namespace. The backend
    takes them in the ordinary place from everyone else, so that is where they go."""
    found: list[Tool] = []
    for item in request.input:
        if item["type"] != _ADDITIONAL:
            continue
        for tool in item.get("tools") or ():
            if tool.get("type") == "namespace" and tool.get("name") == "functions":
                found += tool.get("tools") or ()
            else:
                found.append(tool)
    return found


def _tools(request: CanonicalRequest, tools: list[Tool], names: Names) -> dict[str, Any]:
    choice = request.tool_choice
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = {(tool.get("type"), tool.get("name")) for tool in choice.get("tools", [])}
        tools = [tool for tool in tools if (tool.get("type"), tool.get("name")) in allowed]
        choice = choice.get("mode", "auto")
    elif isinstance(choice, dict):
        choice = {k: names.short(v) if k == "name" else v for k, v in choice.items()}
        if str(choice.get("type", "")).startswith("web_search"):
            choice["type"] = "web_search"
    if not tools:
        return {}
    fields: dict[str, Any] = {"tools": [_tool(tool, i, names, request) for i, tool in enumerate(tools)]}
    if choice is not None:
        fields["tool_choice"] = choice
    if request.parallel_tool_calls is not None:
        fields["parallel_tool_calls"] = request.parallel_tool_calls
    return fields


def _tool(tool: Tool, index: int, names: Names, request: CanonicalRequest) -> Tool:
    kind = str(tool["type"])
    if kind == "function":
        shaped = {
            "type": "function",
            "name": names.short(tool["name"]),
            "parameters": tool.get("parameters") or {"type": "object", "properties": {}},
            # The backend takes a missing `strict` for true and then fails now and then in mid-stream.
            "strict": tool.get("strict") is True,
        }
        return shaped | ({"description": tool["description"]} if tool.get("description") else {})
    if kind == "custom":
        return {**tool, "name": names.short(tool["name"])}
    if kind.startswith("web_search"):
        return {**tool, "type": "web_search"}  # `web_search_preview` and its dated names are refused
    if kind.startswith(_UNAVAILABLE_TOOLS):
        raise unavailable(request, kind, f"tools[{index}].type", "the upstream 'codex'")
    return tool
