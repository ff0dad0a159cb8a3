"""What the fake OpenAI API says in Chat Completions: chunks, whole completions, and the ways to send them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lib.upstreams.demo_schema import example
from tests.fakes.codex_answers import answer_text, chosen_tools
from tests.fakes.codex_behaviours import Scene
from tests.fakes.codex_composer import Fields, pieces, token_logprobs, words
from tests.fakes.codex_http import Exchange

CREATED = 1_795_000_000
USAGE: Fields = {
    "prompt_tokens": 21,
    "completion_tokens": 9,
    "total_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 0},
}


def chunk(
    delta: Fields | None = None, finish: str | None = None, logprobs: list[Fields] | None = None, **members: Any
) -> Fields:
    """One chunk with one choice; `members` are added to the chunk, or replace (`choices=[]`) what it has."""
    told = None if logprobs is None else {"content": logprobs, "refusal": None}
    choice = {"index": 0, "delta": delta or {}, "logprobs": told, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED, "model": "gpt-test"}
    return {**head, "service_tier": "default", "system_fingerprint": "fp_1", "choices": [choice], **members}


def chunks(
    text: str = "",
    *,
    reasoning: str = "",
    calls: Sequence[tuple[str, str]] = (),
    finish: str | None = None,
    usage: Fields | None = USAGE,
    reasoning_member: str = "reasoning_content",
    top_logprobs: int | None = None,
) -> list[Fields]:
    """A whole stream in OpenAI's own form; the pieces of several calls interleave. top_logprobs: how many others stand
    beside the log probability of a token; None: there are no log probabilities."""
    made = [chunk({"role": "assistant", "content": "" if text else None, "refusal": None})]
    made += [chunk({reasoning_member: word}) for word in words(reasoning)]
    for word in words(text):
        logprobs = None if top_logprobs is None else token_logprobs(word, top_logprobs)
        made.append(chunk({"content": word}, logprobs=logprobs))
    made += call_chunks(*calls)
    made.append(chunk({}, finish or ("tool_calls" if calls else "stop")))
    if usage is not None:
        made.append(chunk(choices=[], usage=usage))
    return made


def call_chunks(*calls: tuple[str, str]) -> list[Fields]:
    """Calls as OpenAI streams them."""
    made = []
    for index, (name, _) in enumerate(calls):
        function = {"name": name, "arguments": ""}
        made.append(call_piece({"index": index, "id": f"call_{index}", "type": "function", "function": function}))
    cut = [pieces(arguments) for _, arguments in calls]
    for turn in range(max(map(len, cut), default=0)):
        made += [
            call_piece({"index": index, "function": {"arguments": parts[turn]}})
            for index, parts in enumerate(cut)
            if turn < len(parts)
        ]
    return made


def call_piece(*calls: Fields) -> Fields:
    """A chunk of these elements of `tool_calls`, as they are."""
    return chunk({"tool_calls": list(calls)})


def completion(said: Sequence[Fields]) -> Fields:
    """The whole completion of these chunks."""
    message: Fields = {"role": "assistant", "content": None, "refusal": None}
    calls: dict[int, Fields] = {}
    finish, usage = "stop", None
    told: list[Fields] = []
    for each in said:
        usage = each.get("usage") or usage
        for choice in each["choices"]:
            finish = choice["finish_reason"] or finish
            told += (choice.get("logprobs") or {}).get("content") or ()
            for name in ("content", "reasoning_content", "reasoning", "refusal"):
                if choice["delta"].get(name):
                    message[name] = (message.get(name) or "") + choice["delta"][name]
            for piece in choice["delta"].get("tool_calls") or ():
                call = calls.setdefault(piece["index"], {"id": "", "type": "function", "function": {"arguments": ""}})
                call["id"] = piece.get("id") or call["id"]
                call["function"]["name"] = piece["function"].get("name") or call["function"].get("name")
                call["function"]["arguments"] += piece["function"].get("arguments") or ""
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    logprobs = {"content": told, "refusal": None} if told else None
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": CREATED, "model": "gpt-test"}
    return {**head, "choices": [choice], "usage": usage}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatStream:
    """An event stream of chunks; bytes among them go out as they are.

    done: whether `[DONE]` ends it. cut: so many bytes a piece. pause_s: between chunks. How it ends, after so many of
    them: stall_after (silence), truncate_after (a clean end of the body), close_after (the connection closes within
    the body). keep_open: the body stays open after the last one until the client leaves.
    """

    said: Sequence[Fields | bytes]
    done: bool = True
    cut: int = 0
    pause_s: float = 0
    stall_after: int | None = None
    truncate_after: int | None = None
    close_after: int | None = None
    keep_open: bool = False
    crlf: bool = False
    content_type: str = "text/event-stream; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    async def play(self, exchange: Exchange, scene: Scene) -> None:
        exchange.head(200, {"content-type": self.content_type, **self.headers, "transfer-encoding": "chunked"})
        limits = (self.stall_after, self.truncate_after, self.close_after)
        limit = next((each for each in limits if each is not None), len(self.said))
        for each in self.said[:limit]:
            await self._send(exchange, each if isinstance(each, bytes) else self._frame(msgspec.json.encode(each)))
            await exchange.sleep(self.pause_s)
        if self.stall_after is not None:
            await exchange.until_left()
            return
        await exchange.drain()
        exchange.finished = True
        if self.close_after is not None:
            exchange.close()
            return
        if self.done and self.truncate_after is None:
            await self._send(exchange, self._frame(b"[DONE]"))
        if self.keep_open:
            await exchange.until_left()
        exchange.end()

    def _frame(self, data: bytes) -> bytes:
        end = b"\r\n\r\n" if self.crlf else b"\n\n"
        return b"data: " + data + end

    async def _send(self, exchange: Exchange, data: bytes) -> None:
        size = self.cut or len(data)
        for start in range(0, len(data), size):
            exchange.chunk(data[start : start + size])
            if self.cut:
                await exchange.drain()


def chat_stream(*said: Fields | bytes, **options: Any) -> ChatStream:
    """These chunks; the options are the fields of `ChatStream`."""
    return ChatStream(said=said, **options)


def answered(body: Mapping[str, Any]) -> list[Fields]:
    """The chunks of a good answer: echoes the last user text, calls the tool that is demanded or named in it, repeats
    a tool's result after that."""
    asked = _as_responses(body)
    tools = chosen_tools(asked)
    if not tools:
        return chunks(answer_text(asked), top_logprobs=body.get("top_logprobs", 0) if body.get("logprobs") else None)
    arguments = [msgspec.json.encode(example(tool["parameters"])).decode() for tool in tools]
    return chunks(calls=[(tool["name"], each) for tool, each in zip(tools, arguments, strict=True)])


def _as_responses(body: Mapping[str, Any]) -> Fields:
    """As much of the request as decides on the answer, as the Codex backend's answers want it."""
    items: list[Fields] = []
    for message in body["messages"]:
        content = message.get("content") or ""
        text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        if message["role"] == "tool":
            items.append({"type": "function_call_output", "call_id": message["tool_call_id"], "output": text})
        elif message["role"] == "user":
            items.append({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
    asked: Fields = {"input": items, "parallel_tool_calls": body.get("parallel_tool_calls", True)}
    asked["tools"] = [{"type": "function", **tool["function"]} for tool in body.get("tools", [])]
    choice = body.get("tool_choice", "auto")
    asked["tool_choice"] = choice if isinstance(choice, str) else {"type": "function", **choice["function"]}
    format = body.get("response_format", {"type": "text"})
    asked["text"] = {"format": {**format, **format.get("json_schema", {})}}
    return asked
