"""A history of messages → canonical input items, block by block.

Text and thinking stay in their order; what the model called becomes a call item, each `tool_result` the output of the
call that it names. Blocks of tools that another service ran by itself (`server_tool_use`, `web_search_tool_result`, …)
are left behind: the text around them says what they found. Pictures that the model made come back in its text, and are
shown to it as pictures again (`pictures.py`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from lib.canonical.request import Item
from lib.dialects.fields import ask, missing, object_, one_of, shown, wrong_type, wrong_value
from lib.dialects.messages_content import Asked, Block, blocks, input_parts, required_text, text_of, texts, tool_output
from lib.dialects.messages_thinking import restore
from lib.dialects.pictures import Replayed
from lib.errors import InvalidRequest

_ROLE = one_of("user", "assistant", "system")


def parse_messages(messages: list[Any], asked: Asked) -> list[Item]:
    """Raises InvalidRequest that names the block, as `messages[3].content[0]`. `asked` learns what has no effect."""
    if not messages:
        raise InvalidRequest("messages: at least one message is required", param="messages", code="empty_array")
    history = History(asked)
    for index, message in enumerate(messages):
        history.add(message, f"messages[{index}]")
    history.finish()
    if not history.items:
        raise InvalidRequest("messages: none of them has content", param="messages", code="invalid_value")
    last = history.items[-1]
    if last["type"] == "message" and last["role"] == "assistant":
        # The upstream begins a new message; it cannot be made to go on with this one.
        ask(asked, "prefill", "prefill")
    return history.items


class History:
    """The items so far, and the calls that may be answered."""

    def __init__(self, asked: Asked) -> None:
        self.items: list[Item] = []
        self._asked = asked
        self._parts: list[Block] = []
        """Of the message that is being put together."""
        self._calls: set[str] = set()
        self._pictures = Replayed()

    def add(self, message: Any, param: str) -> None:
        if type(message) is not dict:
            raise wrong_type(param, "an object", message)
        role = _ROLE(required_text(message, "role", param), f"{param}.role")
        where = f"{param}.content"
        if role == "system":
            self._parts = [{"type": "input_text", "text": text} for text in texts(message.get("content"), where)]
        else:
            content = blocks(message.get("content"), where)
            if not content and role == "user":
                raise InvalidRequest(f"{where}: at least one content block is required", param=where, code="empty")
            add = self._add_said if role == "assistant" else self._add_input
            for block, kind, place in content:
                add(block, kind, place)
            if role == "user" and self._parts:
                self._pictures.give_to(self._parts)
        self._close(role)

    def finish(self) -> None:
        """Behind the last message."""
        self._pictures.finish()

    def _close(self, role: str) -> None:
        if self._parts:
            self.items.append({"type": "message", "role": role, "content": self._parts})
            self._parts = []

    def _add_input(self, block: Block, kind: str, param: str) -> None:
        if kind != "tool_result":
            self._parts += input_parts(block, kind, param, self._asked)
            return
        call_id = required_text(block, "tool_use_id", param)
        if call_id not in self._calls:
            raise InvalidRequest(
                f"{param}: unexpected `tool_use_id` found in `tool_result` blocks: {shown(call_id)}. Each `tool_result`"
                " block must have a corresponding `tool_use` block in a message before it.",
                param=f"{param}.tool_use_id",
                code="invalid_value",
            )
        output = tool_output(block, param, self._asked)
        self._close("user")
        self.items.append({"type": "function_call_output", "call_id": call_id, "output": output})

    def _add_said(self, block: Block, kind: str, param: str) -> None:
        if kind == "text":
            self._say(text_of(block, "text", param))
        elif kind == "compaction":  # a summary that took the place of earlier messages
            self._say(text_of(block, "content", param) if block.get("content") is not None else "")
        elif kind == "thinking":
            item = restore(block, param)
            if item is not None:
                self._close("assistant")
                self.items.append(item)
        elif kind == "tool_use":
            self._close("assistant")
            self.items.append(self._call(block, param))
        elif not _is_foreign(kind):
            expected = "one of 'text', 'thinking', 'redacted_thinking', 'tool_use'"
            raise wrong_value(f"{param}.type", expected, kind)

    def _say(self, text: str) -> None:
        if text:
            self._parts.append({"type": "output_text", "text": self._pictures.taken_from(text)})

    def _call(self, block: Block, param: str) -> Item:
        call_id, name = required_text(block, "id", param), required_text(block, "name", param)
        if block.get("input") is None:
            raise missing(f"{param}.input")
        arguments = msgspec.json.encode(object_(block["input"], f"{param}.input")).decode()
        self._calls.add(call_id)
        return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def _is_foreign(kind: str) -> bool:
    """What only the service that made it can read, or ran by itself."""
    return kind in ("redacted_thinking", "container_upload") or kind.endswith(("_tool_use", "_tool_result"))
