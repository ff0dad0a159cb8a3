"""What clients call, each as it does it itself: paths, headers and the members that it sends unasked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lib.doctor import judges
from lib.doctor.walk import Call

_MODEL = "demo-mini"
_CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": _CITY}},
    {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}},
]
_CALL_BOTH = "call get_weather and get_time"
_BROWSER = {
    "origin": "https://app.example",
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-os",
}
_ANTHROPIC = {"anthropic-version": "2023-06-01", "anthropic-beta": "interleaved-thinking-2025-05-14,unheard-of"}
_RECORDING = (
    b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\ncontent-type: audio/wav\r\n\r\n'
    + b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00"
    + b"data\x00\x00\x00\x00\r\n--b--\r\n"
)


def _chat(text: str = "Hello", /, **members: Any) -> dict[str, Any]:
    return {"model": _MODEL, "messages": [{"role": "user", "content": text}], **members}


def _responses(text: str = "Hello", /, **members: Any) -> dict[str, Any]:
    parts = [{"type": "input_text", "text": text}]
    return {"model": _MODEL, "input": [{"type": "message", "role": "user", "content": parts}], **members}


_LISTED = Call("GET", "/v1/models", judges.listing)
_PREFLIGHT = Call("OPTIONS", "/v1/chat/completions", judges.preflight, headers=_BROWSER)
_PICTURE = Call(
    "POST",
    "/v1/images/generations",
    judges.member("data", lambda data: bool(data[0]["b64_json"])),
    {"model": "gpt-image-2", "prompt": "a boat", "n": 1, "size": "1024x1024"},
)
_SPEECH = Call(
    "POST",
    "/v1/audio/speech",
    judges.content("audio/"),
    {"model": "tts-1", "input": "Hello", "voice": "alloy", "response_format": "wav"},
)
_HEARD = Call(
    "POST",
    "/v1/audio/transcriptions",
    judges.member("text", lambda text: isinstance(text, str)),
    _RECORDING,
    {"content-type": "multipart/form-data; boundary=b"},
)
_VECTORS = Call(
    "POST",
    "/v1/embeddings",
    judges.member("data", lambda data: bool(data[0]["embedding"])),
    {"model": "text-embedding-3-small", "input": ["Hello"], "encoding_format": "base64"},
)
_COUNTED_STREAM = Call(
    "POST",
    "/v1/chat/completions",
    judges.chat_stream(counts=True),
    _chat(stream=True, stream_options={"include_usage": True}),
)
_COUNTED_CALLS = Call(
    "POST",
    "/v1/chat/completions",
    judges.chat_stream(counts=True, calls=["get_weather", "get_time"]),
    _chat(_CALL_BOTH, stream=True, stream_options={"include_usage": True}, tools=_TOOLS, tool_choice="auto"),
)

CLIENTS: Mapping[str, Sequence[Call]] = {
    "openai-python, openai-node": (
        _LISTED,
        Call("GET", "/v1/models/nobody", judges.refused(404, "model_not_found")),
        Call("POST", "/v1/chat/completions", judges.chat, _chat()),
        Call("POST", "/v1/responses", judges.response, _responses()),
        _COUNTED_CALLS,
        _VECTORS,
        _HEARD,
        Call(
            "POST",
            "/v1/moderations",
            judges.member("results", lambda found: found[0]["flagged"] is False),
            {"input": "Hello"},
        ),
    ),
    "Codex CLI": (
        Call(
            "GET",
            "/v1/responses",
            judges.refused(426, "upgrade_required"),
            headers={"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13"},
        ),
        _LISTED,
        Call(
            "POST",
            "/v1/responses",
            judges.responses_stream,
            _responses(
                stream=True,
                store=False,
                include=["reasoning.encrypted_content"],
                tool_choice="auto",
                parallel_tool_calls=True,
                tools=[
                    {"type": "function", "name": "shell", "strict": False, "parameters": _CITY},
                    {"type": "custom", "name": "apply_patch", "format": {"type": "text"}},
                    {"type": "namespace", "name": "agents", "tools": []},
                ],
            ),
        ),
    ),
    "Claude Code": (
        Call(
            "POST",
            "/v1/messages?beta=true",
            judges.messages_stream("get_weather"),
            {
                "model": "claude-sonnet-5",
                "max_tokens": 1000,
                "stream": True,
                "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
                "messages": [{"role": "user", "content": [{"type": "text", "text": "call get_weather"}]}],
                "tools": [{"name": "get_weather", "description": "The weather.", "input_schema": _CITY}],
                "metadata": {"user_id": "doctor"},
            },
            _ANTHROPIC,
        ),
        Call(
            "POST",
            "/v1/messages/count_tokens?beta=true",
            judges.member("input_tokens", lambda count: count > 0),
            {"model": "claude-sonnet-5", "messages": [{"role": "user", "content": "Hello"}]},
            _ANTHROPIC,
        ),
        Call("POST", "/v1/messages", judges.refused(400, "invalid_request_error", family="anthropic"), {}, _ANTHROPIC),
    ),
    "NextChat": (
        _PREFLIGHT,
        Call(
            "POST",
            "/v1/chat/completions",
            judges.chat_stream(),
            _chat(stream=True, temperature=0.5, presence_penalty=0, frequency_penalty=0, top_p=1),
        ),
        Call(
            "POST",
            "/v1/chat/completions",
            judges.chat_stream(calls=["get_weather", "get_time"]),
            _chat(_CALL_BOTH, stream=True, temperature=0.5, tools=_TOOLS),
        ),
        _LISTED,
        _PICTURE,
        _SPEECH,
        Call(
            "GET",
            "/dashboard/billing/usage?start_date=2026-01-01&end_date=2026-02-01",
            judges.member("total_usage", lambda used: used >= 0),
        ),
        Call("GET", "/dashboard/billing/subscription", judges.member("hard_limit_usd", lambda limit: limit > 0)),
    ),
    "Open WebUI": (
        _PREFLIGHT,
        Call("GET", "//models", judges.listing),
        Call("POST", "/chat/completions", judges.chat_stream(), _chat(stream=True)),
        _PICTURE,
        _SPEECH,
    ),
    "LobeChat": (
        _PREFLIGHT,
        _LISTED,
        _COUNTED_STREAM,
        Call("POST", "/v1/responses", judges.responses_stream, _responses(stream=True, store=False)),
        Call(
            "GET",
            "/v1/models",
            judges.refused(401, "invalid_api_key"),
            headers={"authorization": "Bearer of-no-key"},
        ),
        _PICTURE,
        _VECTORS,
    ),
    "Cherry Studio": (_PREFLIGHT, _LISTED, _COUNTED_CALLS, _PICTURE),
    "Chatbox": (_PREFLIGHT, Call("GET", "/models", judges.listing), _COUNTED_STREAM),
    "Cline, opencode, AI SDK": (
        _COUNTED_CALLS,
        Call("POST", "/v1/responses", judges.responses_stream, _responses(stream=True, store=False, truncation="auto")),
    ),
    "llm": (
        _COUNTED_STREAM,
        Call(
            "POST",
            "/v1/chat/completions",
            judges.chat,
            _chat(
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "output", "schema": {**_CITY, "additionalProperties": False}},
                }
            ),
        ),
    ),
    "one-api, new-api": (
        Call("POST", "/v1/chat/completions", judges.chat, _chat("hi", max_tokens=1)),
        Call("GET", "/v1/dashboard/billing/subscription", judges.member("hard_limit_usd", lambda limit: limit > 0)),
        Call("GET", "/v1/dashboard/billing/usage", judges.member("total_usage", lambda used: used >= 0)),
    ),
}
"""By the name that people know. What was seen of each is in docs/clients.md."""
