"""A Responses request → the canonical form. `FIELDS` says what becomes of each parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lib.canonical.request import LOGPROBS, CanonicalRequest, Item
from lib.dialects.affinity import affinity_of
from lib.dialects.fields import (
    Check,
    Field,
    Fields,
    Table,
    Treatment,
    anything,
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
    string,
    string_list,
    string_map,
)
from lib.dialects.formats import FORMAT, schema_format
from lib.dialects.responses_items import parse_input
from lib.dialects.responses_tools import parse_choice, parse_tools
from lib.dialects.shared_rows import EFFORT, MODEL, SERVICE_TIER, VERBOSITY, model_of, service_tier_of

_PASSED, _REFUSED = Treatment.PASSED, Treatment.REFUSED

_IDENTIFIER = identifier(512)
_INCLUDABLE = one_of(
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    LOGPROBS,
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
)
_STATELESS = "this gateway keeps no {}. Send the whole conversation in 'input'."

FIELDS = Table(
    MODEL,
    Field("access_programs", object_, treatment=_PASSED),
    Field("background", boolean, None, (False,), _REFUSED, "this gateway answers at once. Leave it out."),
    Field("background_options", object_, treatment=_PASSED),
    Field("client_metadata", object_, neutral=({},), treatment=_PASSED),
    Field("context_management", Check("an array or an object", (list, dict)), neutral=([], {}), treatment=_PASSED),
    Field("conversation", anything, treatment=_REFUSED, reason=_STATELESS.format("conversations")),
    Field("image", object_, treatment=_PASSED),
    Field("include", string_list),
    Field("input", Check("a string or an array of items", (str, list)), required=True),
    Field("instructions", Check("a string (message items belong in 'input')", (str,)), "instructions", ("",)),
    Field("max_output_tokens", integer(1), treatment=_PASSED),
    Field("max_tool_calls", integer(1), treatment=_PASSED),
    Field(
        "messages",
        anything,
        treatment=_REFUSED,
        reason="it belongs to Chat Completions. Send the conversation in 'input', or POST to /v1/chat/completions.",
    ),
    Field("metadata", string_map),
    Field("moderation", object_, treatment=_PASSED),
    Field("parallel_tool_calls", boolean, "parallel_tool_calls", (True,)),
    Field("previous_response_id", anything, treatment=_REFUSED, reason=_STATELESS.format("responses")),
    Field("prompt", anything, treatment=_REFUSED, reason="stored prompts belong to the platform. Send the text."),
    Field("prompt_cache_key", _IDENTIFIER, "prompt_cache_key", ("",)),
    Field("prompt_cache_options", object_, treatment=_PASSED),
    Field("prompt_cache_retention", _IDENTIFIER, treatment=_PASSED),
    Field("reasoning", object_, "reasoning", ({},)),
    Field("safety_identifier", _IDENTIFIER, neutral=("",), treatment=_PASSED),
    SERVICE_TIER,
    Field("store", boolean, neutral=(False,), treatment=_PASSED),
    Field("stream", boolean),
    Field("stream_options", object_),
    Field("temperature", number(0, 2), neutral=(1,), treatment=_PASSED),
    Field("text", object_, "text", ({}, {"format": {"type": "text"}})),
    Field("tool_choice", Check("a string or an object", (str, dict)), "tool_choice", ("auto",)),
    Field("tools", array, "tools", ([],)),
    Field("top_logprobs", integer(0, 20), neutral=(0,), treatment=_PASSED),
    Field("top_p", number(0, 1), neutral=(1,), treatment=_PASSED),
    Field("truncation", one_of("auto", "disabled"), neutral=("disabled",), treatment=_PASSED),
    Field("user", _IDENTIFIER, neutral=("",), treatment=_PASSED),
)
"""`user` is passed and also keeps a conversation on one account; the renderer echoes `metadata` and serves
`include_obfuscation`. Where responses are kept, `responses_stored` serves `previous_response_id` and `store`."""


def parse(body: Mapping[str, Any], past: Sequence[Item] = ()) -> CanonicalRequest:
    """`past`: canonical items that stand before the body's own. Raises InvalidRequest, which names the field and says
    what to send."""
    fields = read(FIELDS, body)
    values = fields.values
    items = [*past, *parse_input(values["input"], fields.asked, past)]
    tools = parse_tools(values.get("tools", []))
    choice = values.get("tool_choice")
    if choice is not None:
        choice = parse_choice(choice, tools, items)
    _read_stream_options(fields)
    instructions = values.get("instructions")
    return CanonicalRequest(
        model=model_of(fields),
        input=items,
        stream=values.get("stream", False),
        instructions=instructions,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=values.get("parallel_tool_calls"),
        reasoning=_reasoning(values.get("reasoning")),
        text=_text(values.get("text")),
        include=_include(values.get("include", []), fields.asked),
        service_tier=service_tier_of(fields),
        prompt_cache_key=values.get("prompt_cache_key") or None,
        parameters=fields.parameters,
        asked=fields.asked,
        body=body,
        affinity=values.get("prompt_cache_key") or values.get("user") or affinity_of(instructions, items),
    )


def _read_stream_options(fields: Fields) -> None:
    options = dict(fields.values.get("stream_options", {}))
    obfuscation = options.pop("include_obfuscation", None)
    if obfuscation is not None:
        boolean(obfuscation, "stream_options.include_obfuscation")
    if options:
        fields.parameters["stream_options"] = options
        ask(fields.asked, "stream_options", "stream_options")


def _include(wanted: list[str], asked: dict[str, str]) -> list[str]:
    """Log probabilities are asked for by a name of their own, because upstreams have them that include nothing else."""
    for index, name in enumerate(wanted):
        _INCLUDABLE(name, f"include[{index}]")
        asked[LOGPROBS if name == LOGPROBS else "include"] = "include"
    return list(dict.fromkeys(wanted))


def _reasoning(wanted: dict[str, Any] | None) -> dict[str, Any] | None:
    """As sent, without nulls; `generate_summary` is the old name of `summary`."""
    if wanted is None:
        return None
    found = {name: value for name, value in wanted.items() if value is not None}
    for name, check in (("effort", EFFORT), ("summary", string), ("generate_summary", string), ("context", string)):
        if name in found:
            check(found[name], f"reasoning.{name}")
    if "generate_summary" in found:
        found.setdefault("summary", found.pop("generate_summary"))
        found.pop("generate_summary", None)
    return found or None


def _text(wanted: dict[str, Any] | None) -> dict[str, Any] | None:
    if wanted is None:
        return None
    found = {name: value for name, value in wanted.items() if value is not None}
    if "verbosity" in found:
        VERBOSITY(found["verbosity"], "text.verbosity")
    if "format" in found:
        _check_format(object_(found["format"], "text.format"))
    return found or None


def _check_format(shape: Mapping[str, Any]) -> None:
    param = "text.format"
    kind = shape.get("type")
    if kind is None:
        raise missing(f"{param}.type")
    if FORMAT(kind, f"{param}.type") != "json_schema":
        return
    for name in ("name", "schema"):
        if shape.get(name) is None:
            raise missing(f"{param}.{name}")
    schema_format(shape, param)
