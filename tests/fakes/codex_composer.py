"""A composer of answers as the Codex backend streams them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.fakes.tokens import sealed

Fields = dict[str, Any]

CREATED_AT = 1_795_000_000


class Composer:
    """Composes the events of one answer; `events` holds them. Ids follow from `seed`, sequence numbers from order.

    body: the request, whose settings the Response objects repeat. account_id: for whom reasoning is sealed.
    """

    def __init__(self, body: Mapping[str, Any] | None = None, *, seed: str = "", account_id: str = "acct-1") -> None:
        self.events: list[Fields] = []
        self.output: list[Fields] = []
        self._body = body or {}
        self._seed = seed
        self._account_id = account_id
        self._items = 0
        self._sequence = 0

    def id(self, prefix: str) -> str:
        digest = hashlib.sha256(f"{self._seed}/{prefix}/{self._items}".encode()).hexdigest()
        return f"{prefix}_{digest[:48]}"

    def add(self, type: str, **fields: Any) -> None:
        """Any event, with the next sequence number."""
        self.events.append({"type": type, **fields, "sequence_number": self._sequence})
        self._sequence += 1

    def start(self) -> Composer:
        for kind in ("response.created", "response.in_progress"):
            self.add(kind, response=self.response("in_progress"))
        return self

    def keepalive(self) -> Composer:
        self.add("keepalive")
        return self

    def reasoning(self, *parts: str) -> Composer:
        """A reasoning item with these summary parts; none is common."""
        item: Fields = {"type": "reasoning", "encrypted_content": sealed(self._account_id, "start"), "summary": []}
        place = self._open("rs", item)
        for index, text in enumerate(parts):
            at = {**place, "summary_index": index}
            self.add("response.reasoning_summary_part.added", **at, part={"type": "summary_text", "text": ""})
            for delta in words(text):
                self.add("response.reasoning_summary_text.delta", **at, delta=delta, obfuscation=self._noise(delta))
            self.add("response.reasoning_summary_text.done", **at, text=text)
            self.add("response.reasoning_summary_part.done", **at, part={"type": "summary_text", "text": text})
        summary = [{"type": "summary_text", "text": text} for text in parts]
        return self._close(
            place, item | {"encrypted_content": sealed(self._account_id, self._seed), "summary": summary}
        )

    def message(
        self,
        text: str,
        *,
        deltas: Iterable[str] | None = None,
        phase: str = "final_answer",
        citations: Sequence[Fields] = (),
        status: str = "completed",
    ) -> Composer:
        """A message of one text part; `deltas` cuts it, by words if not given."""
        item: Fields = {"type": "message", "status": "in_progress", "content": [], "role": "assistant", "phase": phase}
        place = self._open("msg", item)
        at = {"content_index": 0, **place}
        part: Fields = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
        self.add("response.content_part.added", **at, part=part)
        told = []
        for delta in words(text) if deltas is None else deltas:
            found = self._logprobs(delta)
            told += found
            bare = [{name: each[name] for name in each if name != "bytes"} for each in found]
            self.add("response.output_text.delta", **at, delta=delta, logprobs=bare, obfuscation=self._noise(delta))
        for index, citation in enumerate(citations):
            self.add("response.output_text.annotation.added", **at, annotation_index=index, annotation=citation)
        self.add("response.output_text.done", **at, text=text, logprobs=told)
        part = part | {"annotations": list(citations), "logprobs": told, "text": text}
        self.add("response.content_part.done", **at, part=part)
        return self._close(place, item | {"status": status, "content": [part]})

    def refusal(self, text: str) -> Composer:
        phase = "final_answer"
        item: Fields = {"type": "message", "status": "in_progress", "content": [], "role": "assistant", "phase": phase}
        place = self._open("msg", item)
        at = {"content_index": 0, **place}
        self.add("response.content_part.added", **at, part={"type": "refusal", "refusal": ""})
        for delta in words(text):
            self.add("response.refusal.delta", **at, delta=delta)
        self.add("response.refusal.done", **at, refusal=text)
        part = {"type": "refusal", "refusal": text}
        self.add("response.content_part.done", **at, part=part)
        return self._close(place, item | {"status": "completed", "content": [part]})

    def function_call(self, name: str, arguments: str, *, call_id: str = "") -> Composer:
        return self.parallel_calls((name, arguments), call_ids=[call_id], named=True)

    def parallel_calls(self, *calls: tuple[str, str], call_ids: Sequence[str] = (), named: bool = False) -> Composer:
        """Function calls whose deltas interleave; the last one is done first. named: the done events name the tool,
        which the public protocol promises and the backend does not always do."""
        opened = []
        for index, (tool, arguments) in enumerate(calls):
            call_id = (call_ids[index] if call_ids else "") or self.id("call")[:29]
            item = {"type": "function_call", "status": "in_progress", "arguments": "", "call_id": call_id, "name": tool}
            opened.append((self._open("fc", item), item, arguments, pieces(arguments)))
        for turn in range(max((len(cut) for *_, cut in opened), default=0)):
            for place, _, _, cut in opened:
                if turn < len(cut):
                    noise = self._noise(cut[turn])
                    self.add("response.function_call_arguments.delta", **place, delta=cut[turn], obfuscation=noise)
        for place, item, arguments, _ in reversed(opened):
            name = {"name": item["name"]} if named else {}
            self.add("response.function_call_arguments.done", **place, arguments=arguments, **name)
            self._close(place, item | {"status": "completed", "arguments": arguments})
        return self

    def custom_call(self, name: str, input: str) -> Composer:
        call_id = self.id("call")[:29]
        item = {"type": "custom_tool_call", "status": "in_progress", "call_id": call_id, "input": "", "name": name}
        place = self._open("ctc", item)
        for delta in input.splitlines(keepends=True):
            noise = self._noise(delta)
            self.add("response.custom_tool_call_input.delta", **place, delta=delta, obfuscation=noise)
        self.add("response.custom_tool_call_input.done", **place, input=input)
        return self._close(place, item | {"status": "completed", "input": input})

    def search(self, action: Fields) -> Composer:
        item: Fields = {"type": "web_search_call", "status": "in_progress"}
        place = self._open("ws", item)
        for step in ("in_progress", "searching", "completed"):
            self.add(f"response.web_search_call.{step}", **place)
        return self._close(place, item | {"status": "completed", "action": action})

    def image(self, result: str, *, partials: Sequence[str] = (), prompt: str = "A picture.") -> Composer:
        """A generated image; `result` and `partials` are base64."""
        item: Fields = {"type": "image_generation_call", "status": "in_progress", "result": None}
        look = {"background": "opaque", "output_format": "png", "quality": "medium", "size": "1024x1024"}
        place = self._open("ig", item)
        for step in ("in_progress", "generating"):
            self.add(f"response.image_generation_call.{step}", **place)
        for index, partial in enumerate(partials):
            at = {**place, "partial_image_index": index, "partial_image_b64": partial}
            self.add("response.image_generation_call.partial_image", **at, **look)
        self.add("response.image_generation_call.completed", **place)
        done = {"status": "completed", "action": "generate", "result": result, "revised_prompt": prompt}
        return self._close(place, item | done | look)

    def completed(self, usage: Fields | None = None, **fields: Any) -> Composer:
        """The good ending; `output=[]` among the fields leaves the output out, as the backend often does."""
        ending = {"output": self.output, "usage": usage or measured(24, 11), "completed_at": CREATED_AT + 7}
        self.add("response.completed", response=self.response("completed", **{**ending, **fields}))
        return self

    def incomplete(self, reason: str, usage: Fields | None = None) -> Composer:
        ending = {"output": self.output, "usage": usage or measured(52, 9), "incomplete_details": {"reason": reason}}
        self.add("response.incomplete", response=self.response("incomplete", **ending))
        return self

    def error(self, code: str, message: str, type: str = "server_error") -> Composer:
        """The backend's nested form of the `error` event."""
        self.add("error", error={"type": type, "code": code, "message": message, "param": None})
        return self

    def failed(self, code: str, message: str, *, reduced: bool = False) -> Composer:
        """The bad ending; `reduced` leaves out what the backend often leaves out of a failed Response."""
        response = self.response("failed", error={"code": code, "message": message})
        if reduced:
            kept = ("id", "object", "created_at", "status", "background", "error", "usage", "user", "metadata")
            response = {name: response[name] for name in kept}
        self.add("response.failed", response=response)
        return self

    def response(self, status: str, **fields: Any) -> Fields:
        body = self._body
        return {
            "id": f"resp_{hashlib.sha256(self._seed.encode()).hexdigest()[:50]}",
            "object": "response",
            "created_at": CREATED_AT,
            "status": status,
            "background": False,
            "completed_at": None,
            "error": None,
            "frequency_penalty": 0.0,
            "incomplete_details": None,
            "instructions": body.get("instructions", "Answer briefly."),
            "max_output_tokens": None,
            "max_tool_calls": None,
            "model": body.get("model", "gpt-5.5"),
            "moderation": None,
            "output": [],
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "presence_penalty": 0.0,
            "previous_response_id": None,
            "prompt_cache_key": body.get("prompt_cache_key"),
            "prompt_cache_retention": None,
            "reasoning": {"effort": "medium", "summary": None} | body.get("reasoning", {}),
            "safety_identifier": "user-made-up",
            "service_tier": "default" if status == "completed" else "auto",
            "store": False,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}, "verbosity": "medium"} | body.get("text", {}),
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools", []),
            "top_logprobs": 0,
            "top_p": 0.98,
            "truncation": "disabled",
            "usage": None,
            "user": None,
            "metadata": {},
            **fields,
        }

    def _open(self, prefix: str, item: Fields) -> Fields:
        place = {"item_id": self.id(prefix), "output_index": self._items}
        self._items += 1
        self.output.append({})
        self.add(
            "response.output_item.added", item={"id": place["item_id"], **item}, output_index=place["output_index"]
        )
        return place

    def _close(self, place: Fields, item: Fields) -> Composer:
        done = {"id": place["item_id"], **item}
        self.output[place["output_index"]] = done
        self.add("response.output_item.done", item=done, output_index=place["output_index"])
        return self

    def _logprobs(self, delta: str) -> list[Fields]:
        """Those of a delta, if the request asks for any."""
        if "message.output_text.logprobs" not in self._body.get("include", ()):
            return []
        return token_logprobs(delta, self._body.get("top_logprobs", 0))

    def _noise(self, delta: str) -> str:
        """Padding that hides the length of a delta, as the backend adds it."""
        return hashlib.sha256(delta.encode()).hexdigest()[: 16 - len(delta) % 16]


def words(text: str) -> list[str]:
    """The text cut before each run of blanks; joined it is the text again."""
    return re.findall(r"\s*\S+|\s+$", text)


def pieces(text: str, size: int = 5) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def token_logprobs(text: str, top: int = 0) -> list[Fields]:
    """Log probabilities of tokens of at most three characters that the text is cut into, with this many others."""
    return [
        {**_token(token, 0), "top_logprobs": [_token(token + "~" * place, place) for place in range(top)]}
        for token in pieces(text, 3)
    ]


def _token(token: str, place: int) -> Fields:
    return {"token": token, "logprob": -0.25 * (place + 1), "bytes": list(token.encode())}


def measured(input_tokens: int, output_tokens: int, reasoning_tokens: int = 0, cached_tokens: int = 0) -> Fields:
    """A usage object."""
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": cached_tokens, "cache_write_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning_tokens},
        "total_tokens": input_tokens + output_tokens,
    }
