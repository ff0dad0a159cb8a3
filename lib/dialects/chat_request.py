"""A Chat Completions request → the canonical form. `FIELDS` says what becomes of each parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib.canonical.hosted import FLAGS
from lib.canonical.request import LOGPROBS, CanonicalRequest
from lib.dialects.affinity import affinity_of
from lib.dialects.chat_messages import parse_messages
from lib.dialects.chat_tools import parse_tools
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
    read,
    string_map,
)
from lib.dialects.formats import FORMAT, SCHEMA_MEMBERS, schema_format
from lib.dialects.members import name_unknown
from lib.dialects.shared_rows import EFFORT, MODEL, SERVICE_TIER, VERBOSITY, model_of, service_tier_of
from lib.errors import InvalidRequest

_PASSED, _EMULATED, _REFUSED = Treatment.PASSED, Treatment.EMULATED, Treatment.REFUSED

_IDENTIFIER = identifier(512)
_CHOICE = Check("a string or an object", (str, dict))
_MAX_STOPS, _MAX_STOP_CHARS = 4, 1024
_STOP = Check(
    f"a string of at most {_MAX_STOP_CHARS} characters or an array of at most {_MAX_STOPS} such strings",
    (str, list),
    lambda value: (
        _is_stop(value) if type(value) is str else len(value) <= _MAX_STOPS and all(_is_stop(each) for each in value)
    ),
    keywords={
        "maxLength": _MAX_STOP_CHARS,
        "maxItems": _MAX_STOPS,
        "items": {"type": "string", "maxLength": _MAX_STOP_CHARS},
    },
)
_BIAS = Check(
    "an object of numbers between -100 and 100",
    (dict,),
    lambda value: all(type(each) in (int, float) and -100 <= each <= 100 for each in value.values()),
    keywords={"additionalProperties": {"type": "number", "minimum": -100, "maximum": 100}},
)
_MODALITIES = Check(
    "an array of 'text' and 'audio'",
    (list,),
    lambda value: all(each in ("text", "audio") for each in value),
    keywords={"items": {"enum": ["text", "audio"]}},
)

FIELDS = Table(
    Field("messages", array, required=True),
    MODEL,
    Field("audio", object_, treatment=_REFUSED, reason="answers are text only. Leave it out."),
    Field("frequency_penalty", number(-2, 2), neutral=(0,), treatment=_PASSED),
    Field("function_call", _CHOICE, "tool_choice", ("auto",), _EMULATED),
    *(Field(flag, boolean, "tools", (False,), _EMULATED) for flag in FLAGS),
    Field("functions", array, "tools", ([],), _EMULATED),
    Field("logit_bias", _BIAS, neutral=({},), treatment=_PASSED),
    Field("logprobs", boolean, "logprobs", (False,)),
    Field("max_completion_tokens", integer(1), "max_output_tokens", treatment=_PASSED),
    Field("max_tokens", integer(1), "max_output_tokens", treatment=_PASSED),
    Field("metadata", string_map, neutral=({},), treatment=_PASSED),
    Field("modalities", _MODALITIES, None, (["text"], []), _REFUSED, 'answers are text only. Send ["text"].'),
    Field("moderation", object_, treatment=_PASSED),
    Field("n", integer(1, 128), None, (1,), _REFUSED, "there is one choice. Send the request again for another."),
    Field("parallel_tool_calls", boolean, "parallel_tool_calls", (True,)),
    Field("prediction", object_, treatment=_PASSED),
    Field("presence_penalty", number(-2, 2), neutral=(0,), treatment=_PASSED),
    Field("prompt_cache_key", _IDENTIFIER, "prompt_cache_key", ("",)),
    Field("prompt_cache_options", object_, neutral=({},), treatment=_PASSED),
    Field("prompt_cache_retention", _IDENTIFIER, treatment=_PASSED),
    Field("reasoning_effort", EFFORT, "reasoning"),
    Field("response_format", object_, "text", ({"type": "text"},)),
    Field("safety_identifier", _IDENTIFIER, neutral=("",), treatment=_PASSED),
    Field("seed", integer(), treatment=_PASSED),
    SERVICE_TIER,
    Field("stop", _STOP, treatment=_EMULATED),
    Field("store", boolean, neutral=(False,), treatment=_PASSED),
    Field("stream", boolean),
    Field("stream_options", object_),
    Field("temperature", number(0, 2), neutral=(1,), treatment=_PASSED),
    Field("tool_choice", _CHOICE, "tool_choice", ("auto",)),
    Field("tools", array, "tools", ([],)),
    Field("top_logprobs", integer(0, 20), neutral=(0,), treatment=_PASSED),
    Field("top_p", number(0, 1), neutral=(1,), treatment=_PASSED),
    Field("user", _IDENTIFIER, neutral=("",), treatment=_PASSED),
    Field("verbosity", VERBOSITY, "text"),
    Field("web_search_options", object_, "tools", (), _EMULATED),
)
"""Honoured: what Responses has a typed field for, and `stream`, `stream_options`, `model`, `messages`, which the
gateway serves itself. `user` is passed and also keeps a conversation on one account. `logprobs` is an inclusion there.
`stop` is served by the gateway, and passed all the same: an upstream that knows it stops to write where it is met."""

_STREAM_OPTIONS = ("include_usage", "include_obfuscation")
_FORMAT_MEMBERS = ("type", "json_schema")


def parse(body: Mapping[str, Any]) -> CanonicalRequest:
    """Raises InvalidRequest, which names the field and says what to send."""
    if body.get("messages") is None and body.get("input") is not None:
        raise InvalidRequest(
            "Missing required parameter: 'messages'. The body has 'input', as the Responses API wants it: send it to "
            "POST /v1/responses, or send 'messages'.",
            param="messages",
            code="missing_required_parameter",
        )
    fields = read(FIELDS, body)
    values = fields.values
    items = parse_messages(values["messages"], fields.asked)
    tools = parse_tools(fields)
    if "max_completion_tokens" in values:  # the newer name wins
        fields.parameters["max_output_tokens"] = values["max_completion_tokens"]
    if "stop" in values:
        fields.parameters["stop"] = values["stop"]
    _check_stream_options(fields)
    return CanonicalRequest(
        model=model_of(fields),
        input=items,
        stream=values.get("stream", False),
        tools=tools.tools,
        tool_choice=tools.choice,
        parallel_tool_calls=tools.parallel,
        reasoning=_reasoning(values.get("reasoning_effort")),
        text=_text(values, fields.asked),
        include=_include(values),
        service_tier=service_tier_of(fields),
        prompt_cache_key=values.get("prompt_cache_key") or None,
        parameters=fields.parameters,
        asked=fields.asked,
        body=body,
        affinity=values.get("prompt_cache_key") or values.get("user") or affinity_of(None, items),
    )


def _is_stop(value: Any) -> bool:
    return type(value) is str and len(value) <= _MAX_STOP_CHARS


def _include(values: Mapping[str, Any]) -> list[str]:
    if values.get("logprobs"):
        return [LOGPROBS]
    if values.get("top_logprobs"):
        raise InvalidRequest(
            "'top_logprobs' is only allowed when 'logprobs' is true. Send that, too, or leave both out.",
            param="top_logprobs",
            code="invalid_value",
        )
    return []


def _check_stream_options(fields: Fields) -> None:
    options = fields.values.get("stream_options")
    if options is None:
        return
    if not fields.values.get("stream"):
        raise InvalidRequest(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    for name in _STREAM_OPTIONS:
        if options.get(name) is not None:
            boolean(options[name], f"stream_options.{name}")
    if options.get("include_obfuscation"):
        ask(fields.asked, "stream_options.include_obfuscation", "stream_options.include_obfuscation")
    name_unknown(options, _STREAM_OPTIONS, "stream_options", fields.asked)


def _reasoning(effort: str | None) -> dict[str, Any] | None:
    """Chat has no switch for `reasoning_content`: the summaries that fill it are always asked for."""
    if effort is None:
        return {"summary": "auto"}
    return {"effort": effort} if effort == "none" else {"effort": effort, "summary": "auto"}


def _text(values: Mapping[str, Any], asked: dict[str, str]) -> dict[str, Any] | None:
    text: dict[str, Any] = {}
    if "response_format" in values:
        shape = _format(values["response_format"], asked)
        if shape is not None:
            text["format"] = shape
    if "verbosity" in values:
        text["verbosity"] = values["verbosity"]
    return text or None


def _format(wanted: Mapping[str, Any], asked: dict[str, str]) -> dict[str, Any] | None:
    """The Responses form of `response_format`; None for plain text. Name and schema may be left out here only."""
    kind = wanted.get("type")
    if kind is None:
        raise missing("response_format.type")
    FORMAT(kind, "response_format.type")
    name_unknown(wanted, _FORMAT_MEMBERS, "response_format", asked)
    if kind != "json_schema":
        return None if kind == "text" else {"type": kind}
    param = "response_format.json_schema"
    if wanted.get("json_schema") is None:
        raise missing(param)
    shape = object_(wanted["json_schema"], param)
    name_unknown(shape, SCHEMA_MEMBERS, param, asked)
    return {"name": "response", "schema": {}, **schema_format(shape, param)}
