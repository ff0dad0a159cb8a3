"""Requests to try, each of which works as it stands, on the demo upstream too; and answers to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Examples = Mapping[str, Any]
"""Title → the body."""

_PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_SAID = [{"role": "user", "content": "Say hello."}]
_WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
_PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}

CHAT: Examples = {
    "A question": {"messages": _SAID},
    "Streamed, with usage": {"messages": _SAID, "stream": True, "stream_options": {"include_usage": True}},
    "With a tool": {
        "messages": [{"role": "user", "content": "What is the weather in Paris? Use get_weather."}],
        "tools": [{"type": "function", "function": _WEATHER}],
    },
    "A tool's answer": {
        "messages": [
            {"role": "user", "content": "What is the weather in Paris?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "18 °C, cloudy"},
        ],
        "tools": [{"type": "function", "function": _WEATHER}],
    },
    "A picture": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": _PIXEL}},
                ],
            }
        ]
    },
    "JSON of a schema": {
        "messages": [{"role": "user", "content": "Ada is 36."}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": _PERSON}},
    },
}
RESPONSES: Examples = {
    "A question": {"input": "Say hello."},
    "Streamed": {"input": "Say hello.", "stream": True},
    "With instructions and effort": {
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "Say hello."}]}],
        "reasoning": {"effort": "low", "summary": "auto"},
    },
    "With a tool": {
        "input": "What is the weather in Paris? Use get_weather.",
        "tools": [{"type": "function", **_WEATHER}],
    },
}
MESSAGES: Examples = {
    "A question": {"max_tokens": 1000, "messages": _SAID},
    "Streamed": {"max_tokens": 1000, "messages": _SAID, "stream": True},
    "With a tool": {
        "max_tokens": 1000,
        "messages": [{"role": "user", "content": "What is the weather in Paris? Use get_weather."}],
        "tools": [
            {
                "name": _WEATHER["name"],
                "description": _WEATHER["description"],
                "input_schema": _WEATHER["parameters"],
            }
        ],
    },
}
COUNT_TOKENS: Examples = {"A question": {"messages": _SAID}}
IMAGE: Examples = {
    "A picture": {"prompt": "A lighthouse in the fog", "size": "256x256"},
    "Streamed, with partial images": {
        "prompt": "A lighthouse in the fog",
        "size": "256x256",
        "stream": True,
        "partial_images": 1,
    },
}
IMAGE_EDIT: Examples = {"Another one like it": {"prompt": "Now at night", "image": _PIXEL, "size": "256x256"}}
SPEECH: Examples = {
    "A sound": {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Hello.", "response_format": "wav"},
    "Streamed as events": {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Hello.", "stream_format": "sse"},
}
TRANSCRIPTION: Examples = {"A recording": {"model": "whisper-1", "file": "RIFF…"}}
TRANSLATION: Examples = {"A recording": {"model": "whisper-1", "file": "RIFF…"}}
EMBEDDINGS: Examples = {
    "Two texts": {"model": "text-embedding-3-small", "input": ["a cat", "a dog"], "dimensions": 16},
}
MODERATIONS: Examples = {"A text": {"input": "Hello."}}
COMPLETIONS: Examples = {
    "A prompt": {"model": "gpt-3.5-turbo-instruct", "prompt": "Say hello.", "max_tokens": 16},
    "Streamed": {"model": "gpt-3.5-turbo-instruct", "prompt": "Say hello.", "stream": True},
}
KEYS: Examples = {
    "For one phone": {
        "models": ["gpt-5*"],
        "endpoints": ["chat", "responses"],
        "days": 30,
        "label": "phone",
        "requests_per_minute": 60,
    },
    "Without limits": {},
}

KEY = {
    "object": "gateway.key",
    "id": "phone-3f9c2b01",
    "key": "sk-c2a-AQBDeyJpZCI6InBob25l…",
    "models": ["gpt-5*"],
    "endpoints": ["chat", "responses"],
    "expires_at": 1_797_592_000,
    "not_before": None,
    "label": "phone",
    "requests_per_minute": 60,
}
SETUP = {
    "client": "nextchat",
    "name": "NextChat",
    "files": [],
    "environment": {
        "BASE_URL": "https://gateway.example.org",
        "OPENAI_API_KEY": "<your key>",
        "CUSTOM_MODELS": "-all,+gpt-5.5",
    },
    "notes": ["BASE_URL has no /v1: it is added.", "Or the same under Settings, Custom Endpoint."],
}
DOCTOR = {
    "object": "gateway.doctor",
    "ok": True,
    "checks": [
        {"name": "settings", "status": "ok", "found": "Every variable that is set can be used.", "advice": ""},
        {
            "name": "account a2-77aa01",
            "status": "warning",
            "found": "Its token ends in 27 hours (2027-01-15 08:16 UTC).",
            "advice": "Replace it before that, or have it renewed: a refresh token and a STATE_URL.",
        },
    ],
    "max_request_bytes": 33_554_432,
}
STATUS: Mapping[str, Any] = {
    "now": 1_795_000_000.5,
    "settings": [{"variable": "AUTH_TOKENS", "state": "set", "slots": ["3f9c2b01"]}],
    "problems": [],
    "upstreams": [{"name": "codex", "host": "chatgpt.com", "tools": "native"}],
    "accounts": [
        {
            "name": "a1-3f9c2b",
            "upstream": "codex",
            "state": "ready",
            "plan": "plus",
            "expires_at": 1_795_600_000,
            "resting_until": None,
            "last_error": None,
            "windows": [
                {"bucket": "codex", "used_percent": 12.0, "window_minutes": 300, "reset_at": 1_795_010_000.0},
            ],
            "has_proxy": False,
            "is_renewed": False,
        }
    ],
    "instance": {
        "platform": "vercel",
        "region": "fra1",
        "revision": "b74367b0c1d2",
        "bundle": None,
        "python": "3.12.11",
        "machine": "x86_64",
        "cold_start_ms": 310,
        "uptime_s": 61.5,
        "memory_bytes": 48_000_000,
        "requests": {"200": 12, "401": 1},
    },
    "endpoints": ["/v1/images/generations", "/v1/setup", "/v1/doctor"],
}

CHAT_STREAM = """\
data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795000000,"model":"gpt-5.5",\
"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795000000,"model":"gpt-5.5",\
"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795000000,"model":"gpt-5.5",\
"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: [DONE]

"""
RESPONSES_STREAM = """\
event: response.output_text.delta
data: {"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"Hello",\
"sequence_number":4}

"""
MESSAGES_STREAM = """\
event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}

event: message_stop
data: {"type":"message_stop"}

"""
IMAGE_STREAM = """\
event: image_generation.completed
data: {"type":"image_generation.completed","b64_json":"iVBORw0KGgo="}

"""
IMAGE_EDIT_STREAM = IMAGE_STREAM.replace("image_generation", "image_edit")
DOCTOR_STREAM = """\
data: {"number":1,"of":5}

data: {"number":2,"of":5}

"""
SPEECH_STREAM = """\
data: {"type":"speech.audio.delta","audio":"AAAA"}

data: {"type":"speech.audio.done","usage":{"input_tokens":2,"output_tokens":10,"total_tokens":12}}

"""
TRANSCRIPT_STREAM = """\
data: {"type":"transcript.text.delta","delta":"Hello"}

data: {"type":"transcript.text.done","text":"Hello"}

"""
COMPLETIONS_STREAM = """\
data: {"id":"cmpl-1","object":"text_completion","created":1795000000,"model":"gpt-3.5-turbo-instruct",\
"choices":[{"text":"Hello","index":0,"logprobs":null,"finish_reason":"stop"}]}

data: [DONE]

"""
