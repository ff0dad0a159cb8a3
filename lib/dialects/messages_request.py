"""A Messages request → the canonical form. `FIELDS` says what becomes of each parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib.canonical.request import CanonicalRequest
from lib.dialects.affinity import affinity_of
from lib.dialects.fields import (
    Check,
    Field,
    Fields,
    Table,
    Treatment,
    array,
    ask,
    boolean,
    identifier,
    integer,
    missing,
    number,
    object_,
    one_of,
    read,
)
from lib.dialects.members import name_unknown
from lib.dialects.messages_content import texts
from lib.dialects.messages_errors import THREADS
from lib.dialects.messages_history import parse_messages
from lib.dialects.messages_thinking import parse_reasoning
from lib.dialects.messages_tools import parse_tools
from lib.dialects.shared_rows import MODEL, model_of
from lib.errors import InvalidRequest

_PASSED, _EMULATED, _REFUSED = Treatment.PASSED, Treatment.EMULATED, Treatment.REFUSED

MAX_STOPS, MAX_STOP_CHARS = 32, 256
_STOPS = Check(
    f"an array of at most {MAX_STOPS} strings of 1 to {MAX_STOP_CHARS} characters",
    (list,),
    lambda value: (
        len(value) <= MAX_STOPS and all(type(each) is str and 0 < len(each) <= MAX_STOP_CHARS for each in value)
    ),
    keywords={"maxItems": MAX_STOPS, "items": {"type": "string", "minLength": 1, "maxLength": MAX_STOP_CHARS}},
)
_SYSTEM = Check("a string or an array of text blocks", (str, list))
_FORMAT = one_of("json_schema")
_KEPT_THINKING = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}

FIELDS = Table(
    MODEL,
    Field("messages", array, required=True),
    Field("max_tokens", integer(1), "max_output_tokens", treatment=_PASSED, required=True),
    Field("cache_control", object_, treatment=_EMULATED),
    Field("container", Check("a string or an object", (str, dict)), "anthropic.container", treatment=_PASSED),
    Field(
        "context_management",
        object_,
        "anthropic.context_management",
        ({}, {"edits": []}, _KEPT_THINKING),  # all thinking is kept anyway
        _PASSED,
    ),
    Field("diagnostics", object_, "anthropic.diagnostics", ({},), _PASSED),
    Field("inference_geo", identifier(64), "anthropic.inference_geo", treatment=_PASSED),
    Field("mcp_servers", array, None, ([],), _REFUSED, "the gateway calls no MCP servers. Offer their tools yourself."),
    Field("metadata", object_),
    Field("output_config", object_),
    Field("output_format", object_),
    Field("service_tier", one_of("auto", "standard_only")),
    Field("speed", one_of("standard", "fast"), "service_tier", ("standard",), _EMULATED),
    Field("stop_sequences", _STOPS, treatment=_EMULATED),
    Field("stream", boolean),
    Field("system", _SYSTEM, "instructions", ("", [])),
    Field("temperature", number(0, 1), neutral=(1,), treatment=_PASSED),
    Field("thinking", object_, "reasoning"),
    Field("tool_choice", object_, "tool_choice"),
    Field("tools", array, "tools", ([],)),
    Field("top_k", integer(0), treatment=_PASSED),
    Field("top_p", number(0, 1), neutral=(1,), treatment=_PASSED),
)
"""Served by the gateway itself: `stream`, `stop_sequences` (the answer is cut at the first one), `metadata` (its
`user_id` keeps a conversation on one account), `cache_control` (upstreams cache by themselves) and `service_tier`, both
values of which mean the ordinary tier here; `speed: fast` is the priority tier."""

_USER_ID = identifier(1024)
_ATTRIBUTION = "x-anthropic-billing-header:"
"""Begins the first system block of Claude Code. It tells the vendor's API whom to bill, changes with every request, and
is removed there before the model reads it; here too, or no prompt would ever be found in the upstream's cache."""

_OUTPUT_MEMBERS = ("effort", "format")
_THINKING_MEMBERS = ("type", "budget_tokens", "display")


def parse(body: Mapping[str, Any]) -> CanonicalRequest:
    """Raises InvalidRequest, which names the field and says what to send."""
    if body.get("thread") is not None:
        raise InvalidRequest(
            "'thread' is not supported: this gateway keeps no conversations. Send all of it in 'messages'.",
            param="thread",
            code=THREADS,
        )
    fields = read(FIELDS, body)
    values = fields.values
    instructions = _instructions(values.get("system"))
    items = parse_messages(values["messages"], fields.asked)
    tools = parse_tools(fields)
    output = values.get("output_config", {})
    reasoning = parse_reasoning(values.get("thinking"), output)
    if output.get("effort") is not None and "thinking" not in values:
        ask(fields.asked, "reasoning", "output_config.effort")
    name_unknown(output, _OUTPUT_MEMBERS, "output_config", fields.asked)
    name_unknown(values.get("thinking", {}), _THINKING_MEMBERS, "thinking", fields.asked)
    return CanonicalRequest(
        model=model_of(fields),
        input=items,
        stream=values.get("stream", False),
        instructions=instructions,
        tools=tools.tools,
        tool_choice=tools.choice,
        parallel_tool_calls=tools.parallel,
        reasoning=reasoning,
        text=_text(fields),
        include=list(tools.include),
        service_tier="priority" if values.get("speed") == "fast" else None,
        parameters=fields.parameters,
        asked=fields.asked,
        body=body,
        affinity=_user_id(values.get("metadata", {})) or affinity_of(instructions, items),
    )


def _instructions(system: Any) -> str | None:
    if system is None:
        return None
    found = texts(system, "system")
    if found and found[0].startswith(_ATTRIBUTION):
        found[0] = found[0].partition("\n")[2]
    return "\n\n".join(text for text in found if text) or None


def _text(fields: Fields) -> dict[str, Any] | None:
    """Structured output: `output_config.format`, and `output_format` as it was called in its beta."""
    for name, holder in (("output_config.format", fields.values.get("output_config", {})), ("output_format", None)):
        shape = fields.values.get(name) if holder is None else holder.get("format")
        if shape is None:
            continue
        if object_(shape, name).get("type") is None:
            raise missing(f"{name}.type")
        _FORMAT(shape["type"], f"{name}.type")
        if shape.get("schema") is None:
            raise missing(f"{name}.schema")
        schema = object_(shape["schema"], f"{name}.schema")
        ask(fields.asked, "text", name)
        return {"format": {"type": "json_schema", "name": "response", "schema": schema}}
    return None


def _user_id(metadata: Mapping[str, Any]) -> str | None:
    user_id = metadata.get("user_id")
    return None if user_id is None else _USER_ID(user_id, "metadata.user_id")
