"""The answers that the bench's upstream gives, and how a client reads them back: nothing may be lost on the way.

The directive `bench:<tokens>@<rate>` anywhere in a request's body asks for an answer of so many tokens at so many
tokens a second; rate 0 means as fast as the socket takes them. It travels in the user's message, so that a gateway
carries it whatever it does to the rest of the request.
"""

from __future__ import annotations

import random
import re
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

MODEL = "gpt-5.5"
UPSTREAM_PATH = "/backend-api/codex/responses"
CHAT_UPSTREAM_PATH = "/v1/chat/completions"
GATEWAY_PATH = "/v1/chat/completions"

FIRST_TOKEN = re.compile(rb'"(?:content|delta)":"[^"]')
"""The first bytes of output, in a Responses stream and in a chat stream alike."""

_DIRECTIVE = re.compile(rb"bench:(\d+)@(\d+)")
# Escapes and characters of more than one byte are part of real answers; they cost renderers more than plain ASCII.
_WORDS = ("The", " quick", " brown", ' "fox"', " jumps", ",\n", " über", " the", " lazy", " dog", ".", " 東京", " and")
_ITEM = "msg_bench0000000000000000000000000000000000000000000000"
_RESPONSE = "resp_bench000000000000000000000000000000000000000000000"


class Wanted(NamedTuple):
    """What a request asks the upstream for."""

    tokens: int
    rate: int
    """Tokens a second; 0 for no pauses."""


class Answer(NamedTuple):
    """One answer as encoded frames."""

    preamble: bytes
    deltas: list[bytes]
    ending: bytes


def wanted(body: bytes) -> Wanted:
    """The directive in a request; ten tokens at once if there is none."""
    found = _DIRECTIVE.search(body)
    return Wanted(int(found[1]), int(found[2])) if found else Wanted(10, 0)


def request(asked: Wanted, *, stream: bool) -> bytes:
    """A Chat Completions request for that answer."""
    directive = f"bench:{asked.tokens}@{asked.rate}"
    messages = [
        {"role": "system", "content": "You are a concise assistant."},
        {"role": "user", "content": f"Tell me of the fox and the dog, please. {directive}"},
    ]
    return msgspec.json.encode({"model": MODEL, "messages": messages, "stream": stream})


def words(tokens: int) -> list[str]:
    """The deltas; every eighth is numbered, so that a lost, doubled or moved piece shows in the text."""
    return [f" {index}" if index % 8 == 7 else _WORDS[index % len(_WORDS)] for index in range(tokens)]


@lru_cache(maxsize=32)
def text(tokens: int) -> str:
    """What a client must have read in the end."""
    return "".join(words(tokens))


@lru_cache(maxsize=8)
def answer(tokens: int) -> Answer:
    """The Responses stream of the Codex backend: four events before the text, four after it."""
    whole = text(tokens)
    pieces = words(tokens)
    noise = random.Random(tokens)  # the same padding in every run
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
    item = {"id": _ITEM, "type": "message", "status": "in_progress", "content": [], "role": "assistant"}
    place = {"item_id": _ITEM, "output_index": 0}
    before: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response("in_progress", [], None)},
        {"type": "response.in_progress", "response": _response("in_progress", [], None)},
        {"type": "response.output_item.added", "item": item, "output_index": 0},
        {"type": "response.content_part.added", "content_index": 0, **place, "part": part},
    ]
    done_part = {**part, "text": whole}
    done = {**item, "status": "completed", "content": [done_part]}
    usage = {
        "input_tokens": 24,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 24 + tokens,
    }
    after: list[dict[str, Any]] = [
        {"type": "response.output_text.done", "content_index": 0, **place, "logprobs": [], "text": whole},
        {"type": "response.content_part.done", "content_index": 0, **place, "part": done_part},
        {"type": "response.output_item.done", "item": done, "output_index": 0},
        {"type": "response.completed", "response": _response("completed", [done], usage)},
    ]
    first = len(before)
    return Answer(
        b"".join(_frame(event, number) for number, event in enumerate(before)),
        [_frame(_delta(piece, noise), first + number) for number, piece in enumerate(pieces)],
        b"".join(_frame(event, first + tokens + number) for number, event in enumerate(after)),
    )


@lru_cache(maxsize=8)
def chat_answer(tokens: int) -> Answer:
    """The same text as the stream of an OpenAI-compatible server: a chunk with the role before it, one with the finish
    reason and `[DONE]` after it."""
    return Answer(
        _chat_frame({"role": "assistant", "content": "", "refusal": None}),
        [_chat_frame({"content": piece}) for piece in words(tokens)],
        _chat_frame({}, "stop") + b"data: [DONE]\n\n",
    )


def read_text(body: bytes) -> str:
    """The text of an answer that ended well: a Responses stream, a chat stream or a whole chat completion.
    Raises ValueError if it has no good ending."""
    if body.startswith(b"{"):
        content = msgspec.json.decode(body)["choices"][0]["message"]["content"]
        return content if isinstance(content, str) else ""
    payloads = [block.partition(b"data: ")[2] for block in body.split(b"\n\n") if b"data: " in block]
    if payloads and payloads[-1] == b"[DONE]":
        return "".join(_chat_text(payload) for payload in payloads[:-1])
    if payloads and _PIECE.decode(payloads[-1]).type == "response.completed":
        pieces = map(_PIECE.decode, payloads)
        return "".join(piece.delta for piece in pieces if piece.type == "response.output_text.delta")
    raise ValueError(f"the stream has no good ending: {body[-200:]!r}")


class _Piece(msgspec.Struct):
    type: str
    delta: str = ""


class _ChatDelta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _ChatDelta


class _Chunk(msgspec.Struct):
    choices: list[_Choice]


_PIECE = msgspec.json.Decoder(_Piece)
_CHUNK = msgspec.json.Decoder(_Chunk)


def _chat_text(payload: bytes) -> str:
    return "".join(choice.delta.content or "" for choice in _CHUNK.decode(payload).choices)


def _delta(piece: str, noise: random.Random) -> dict[str, Any]:
    letters = "".join(noise.choices("abcdefghijklmnopqrstuvwxyzABCDEFGH0123456789", k=noise.randint(6, 14)))
    return {
        "type": "response.output_text.delta",
        "content_index": 0,
        "delta": piece,
        "item_id": _ITEM,
        "logprobs": [],
        "obfuscation": letters,
        "output_index": 0,
    }


def _frame(event: dict[str, Any], number: int) -> bytes:
    data = msgspec.json.encode({**event, "sequence_number": number})
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), data)


def _chat_frame(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    chunk = {
        "id": "chatcmpl-bench00000000000000000000000",
        "object": "chat.completion.chunk",
        "created": 1787300000,
        "model": MODEL,
        "service_tier": "default",
        "system_fingerprint": "fp_bench00000",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
    }
    return b"data: %b\n\n" % msgspec.json.encode(chunk)


def _response(status: str, output: list[Any], usage: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "id": _RESPONSE,
        "object": "response",
        "created_at": 1787300000,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": "You are a concise assistant.",
        "max_output_tokens": None,
        "model": MODEL,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 0.98,
        "truncation": "disabled",
        "usage": usage,
        "user": None,
        "metadata": {},
    }
