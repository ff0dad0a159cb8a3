"""What requests look like, as JSON Schema. Names, types, bounds and treatments of the parameters are read out of the
tables by which the dialects check them, so that the documentation cannot say anything else; only the inside of nested
members is written here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from lib.dialects import chat_request, images_request, messages_request, responses_request
from lib.dialects.fields import Field, Table, Treatment
from lib.dialects.formats import FORMAT
from lib.dialects.forward import ENDPOINTS, ForwardedEndpoint
from lib.dialects.shared_rows import EFFORT, VERBOSITY
from lib.dialects.tool_rules import MAX_TOOLS
from lib.web.openapi_shapes import BOOLEAN, INTEGER, NUMBER, OBJECT, STRING, Schema, array, ref, shape

_TYPES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_IGNORED = "an upstream that cannot take it is named in `x-gateway-ignored`."
_FILE: Schema = {"type": "string", "format": "binary"}

_EFFORT: Schema = {"type": "string", **EFFORT.keywords}
_FORMAT: Schema = {"type": "string", **FORMAT.keywords}
_TOOLS: Schema = {"maxItems": MAX_TOOLS, "items": ref("Tool")}
_INCLUDES_USAGE: Schema = {"properties": {"include_usage": BOOLEAN, "include_obfuscation": BOOLEAN}}
_PICTURES: Schema = {"description": 'A data URL, an http(s) address or `{"image_url": …}`, or an array of these.'}

CHAT_MEMBERS: Mapping[str, Schema] = {
    "messages": {"minItems": 1, "items": ref("ChatMessage")},
    "tools": _TOOLS,
    "response_format": shape("", {"json_schema": OBJECT}, type=_FORMAT),
    "stream_options": _INCLUDES_USAGE,
}
RESPONSES_MEMBERS: Mapping[str, Schema] = {
    "input": {"items": ref("InputItem")},
    "tools": _TOOLS,
    "previous_response_id": {"description": "Where the gateway keeps responses (STATE_URL), it is honoured."},
    "reasoning": {"properties": {"effort": _EFFORT, "summary": STRING}},
    "text": {
        "properties": {
            "verbosity": {"type": "string", **VERBOSITY.keywords},
            "format": shape("", {"name": STRING, "schema": OBJECT, "strict": BOOLEAN}, type=_FORMAT),
        }
    },
}
MESSAGES_MEMBERS: Mapping[str, Schema] = {
    "messages": {"minItems": 1, "items": ref("MessageParam")},
    "tools": {"maxItems": MAX_TOOLS, "items": ref("MessageTool")},
    "system": {"items": shape(type={"const": "text"}, text=STRING)},
    "thinking": {"properties": {"type": STRING, "budget_tokens": INTEGER}},
    "metadata": {"properties": {"user_id": STRING}},
}
EDIT_MEMBERS: Mapping[str, Schema] = {"image": _PICTURES, "images": _PICTURES, "mask": _PICTURES}
_EDIT_FILES: Mapping[str, Schema] = {"image": _FILE, "mask": _FILE}

FORWARDED_MEMBERS: Mapping[str, Mapping[str, Schema]] = {
    "/audio/speech": {
        "voice": {"type": ["string", "object"]},
        "response_format": {"enum": ["mp3", "opus", "aac", "flac", "wav", "pcm"]},
        "speed": {"type": "number", "minimum": 0.25, "maximum": 4},
        "stream_format": {"enum": ["audio", "sse"]},
        "instructions": STRING,
    },
    "/audio/transcriptions": {
        "language": STRING,
        "prompt": STRING,
        "response_format": {"enum": ["json", "text", "srt", "verbose_json", "vtt"]},
        "temperature": NUMBER,
        "timestamp_granularities": array({"enum": ["word", "segment"]}),
        "stream": BOOLEAN,
    },
    "/audio/translations": {
        "prompt": STRING,
        "response_format": {"enum": ["json", "text", "srt", "verbose_json", "vtt"]},
        "temperature": NUMBER,
    },
    "/embeddings": {
        "dimensions": {"type": "integer", "minimum": 1},
        "encoding_format": {"enum": ["float", "base64"]},
        "user": STRING,
    },
    "/moderations": {},
    "/completions": {
        "prompt": {"type": ["string", "array"]},
        "max_tokens": {"type": "integer", "minimum": 0},
        "n": {"type": "integer", "minimum": 1, "maximum": 128},
        "stop": {"type": ["string", "array"], "maxItems": 4, "items": STRING},
        "echo": BOOLEAN,
        "stream": BOOLEAN,
        "stream_options": {"type": "object", **_INCLUDES_USAGE},
    },
}
"""What upstreams commonly take beside the members that the gateway checks; it goes on unread, as all else does."""


_MOMENT: Schema = {"type": ["integer", "null"], "minimum": 0, "maximum": 2**48}
_NAMES: Schema = {
    "type": ["array", "null"],
    "minItems": 1,
    "items": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[!-+\--~]+$"},
}
KEY_MEMBERS: Mapping[str, Schema] = {
    "models": {**_NAMES, "description": "Patterns of the models that it is for; `*` is anything."},
    "endpoints": {**_NAMES, "description": "Names (`chat`) or paths (`/v1/audio/speech`), as patterns."},
    "days": {
        "type": ["number", "null"],
        "exclusiveMinimum": 0,
        "maximum": 3650,
        "description": "How long it is good; in place of `expires_at`.",
    },
    "expires_at": {**_MOMENT, "description": "Seconds since 1970."},
    "not_before": {**_MOMENT, "description": "Seconds since 1970."},
    "label": {
        "type": ["string", "null"],
        "minLength": 1,
        "maxLength": 64,
        "description": "What it is for. Limits nothing; no control characters.",
    },
    "requests_per_minute": {"type": ["integer", "null"], "minimum": 1, "maximum": 100_000},
}


def table_schema(rows: Table, members: Mapping[str, Schema], *, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """The body that a table of parameters describes. `members`: what its nested values look like."""
    kept = [row for row in rows.values() if row.name not in leave_out]
    return {
        "type": "object",
        "required": [row.name for row in kept if row.required],
        "properties": {row.name: _property(row, members.get(row.name, {})) for row in kept},
        "description": f"`null` is the same as absent. Other parameters are allowed: {_IGNORED}",
    }


def forwarded_schema(endpoint: ForwardedEndpoint) -> dict[str, Any]:
    """The body of an endpoint that is only forwarded."""
    needed: dict[str, Schema] = {"file": _FILE} if endpoint.takes_form else {}
    needed |= {name: {"type": [_TYPES[kind] for kind in kinds]} for name, kinds in endpoint.required.items()}
    model = {"model": STRING}
    return {
        "type": "object",
        "required": [*needed, *(model if endpoint.needs_model else ())],
        "properties": {**needed, **model, **FORWARDED_MEMBERS.get(endpoint.path, {})},
        "description": "Goes to the upstream as it is, but for the model's name.",
    }


def _property(row: Field, member: Schema) -> dict[str, Any]:
    types = [_TYPES[kind] for kind in row.check.types if kind in _TYPES]
    if "number" in types:
        types.remove("integer")
    found: dict[str, Any] = {**row.check.keywords, **member}
    if not row.required:
        types.append("null")
        if "enum" in found:
            found["enum"] = [*found["enum"], None]
    notes = [_treatment(row), member.get("description", "")]
    if row.neutral:
        notes.insert(1, f"Without effect: {', '.join(f'`{_wire(value)}`' for value in row.neutral)}.")
    return {
        **found,
        "type": types[0] if len(types) == 1 else types,
        "description": " ".join(filter(None, notes)),
        "x-treatment": row.treatment.value,
    }


def _treatment(row: Field) -> str:
    if row.treatment is Treatment.REFUSED:
        return f"Refused: {row.reason}"
    how = {Treatment.HONOURED: "Honoured", Treatment.EMULATED: "Emulated", Treatment.PASSED: "Passed on"}[row.treatment]
    return f"{how}." if row.canonical is None else f"{how}; {_IGNORED}"


def _wire(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_CONTENT: Schema = {"type": ["string", "array"], "items": shape(type=STRING)}
_EDIT_FORM = table_schema(images_request.EDIT, {}, leave_out=("image", "images", "mask"))

REQUESTS: Mapping[str, Schema] = {
    "ChatRequest": table_schema(chat_request.FIELDS, CHAT_MEMBERS),
    "ChatMessage": shape(
        "",
        {
            "content": {"type": ["string", "array", "null"], "items": shape(type=STRING)},
            "name": STRING,
            "tool_calls": {"type": ["array", "null"], "items": OBJECT},
            "tool_call_id": STRING,
        },
        role={"enum": ["system", "developer", "user", "assistant", "tool", "function"]},
    ),
    "Tool": shape(
        "A function, a custom tool or a tool of the upstream. The members of a function may also stand beside `type`.",
        {
            "function": shape("", {"description": STRING, "parameters": OBJECT, "strict": BOOLEAN}, name=STRING),
            "name": STRING,
            "parameters": OBJECT,
        },
        type=STRING,
    ),
    "ResponsesRequest": table_schema(responses_request.FIELDS, RESPONSES_MEMBERS),
    "InputItem": {
        "type": "object",
        "properties": {"type": STRING, "role": STRING, "content": _CONTENT},
        "description": "A message (`role` and `content`), a call, its output, or another item of an earlier answer.",
    },
    "MessagesRequest": table_schema(messages_request.FIELDS, MESSAGES_MEMBERS),
    "CountTokensRequest": table_schema(messages_request.FIELDS, MESSAGES_MEMBERS, leave_out=("max_tokens", "stream")),
    "MessageParam": shape(role={"enum": ["user", "assistant", "system"]}, content=_CONTENT),
    "MessageTool": shape("", {"type": STRING, "description": STRING, "input_schema": OBJECT}, name=STRING),
    "ImageRequest": table_schema(images_request.GENERATION, {}),
    "ImageEditRequest": table_schema(images_request.EDIT, EDIT_MEMBERS),
    "ImageEditForm": {**_EDIT_FORM, "properties": {**_EDIT_FORM["properties"], **_EDIT_FILES}},
    **{
        f"{endpoint.name.capitalize()}{'Form' if endpoint.takes_form else 'Request'}": forwarded_schema(endpoint)
        for endpoint in ENDPOINTS.values()
    },
    "KeyRequest": {
        "type": "object",
        "properties": KEY_MEMBERS,
        "additionalProperties": False,
        "description": "`null` and what is left out limit nothing.",
    },
}
"""By name, for the document's `components`."""
