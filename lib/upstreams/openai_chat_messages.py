"""Canonical input items → the messages of `POST /chat/completions`.

A turn of the model is one message: its text and the calls that it made. Behind it stand the outputs of all its calls in
their order, as the API demands, wherever in the input they were; a call that was never answered gets the output
`aborted`. A tool may only answer in text here, so pictures and files of an output follow in a message of the user.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

from lib.canonical.request import Item
from lib.errors import InvalidRequest
from lib.upstreams.openai_chat_tools import arguments_of
from lib.upstreams.tool_names import Names

Message = dict[str, Any]
Part = dict[str, Any]

MAX_CALL_ID = 40
_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_LEFT_OUT = frozenset({"web_search_call", "file_search_call", "image_generation_call", "code_interpreter_call"})
"""What another upstream did by itself: the text around it says what it found."""


def shape_messages(
    instructions: str | None, items: list[Item], names: Names, *, is_openai: bool, replay_reasoning: bool
) -> list[Message]:
    """is_openai: whether the server knows the `developer` role and refusals. replay_reasoning: whether the model's
    thoughts go back with the calls that it made. Raises InvalidRequest for what a chat has no place for."""
    history = _History(items, names, is_openai, replay_reasoning)
    if instructions:
        history.messages.append({"role": "system", "content": instructions})
    for index, item in enumerate(items):
        history.add(item, index)
    history.close()
    return history.messages


class _History:
    """The messages so far, and the turn of the model that is open."""

    def __init__(self, items: Iterable[Item], names: Names, is_openai: bool, replay_reasoning: bool) -> None:
        self.messages: list[Message] = []
        self._names = names
        self._is_openai = is_openai
        self._replay_reasoning = replay_reasoning
        self._outputs: dict[str, deque[tuple[int, Any]]] = {}
        """Call id → (place, output) of what answers it, in order: some services give an id twice."""
        for index, item in enumerate(items):
            if item["type"] in _OUTPUTS:
                self._outputs.setdefault(item["call_id"], deque()).append((index, item["output"]))
        self._said: list[tuple[Part, int]] = []
        self._calls: list[tuple[str, Message]] = []
        self._thoughts: list[str] = []

    def add(self, item: Item, index: int) -> None:
        kind = item["type"]
        if kind == "message":
            self._add_message(item, index)
        elif kind in ("function_call", "custom_tool_call"):
            self._add_call(item)
        elif kind in _OUTPUTS:
            if self._calls:
                self.close()
        elif kind == "reasoning":
            if self._calls or self._said:
                self.close()
            self._thoughts += _thoughts(item)
        elif kind not in _LEFT_OUT and kind != "additional_tools":
            raise InvalidRequest(
                f"Items of the type '{kind}' cannot be told to this upstream. Leave it out.",
                param=f"input[{index}].type",
                code="unsupported_value",
            )

    def close(self) -> None:
        """Ends the model's turn, and answers its calls."""
        said, calls, thoughts = self._said, self._calls, self._thoughts
        self._said, self._calls, self._thoughts = [], [], []
        if not said and not calls:
            return
        message = self._assistant([part for part, _ in said])
        if calls:
            message["tool_calls"] = [call for _, call in calls]
            if thoughts and self._replay_reasoning:
                message["reasoning_content"] = "\n\n".join(thoughts)
        self.messages.append(message)
        beside: list[Part] = []
        for call_id, call in calls:
            waiting = self._outputs.get(call_id)
            index, output = waiting.popleft() if waiting else (0, "aborted")
            text, others = _output(output, index)
            self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": text})
            if others:
                beside += [_text(f"From the output of {call['id']}:"), *others]
        if beside:
            self.messages.append({"role": "user", "content": beside})

    def _add_message(self, item: Item, index: int) -> None:
        role = item["role"]
        if role == "assistant":
            if not self._calls:
                self.close_said()
            self._said += [(part, index) for part in item["content"]]
            return
        self.close()
        if role == "developer" and not self._is_openai:
            role = "system"
        parts = [_input_part(part, f"input[{index}].content[{at}]") for at, part in enumerate(item["content"])]
        self.messages.append({"role": role, "content": _joined(parts)})

    def close_said(self) -> None:
        """Ends a turn of text alone; what was thought before stays for the calls that may follow."""
        if self._said:
            thoughts = self._thoughts
            self.close()
            self._thoughts = thoughts

    def _add_call(self, item: Item) -> None:
        custom = item["type"] == "custom_tool_call"
        arguments = arguments_of(item["input"]) if custom else item["arguments"]
        function = {"name": self._names.short(item["name"]), "arguments": arguments}
        call = {"id": short_call_id(item["call_id"]), "type": "function", "function": function}
        self._calls.append((item["call_id"], call))

    def _assistant(self, parts: list[Part]) -> Message:
        refusal = "".join(part["refusal"] for part in parts if part["type"] == "refusal")
        kept = [_text(part["text"]) for part in parts if part["type"] == "output_text"]
        if refusal and self._is_openai:
            return {"role": "assistant", "content": _joined(kept) if kept else None, "refusal": refusal}
        if refusal:
            kept.append(_text(refusal))
        return {"role": "assistant", "content": _joined(kept) if kept else None}


def short_call_id(call_id: str) -> str:
    """A call id that the API takes. Not restored: the answer's ids are always the upstream's own."""
    return call_id if len(call_id) <= MAX_CALL_ID else f"call_{blake2b(call_id.encode(), digest_size=16).hexdigest()}"


def _thoughts(item: Item) -> list[str]:
    parts = [*(item.get("content") or ()), *(() if item.get("content") else item.get("summary") or ())]
    return [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]


def _output(output: Any, index: int) -> tuple[str, list[Part]]:
    """(the text of an output, the parts that are none)."""
    if isinstance(output, str):
        return output, []
    parts = [_input_part(part, f"input[{index}].output[{at}]") for at, part in enumerate(output)]
    text = "\n\n".join(part["text"] for part in parts if part["type"] == "text")
    others = [part for part in parts if part["type"] != "text"]
    return text or ("The output follows below." if others else ""), others


def _joined(parts: list[Part]) -> str | list[Part]:
    """A string where there is one text: not every server takes parts."""
    return str(parts[0]["text"]) if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _text(text: str) -> Part:
    return {"type": "text", "text": text}


def _input_part(part: Part, param: str) -> Part:
    shape = _PARTS.get(part["type"])
    if shape is None:
        raise _no_place(f"A part of the type '{part['type']}'", param)
    return shape(part, param)


def _image(part: Part, param: str) -> Part:
    if not part.get("image_url"):
        raise _no_place("A picture by the id of a file", param)
    detail = {} if part.get("detail") is None else {"detail": part["detail"]}
    return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}


def _file(part: Part, param: str) -> Part:
    if part.get("file_url"):
        raise _no_place("A file by its address", f"{param}.file_url")
    names = ("filename", "file_data", "file_id")
    return {"type": "file", "file": {name: part[name] for name in names if part.get(name) is not None}}


def _audio(part: Part, param: str) -> Part:
    return {"type": "input_audio", "input_audio": part["input_audio"]}


def _no_place(what: str, param: str) -> InvalidRequest:
    return InvalidRequest(
        f"{what} cannot be told to this upstream. Send the content itself.", param=param, code="unsupported_value"
    )


_PARTS: Mapping[str, Callable[[Part, str], Part]] = {
    "input_text": lambda part, param: _text(part["text"]),
    "output_text": lambda part, param: _text(part["text"]),
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}
