"""The Response object as strict clients want it: every member of the API's schema, whatever the upstream left out.

What the caller asked for is echoed as it was sent, also where the upstream never saw it. Members that name the
upstream's account (`user`, `safety_identifier`) or the gateway's own doing (`instructions`, `prompt_cache_key`) come
from the caller alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib.canonical.request import CanonicalRequest, Item, Tool

_FROM_CALLER = frozenset({"user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt"})
_UPSTREAMS = frozenset({"id", "created_at", "model"})
"""Members that the upstream knows better."""
_NOT_PUBLIC = frozenset({"headers", "end_turn"})
_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "web_search_call": "ws",
    "image_generation_call": "ig",
}
_NO_IMAGES = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}
_CODES = frozenset(
    {
        "bio_policy",
        "data_residency_mismatch",
        "empty_image_file",
        "failed_to_download_image",
        "image_content_policy_violation",
        "image_file_not_found",
        "image_file_too_large",
        "image_parse_error",
        "image_too_large",
        "image_too_small",
        "invalid_base64_image",
        "invalid_image",
        "invalid_image_format",
        "invalid_image_mode",
        "invalid_image_url",
        "invalid_prompt",
        "misalignment_policy_violation",
        "rate_limit_exceeded",
        "server_error",
        "unsupported_image_media_type",
        "vector_store_timeout",
    }
)
"""All that `response.error.code` may be."""
_LIMITS = frozenset({"insufficient_quota", "quota_exceeded", "usage_limit_reached", "usage_not_included"})
_PROMPTS = frozenset({"context_length_exceeded", "cyber_policy"})


def error_code(code: Any, status: int | None = None) -> str:
    """The nearest code that the schema allows for `response.error.code`; `status` is HTTP's, if one is known."""
    if code in _CODES:
        return str(code)
    if code in _LIMITS or status == 429:
        return "rate_limit_exceeded"
    if code in _PROMPTS or status in (400, 413):
        return "invalid_prompt"
    return "server_error"


class ResponseObject:
    """Makes the Response objects of one answer. kept: the gateway keeps it, under an id of its own."""

    def __init__(self, request: CanonicalRequest, *, response_id: str, now: float, kept: bool = False) -> None:
        self._suffix = response_id
        self._sent = request.body
        self._constant = {
            "id": f"resp_{response_id}",
            "object": "response",
            "created_at": int(now),
            "model": request.model or "auto",
            **_echo(request),
            "store": kept,
        }
        self._upstreams = _UPSTREAMS - {"id"} if kept else _UPSTREAMS

    def complete(self, response: Mapping[str, Any], status: str) -> dict[str, Any]:
        """A whole Response made of the upstream's `response`; `status` is the one that its event implies."""
        found = dict(self._constant)
        for name, value in response.items():
            if value is not None and (name not in found or name in self._upstreams):
                found[name] = value
        for name in _FROM_CALLER | _NOT_PUBLIC:
            if name not in self._constant:
                found.pop(name, None)
        found |= {
            "status": status,
            "completed_at": response.get("completed_at") if status == "completed" else None,
            "error": _error(response.get("error")) if status == "failed" else None,
            "incomplete_details": _incomplete(response.get("incomplete_details")) if status == "incomplete" else None,
            "output": self._output(response.get("output"), status),
            "usage": _usage(response.get("usage")),
            "reasoning": {"effort": None, "summary": None, **_given(response, "reasoning"), **self._given("reasoning")},
            "text": {"format": {"type": "text"}, **_given(response, "text"), **self._given("text")},
            "service_tier": response.get("service_tier") or "default",
        }
        for name, default in _NUMBERS.items():
            found[name] = _number(self._sent.get(name), response.get(name), default)
        if "tool_usage" in found:
            usage = _given(response, "tool_usage")
            found["tool_usage"] = {"image_gen": _NO_IMAGES, "web_search": {"num_requests": 0}, **usage}
        return found

    def item(self, item: Item, index: int, status: str) -> Item:
        """A whole output item; `status` is for items that need one and have none."""
        kind = item["type"] if isinstance(item.get("type"), str) else ""
        found = {name: value for name, value in item.items() if value is not None or name not in _ITEM_LISTS}
        if not isinstance(found.get("id"), str):
            found["id"] = self.item_id(kind, index)
        for name, value in _ITEM_DEFAULTS.get(kind, {}).items():
            found.setdefault(name, value)
        if kind in _WITH_STATUS:
            found["status"] = found.get("status") or status
        if kind == "message" and isinstance(found["content"], list):
            found["content"] = [part(each) if isinstance(each, dict) else each for each in found["content"]]
        return found

    def item_id(self, kind: str, index: int) -> str:
        """For an item that the upstream gave none; the same for the same place in the same answer."""
        return f"{_PREFIXES.get(kind, 'item')}_{self._suffix}_{index}"

    def _output(self, output: Any, status: str) -> list[Any]:
        """Items of a broken answer end where it does, all others are finished."""
        ended = "completed" if status == "completed" else "incomplete"
        items = output if isinstance(output, list) else []
        return [self.item(item, index, ended) if isinstance(item, dict) else item for index, item in enumerate(items)]

    def _given(self, name: str) -> dict[str, Any]:
        return _given(self._sent, name)


def part(found: dict[str, Any]) -> dict[str, Any]:
    """A whole content part."""
    if found.get("type") != "output_text":
        return found
    return {**found, "annotations": found.get("annotations") or [], "logprobs": found.get("logprobs") or []}


_ITEM_LISTS = frozenset({"content", "summary"})
_ITEM_DEFAULTS: Mapping[str, Item] = {
    "message": {"role": "assistant", "content": []},
    "reasoning": {"summary": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
    # A search that has only begun has no action yet, and the schema wants one.
    "web_search_call": {"action": {"type": "search", "query": ""}},
    "image_generation_call": {"result": None},
}
_WITH_STATUS = frozenset({"message", "function_call", "web_search_call", "image_generation_call", "local_shell_call"})
_NUMBERS = {"temperature": 1.0, "top_p": 1.0, "top_logprobs": 0, "presence_penalty": 0.0, "frequency_penalty": 0.0}


def _echo(request: CanonicalRequest) -> dict[str, Any]:
    sent = request.body
    echo = {
        "background": False,
        "instructions": sent.get("instructions"),
        "max_output_tokens": sent.get("max_output_tokens"),
        "max_tool_calls": sent.get("max_tool_calls"),
        "metadata": _given(sent, "metadata"),
        "parallel_tool_calls": sent.get("parallel_tool_calls") is not False,
        "previous_response_id": sent.get("previous_response_id"),
        "prompt_cache_key": sent.get("prompt_cache_key"),
        "safety_identifier": sent.get("safety_identifier"),
        "tool_choice": request.tool_choice or "auto",
        "tools": [_tool(tool) for tool in request.tools],
        "truncation": sent.get("truncation") or "disabled",
    }
    # The schema has no null for these.
    echo |= {name: sent[name] for name in ("user", "prompt_cache_retention") if sent.get(name) is not None}
    return echo


def _tool(tool: Tool) -> Tool:
    if tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": None, **tool}


def _given(holder: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The members of an object that say something."""
    value = holder.get(name)
    if not isinstance(value, dict):
        return {}
    return {member: each for member, each in value.items() if each is not None}


def _number(*values: Any) -> Any:
    return next(value for value in values if type(value) in (int, float))


def _error(error: Any) -> dict[str, Any]:
    found = error if isinstance(error, dict) else {}
    return {"code": error_code(found.get("code")), "message": str(found.get("message") or "The upstream failed.")}


def _incomplete(details: Any) -> dict[str, Any]:
    return details if isinstance(details, dict) and details.get("reason") else {"reason": "max_output_tokens"}


def _usage(usage: Any) -> dict[str, Any] | None:
    if not isinstance(usage, dict):
        return None
    taken, made, total = (_count(usage.get(name)) for name in ("input_tokens", "output_tokens", "total_tokens"))
    return {
        **usage,
        "input_tokens": taken,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, **_given(usage, "input_tokens_details")},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": 0, **_given(usage, "output_tokens_details")},
        "total_tokens": total or taken + made,
    }


def _count(tokens: Any) -> int:
    return tokens if type(tokens) is int else 0
