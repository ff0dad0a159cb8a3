"""The canonical request as a body for an OpenAI-compatible `POST /chat/completions`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lib.canonical.request import CORE, LOGPROBS, CanonicalRequest
from lib.upstreams.openai_chat_messages import shape_messages
from lib.upstreams.openai_chat_tools import ChatTools, shape_tools
from lib.upstreams.openai_responses import TIERS, tier_of

_PARAMETERS = frozenset(
    {
        *("frequency_penalty", "logit_bias", "metadata", "moderation", "prediction", "presence_penalty"),
        *("prompt_cache_options", "prompt_cache_retention", "safety_identifier", "seed", "stop", "store"),
        *("temperature", "top_p", "user"),
    }
)
"""Names in `CanonicalRequest.parameters` that mean the same here."""

ACCEPTS = (
    CORE
    | _PARAMETERS
    | TIERS
    | {"max_output_tokens", "service_tier", "prompt_cache_key", "logprobs", LOGPROBS, "top_logprobs"}
)
"""Canonical fields that have an effect here."""

_OPENAI = ("api.openai.com", ".api.openai.com", ".openai.azure.com", ".cognitiveservices.azure.com")
_READS_THOUGHTS = (
    *("api.deepseek.com", "openrouter.ai", "api.z.ai", "open.bigmodel.cn"),
    *("api.moonshot.ai", "api.moonshot.cn", "api.minimax.io", "api.minimaxi.com"),
)
"""Hosts whose models go on better in a tool loop, or only, when they see what they thought. Others refuse the member
as unknown."""


@dataclass(frozen=True, slots=True)
class Shaped:
    """A body, and what is needed to read the answer."""

    body: dict[str, Any]
    tools: ChatTools


def shape(request: CanonicalRequest, host: str) -> Shaped:
    """host: the server's, lower-case; OpenAI's own refuses `max_tokens` for newer models, and many others know only
    that. Raises InvalidRequest for what a chat has no place for."""
    is_openai = host.endswith(_OPENAI)
    tools = shape_tools(request)
    parameters = request.parameters
    body: dict[str, Any] = {
        "messages": shape_messages(
            request.instructions,
            request.input,
            tools.names,
            is_openai=is_openai,
            replay_reasoning=host in _READS_THOUGHTS,
        ),
        **{name: value for name, value in parameters.items() if name in _PARAMETERS},
        "stream": True,
        "stream_options": {"include_usage": True},
        **tools.fields,
    }
    text = request.text or {}
    wants_logprobs = LOGPROBS in request.include or None
    optional = {
        "model": request.model,
        "max_completion_tokens" if is_openai else "max_tokens": parameters.get("max_output_tokens"),
        "reasoning_effort": (request.reasoning or {}).get("effort"),
        "response_format": _format(text.get("format")),
        "verbosity": text.get("verbosity"),
        "service_tier": tier_of(request),
        "prompt_cache_key": request.prompt_cache_key,
        "logprobs": wants_logprobs,
        "top_logprobs": wants_logprobs and parameters.get("top_logprobs"),  # by itself it means nothing, and is refused
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    return Shaped(body, tools)


def _format(shape_of: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The `response_format` of a canonical format; None for plain text."""
    kind = (shape_of or {}).get("type")
    if shape_of is None or kind in (None, "text"):
        return None
    if kind != "json_schema":
        return {"type": kind}
    members = {name: value for name, value in shape_of.items() if name != "type" and value is not None}
    return {"type": kind, "json_schema": members}
