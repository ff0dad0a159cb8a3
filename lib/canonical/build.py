"""Builds the canonical events of an answer, for upstreams that do not speak Responses themselves.

    builder = Builder(request, response_id="…", created_at=now)
    yield builder.start()
    yield builder.text("Hel")               # a message opens by itself
    yield builder.text("lo")
    yield builder.call(0, "look_up", call_id="call_1")     # … and ends when something else begins
    yield builder.arguments(0, '{"a":1}')
    yield builder.finish(usage(12, 3))      # closes what is open; the terminal event carries the whole output

Every method returns the events that it adds, in order; sequence numbers have no gaps. Pure: ids and time come in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest

Fields = dict[str, Any]


class Builder:
    """Builds one answer.

    response_id: a random suffix out of `[A-Za-z0-9_-]`, at most 48 characters, from which all item ids are made.
    created_at: epoch seconds. model: the name to report, by default the request's.
    """

    def __init__(
        self, request: CanonicalRequest, *, response_id: str, created_at: float, model: str | None = None
    ) -> None:
        self._request = request
        self._id = response_id
        self._created_at = int(created_at)
        self._model = model or request.model or ""
        self._sequence = 0
        self._output: list[Fields] = []
        self._open: _Message | _Reasoning | None = None
        self._calls: dict[int, _Call] = {}

    @property
    def called(self) -> bool:
        """Whether the answer holds a tool call."""
        return any(item["type"].endswith("_call") for item in self._output)

    def start(self) -> list[Event]:
        """`response.created` and `response.in_progress`."""
        response = self.response("in_progress")
        return [self._event(kind, {"response": response}) for kind in ("response.created", "response.in_progress")]

    def text(self, delta: str, logprobs: Sequence[Fields] = ()) -> list[Event]:
        """More text of the answer, maybe with the log probabilities of its tokens."""
        return self._content(delta, "output_text", logprobs)

    def refusal(self, delta: str) -> list[Event]:
        """More of a refusal."""
        return self._content(delta, "refusal")

    def reasoning(self, delta: str) -> list[Event]:
        """More of the reasoning summary."""
        events: list[Event] = []
        item = self._open
        if not isinstance(item, _Reasoning):
            events += self._closed()
            item = self._open = _Reasoning(self._place("rs"))
            events.append(self._added(item.place, {"type": "reasoning", "summary": []}))
            part = {"type": "summary_text", "text": ""}
            events.append(self._event("response.reasoning_summary_part.added", {**item.at, "part": part}))
        item.pieces.append(delta)
        events.append(self._event("response.reasoning_summary_text.delta", {**item.at, "delta": delta}))
        return events

    def call(self, key: int, name: str, *, call_id: str, custom: bool = False) -> list[Event]:
        """A tool call begins. `key` names it among the open ones; their arguments may interleave with anything. It
        stays open until `close` or `finish`."""
        events = self._closed()
        call = self._calls[key] = _Call(self._place("ctc" if custom else "fc"), name, call_id, custom)
        events.append(self._added(call.place, call.item("in_progress", "")))
        return events

    def arguments(self, key: int, delta: str) -> list[Event]:
        """More of a call's arguments (JSON text), or of a custom tool's input (free text)."""
        call = self._calls[key]
        call.pieces.append(delta)
        return [self._event(f"{call.events}.delta", {**call.place, "delta": delta})]

    def close(self, status: str = "completed") -> list[Event]:
        """Ends every open item, each with this status."""
        events = self._closed(status)
        for call in self._calls.values():
            text = "".join(call.pieces)
            events.append(self._event(f"{call.events}.done", {**call.place, **call.final(text)}))
            events.append(self._done(call.place, call.item(status, text)))
        self._calls.clear()
        return events

    def finish(
        self, usage: Mapping[str, Any] | None, *, reason: str | None = None, completed_at: float | None = None
    ) -> list[Event]:
        """The end: `response.completed`, or `response.incomplete` for a reason (`max_output_tokens`, …).

        completed_at: epoch seconds, by default `created_at`.
        """
        status = "completed" if reason is None else "incomplete"
        events = self.close(status)
        ending: Fields = {"output": self._output, "usage": usage}
        if reason is None:
            ending["completed_at"] = int(completed_at or self._created_at)
        else:
            ending["incomplete_details"] = {"reason": reason}
        events.append(self._event(f"response.{status}", {"response": self.response(status, **ending)}))
        return events

    def response(self, status: str, **fields: Any) -> Fields:
        """The Response object: what the request asked for, under every name that strict readers expect."""
        request, parameters = self._request, self._request.parameters
        return {
            "id": f"resp_{self._id}",
            "object": "response",
            "created_at": self._created_at,
            "status": status,
            "background": False,
            "completed_at": None,
            "error": None,
            "frequency_penalty": parameters.get("frequency_penalty", 0.0),
            "incomplete_details": None,
            "instructions": request.instructions,
            "max_output_tokens": parameters.get("max_output_tokens"),
            "max_tool_calls": parameters.get("max_tool_calls"),
            "model": self._model,
            "output": [],
            "parallel_tool_calls": request.parallel_tool_calls is not False,
            "presence_penalty": parameters.get("presence_penalty", 0.0),
            "previous_response_id": None,
            "prompt_cache_key": request.prompt_cache_key,
            "reasoning": {"effort": None, "summary": None, **(request.reasoning or {})},
            "safety_identifier": parameters.get("safety_identifier"),
            "service_tier": "default",
            "store": False,
            "temperature": parameters.get("temperature", 1.0),
            "text": {"format": {"type": "text"}, **(request.text or {})},
            "tool_choice": request.tool_choice or "auto",
            "tools": request.tools,
            "top_logprobs": parameters.get("top_logprobs", 0),
            "top_p": parameters.get("top_p", 1.0),
            "truncation": parameters.get("truncation", "disabled"),
            "usage": None,
            "user": parameters.get("user"),
            "metadata": parameters.get("metadata", {}),
            **fields,
        }

    def _content(self, delta: str, kind: str, logprobs: Sequence[Fields] = ()) -> list[Event]:
        events: list[Event] = []
        message = self._open
        if not isinstance(message, _Message):
            events += self._closed()
            message = self._open = _Message(self._place("msg"))
            item = {"type": "message", "status": "in_progress", "role": "assistant", "content": []}
            events.append(self._added(message.place, item))
        if message.kind != kind:
            events += self._part_done(message)
            message.begin(kind)
            events.append(self._event("response.content_part.added", {**message.at, "part": message.part("")}))
        message.pieces.append(delta)
        fields: Fields = {**message.at, "delta": delta}
        if kind == "output_text":
            fields["logprobs"] = [*logprobs]
            message.logprobs += logprobs
        events.append(self._event(f"response.{kind}.delta", fields))
        return events

    def _part_done(self, message: _Message) -> list[Event]:
        if message.kind is None:
            return []
        text = "".join(message.pieces)
        at, part = message.at, message.part(text)
        final: Fields = {name: part[name] for name in ("refusal", "text", "logprobs") if name in part}
        message.parts.append(part)  # from here on `message.at` is the place of the next part
        return [
            self._event(f"response.{message.kind}.done", {**at, **final}),
            self._event("response.content_part.done", {**at, "part": part}),
        ]

    def _closed(self, status: str = "completed") -> list[Event]:
        """Ends the open message or reasoning; calls stay open."""
        item, self._open = self._open, None
        if isinstance(item, _Message):
            events = self._part_done(item)
            done = {"type": "message", "status": status, "role": "assistant", "content": item.parts}
            return [*events, self._done(item.place, done)]
        if isinstance(item, _Reasoning):
            part = {"type": "summary_text", "text": "".join(item.pieces)}
            return [
                self._event("response.reasoning_summary_text.done", {**item.at, "text": part["text"]}),
                self._event("response.reasoning_summary_part.done", {**item.at, "part": part}),
                self._done(item.place, {"type": "reasoning", "summary": [part]}),
            ]
        return []

    def _place(self, prefix: str) -> Fields:
        index = len(self._output)
        place = {"item_id": f"{prefix}_{self._id}_{index}", "output_index": index}
        self._output.append({})
        return place

    def _added(self, place: Fields, item: Fields) -> Event:
        self._output[place["output_index"]] = started = {"id": place["item_id"], **item}
        return self._event("response.output_item.added", {"output_index": place["output_index"], "item": started})

    def _done(self, place: Fields, item: Fields) -> Event:
        self._output[place["output_index"]] = done = {"id": place["item_id"], **item}
        return self._event("response.output_item.done", {"output_index": place["output_index"], "item": done})

    def _event(self, type: str, fields: Fields) -> Event:
        event = Event(type, None, {"type": type, **fields, "sequence_number": self._sequence})
        self._sequence += 1
        return event


class _Message:
    """A message that is being written: finished parts, and the pieces of the one that is open."""

    __slots__ = ("kind", "logprobs", "parts", "pieces", "place")

    def __init__(self, place: Fields) -> None:
        self.place = place
        self.parts: list[Fields] = []
        self.pieces: list[str] = []
        self.logprobs: list[Fields] = []
        self.kind: str | None = None

    @property
    def at(self) -> Fields:
        """Where the open part stands: behind the finished ones."""
        return {**self.place, "content_index": len(self.parts)}

    def begin(self, kind: str) -> None:
        self.kind, self.pieces, self.logprobs = kind, [], []

    def part(self, text: str) -> Fields:
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": [*self.logprobs]}


class _Reasoning:
    """A reasoning summary of one part that is being written."""

    __slots__ = ("at", "pieces", "place")

    def __init__(self, place: Fields) -> None:
        self.place = place
        self.at: Fields = {**place, "summary_index": 0}
        self.pieces: list[str] = []


class _Call:
    """A tool call that is being written."""

    __slots__ = ("call_id", "custom", "events", "name", "pieces", "place")

    def __init__(self, place: Fields, name: str, call_id: str, custom: bool) -> None:
        self.place = place
        self.name = name
        self.call_id = call_id
        self.custom = custom
        self.events = "response.custom_tool_call_input" if custom else "response.function_call_arguments"
        self.pieces: list[str] = []

    def final(self, text: str) -> Fields:
        return {"input": text} if self.custom else {"name": self.name, "arguments": text}

    def filled(self, text: str) -> Fields:
        return {"input": text} if self.custom else {"arguments": text}

    def item(self, status: str, text: str) -> Fields:
        kind = "custom_tool_call" if self.custom else "function_call"
        return {"type": kind, "status": status, "call_id": self.call_id, "name": self.name, **self.filled(text)}


def usage(input_tokens: int, output_tokens: int, *, reasoning_tokens: int = 0, cached_tokens: int = 0) -> Fields:
    """A usage object; `output_tokens` counts the reasoning too."""
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": cached_tokens, "cache_write_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning_tokens},
        "total_tokens": input_tokens + output_tokens,
    }
