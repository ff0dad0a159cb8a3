"""A chat history → canonical input items, message by message.

System and developer messages stay where they are, with their role. What the model said becomes a message item, the
calls that it made become items of their own behind it, and each tool message becomes the output of the call that it
names. Pictures that the model made come back in its text, and are shown to it as pictures again (`pictures.py`).
Members that other services put into messages (`reasoning_content`, `cache_control`, …) are left behind; the `name` of a
participant is named to the caller, for no upstream has a place for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from lib.canonical.request import Item
from lib.dialects.chat_content import assistant_parts, input_parts, output_of
from lib.dialects.fields import missing, shown, string, unsupported, wrong_type, wrong_value
from lib.dialects.pictures import Replayed
from lib.errors import InvalidRequest

Message = Mapping[str, Any]

_OUTPUTS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}


def parse_messages(messages: list[Any], asked: dict[str, str]) -> list[Item]:
    """`asked` learns what has no effect. Raises InvalidRequest that names the message, as `messages[3].content[0]`."""
    if not messages:
        raise InvalidRequest(
            "Invalid 'messages': an empty array; send at least one message.", param="messages", code="empty_array"
        )
    history = History(asked)
    for index, message in enumerate(messages):
        history.add(message, f"messages[{index}]")
    history.finish()
    if not history.items:
        raise InvalidRequest("Invalid 'messages': none of them has content.", param="messages", code="invalid_value")
    return history.items


class History:
    """The items so far, and which calls wait for their outputs."""

    def __init__(self, asked: dict[str, str]) -> None:
        self.items: list[Item] = []
        self._asked = asked
        self._calls: dict[str, deque[str]] = {}
        """Call id → the item types of the calls with that id, in order: some services give an id twice."""
        self._legacy: dict[str, list[str]] = {}
        """Name → call ids made up for calls from before there were ids, not yet answered."""
        self._legacy_count = 0
        self._pictures = Replayed()

    def add(self, message: Any, param: str) -> None:
        if type(message) is not dict:
            raise wrong_type(param, "an object", message)
        role = message.get("role")
        if role is None:
            raise missing(f"{param}.role")
        if type(role) is not str:
            raise wrong_type(f"{param}.role", "a string", role)
        add = _ROLES.get(role)
        if add is None:
            raise wrong_value(f"{param}.role", "one of " + ", ".join(f"'{each}'" for each in _ROLES), role)
        add(self, message, param)

    def finish(self) -> None:
        """Behind the last message."""
        self._pictures.finish()

    def _note_name(self, message: Message, param: str) -> None:
        name = message.get("name")
        if name is not None and string(name, f"{param}.name"):
            self._asked["messages.name"] = "messages.name"

    def _add_input(self, message: Message, param: str) -> None:
        self._note_name(message, param)
        content = input_parts(message.get("content"), f"{param}.content")
        if message["role"] == "user":
            self._pictures.give_to(content)
        self.items.append({"type": "message", "role": message["role"], "content": content})

    def _add_assistant(self, message: Message, param: str) -> None:
        self._note_name(message, param)
        parts = assistant_parts(message.get("content"), f"{param}.content")
        for part in parts:
            if part["type"] == "output_text":
                part["text"] = self._pictures.taken_from(part["text"])
        refusal = message.get("refusal")
        if refusal is not None and type(refusal) is not str:
            raise wrong_type(f"{param}.refusal", "a string", refusal)
        if refusal:
            parts.append({"type": "refusal", "refusal": refusal})
        if message.get("audio") is not None:
            raise unsupported(f"{param}.audio", "answers are never spoken here, so there is no audio to refer to.")
        if parts:
            self.items.append({"type": "message", "role": "assistant", "content": parts})
        calls = message.get("tool_calls")
        if calls is not None:
            self._add_calls(calls, f"{param}.tool_calls")
        call = message.get("function_call")
        if call is not None:
            self._add_legacy_call(call, f"{param}.function_call")

    def _add_calls(self, calls: Any, param: str) -> None:
        if type(calls) is not list:
            raise wrong_type(param, "an array", calls)
        for index, call in enumerate(calls):
            item = _call(call, f"{param}[{index}]")
            self.items.append(item)
            self._calls.setdefault(item["call_id"], deque()).append(item["type"])

    def _add_legacy_call(self, call: Any, param: str) -> None:
        if type(call) is not dict:
            raise wrong_type(param, "an object", call)
        name = _text(call, "name", param, required=True)
        arguments = _text(call, "arguments", param)
        self._legacy_count += 1
        call_id = f"call_legacy_{self._legacy_count}"
        self.items.append({"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments})
        self._legacy.setdefault(name, []).append(call_id)

    def _add_output(self, message: Message, param: str) -> None:
        call_id = message.get("tool_call_id")
        if call_id is None or call_id == "":
            raise missing(f"{param}.tool_call_id")
        if type(call_id) is not str:
            raise wrong_type(f"{param}.tool_call_id", "a string", call_id)
        kinds = self._calls.get(call_id)
        if kinds is None:
            raise InvalidRequest(
                f"No tool call found for {shown(call_id)} in '{param}.tool_call_id'. A tool message must follow the "
                "assistant message whose 'tool_calls' holds this id.",
                param=f"{param}.tool_call_id",
                code="invalid_value",
            )
        kind = kinds.popleft() if len(kinds) > 1 else kinds[0]
        output = output_of(message.get("content"), f"{param}.content")
        self.items.append({"type": _OUTPUTS[kind], "call_id": call_id, "output": output})

    def _add_legacy_output(self, message: Message, param: str) -> None:
        name = _text(message, "name", param, required=True)
        waiting = self._legacy.get(name)
        if not waiting:
            raise InvalidRequest(
                f"No function call found for {shown(name)} in '{param}.name'. A function message must follow the "
                "assistant message whose 'function_call' has this name.",
                param=f"{param}.name",
                code="invalid_value",
            )
        output = output_of(message.get("content"), f"{param}.content")
        self.items.append({"type": "function_call_output", "call_id": waiting.pop(), "output": output})


_ROLES: dict[str, Callable[[History, Message, str], None]] = {
    "system": History._add_input,
    "developer": History._add_input,
    "user": History._add_input,
    "assistant": History._add_assistant,
    "tool": History._add_output,
    "function": History._add_legacy_output,
}
"""Here and not in each history, which would then refer to itself."""


def _call(call: Any, param: str) -> Item:
    if type(call) is not dict:
        raise wrong_type(param, "an object", call)
    kind = "function" if call.get("type") is None else call["type"]
    if kind not in ("function", "custom"):
        raise wrong_value(f"{param}.type", "'function' or 'custom'", kind)
    call_id = _text(call, "id", param, required=True)
    made = call.get(kind)
    where = f"{param}.{kind}"
    if made is None:
        raise missing(where)
    if type(made) is not dict:
        raise wrong_type(where, "an object", made)
    name = _text(made, "name", where, required=True)
    if kind == "custom":
        return {"type": "custom_tool_call", "call_id": call_id, "name": name, "input": _text(made, "input", where)}
    arguments = _text(made, "arguments", where)
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def _text(holder: Message, name: str, param: str, *, required: bool = False) -> str:
    """A string member, byte for byte; `required` ones may not be empty either."""
    value = holder.get(name)
    if value is None or (required and value == ""):
        raise missing(f"{param}.{name}")
    if type(value) is not str:
        raise wrong_type(f"{param}.{name}", "a string", value)
    return value
