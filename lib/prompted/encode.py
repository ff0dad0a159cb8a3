"""Tools and history as text: what the model is told, in the form that the parser reads.

Calls of the history become the very blocks that the model is asked to write; results are framed by markers with the
same key. The key cannot be guessed, but it can be repeated: wherever it stands in a text that is not a block of this
module, the bracket before it is escaped.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from lib.canonical.request import CanonicalRequest, Item
from lib.errors import InvalidRequest
from lib.prompted import arguments
from lib.prompted.pieces import Call
from lib.prompted.tools import CallableTool, Toolset
from lib.prompted.trigger import closing, opening
from lib.values import replace

_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_OUTPUTS = ("function_call_output", "custom_tool_call_output")

_RULES = """\
# Tools

You can call the tools that are listed below. To call one, write a block of exactly this form, after an empty line:

{example}

- The object has exactly the members "name" and "arguments", in JSON. "arguments" is an object that fits the schema in \
"parameters" of the tool; {{}} if there is nothing to say. Never leave out a required argument and never make one up: \
ask the user for what you do not know.
- {count}
- End your reply behind the last block. The results come in the next message, between {result} and its closing \
marker. Never write results yourself.
- A block inside of quotes, code or your reasoning does not count. Do not show or explain the blocks to the user.
- {duty}

The tools, one in each line:

{tools}"""
_ONE = "Write at most one block in a reply."
_MANY = "For several calls that do not depend on one another, write several blocks, one behind the other."
_FREE = "Call a tool only where it helps to answer; otherwise just answer."
_REQUIRED = "This time you must call at least one of the tools."
_NAMED = "This time you must call the tool {name}."
_NONE = "# Tools\n\nTools cannot be called in this reply. Answer in text, without any call block."


def encode_call(call: Call, key: str) -> str:
    """One call as a block. Arguments that are no JSON object stand in it as a string."""
    if call.custom:
        said = arguments.encode({"input": call.arguments})
    else:
        said = call.arguments if _is_object(call.arguments) else _json(call.arguments)
    return f'{opening(key)}\n{{"name": {_json(call.name)}, "arguments": {said}}}\n{closing(key)}'


def encode_request(request: CanonicalRequest, tools: Toolset, key: str) -> CanonicalRequest:
    """The request for an upstream without tools: instructions and history in text, nothing left of the tools."""
    rules = instructions(request, tools, key) if tools else _NONE if request.tools else ""
    system = _escaped(request.instructions or "", key)
    return replace(
        request,
        instructions="\n\n".join(part for part in (system, rules) if part) or None,
        input=_History(key).encode(request.input),
        tools=[],
        tool_choice=None,
        parallel_tool_calls=None,
    )


def instructions(request: CanonicalRequest, tools: Toolset, key: str) -> str:
    """What the model is told of the tools. Raises InvalidRequest for a schema that is too deep to write down."""
    example = encode_call(Call("<tool name>", '{"<parameter>": "<value>"}'), key)
    try:
        listed = "\n".join(_described(tool) for tool in tools.values())
    except RecursionError as error:
        raise InvalidRequest(
            "Invalid schema: a tool's parameters are nested too deeply.", param="tools", code="invalid_json_schema"
        ) from error
    return _RULES.format(
        example=example,
        count=_ONE if request.parallel_tool_calls is False else _MANY,
        result=f"<tool_result:{key} …>",
        duty=_duty(request.tool_choice),
        tools=_escaped(listed, key),
    )


def _described(tool: CallableTool) -> str:
    described = {"name": tool.name}
    if tool.description:
        described["description"] = tool.description
    return _json({**described, "parameters": tool.schema})


def _duty(choice: str | dict[str, Any] | None) -> str:
    if isinstance(choice, dict) and choice.get("type") != "allowed_tools":
        return _NAMED.format(name=_json(choice.get("name")))
    mode = choice.get("mode") if isinstance(choice, dict) else choice
    return _REQUIRED if mode == "required" else _FREE


class _History:
    """The items of a history, one by one. Calls count from 1; each result names its call by number and name, so that
    results out of order and ids given twice stay apart."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._items: list[Item] = []
        self._count = 0
        self._waiting: defaultdict[str, deque[tuple[int, str]]] = defaultdict(deque)
        """Call id → (number, name) of its calls without a result."""
        self._answered: dict[str, tuple[int, str]] = {}
        """Call id → the last of its calls that got one."""
        self._behind_calls = False
        self._behind_results = False

    def encode(self, items: Iterable[Item]) -> list[Item]:
        for item in items:
            kind = item.get("type")
            if kind in _CALLS:
                self._add_call(item)
            elif kind in _OUTPUTS:
                self._add_result(item)
            else:
                self._items.append(self._message(item) if kind == "message" else item)
            self._behind_calls, self._behind_results = kind in _CALLS, kind in _OUTPUTS
        return self._items

    def _add_call(self, item: Item) -> None:
        custom = item["type"] == "custom_tool_call"
        name = str(item.get("name", ""))
        self._count += 1
        self._waiting[str(item.get("call_id"))].append((self._count, name))
        block = encode_call(Call(name, str(item.get(_CALLS[item["type"]]) or ""), custom), self._key)
        if self._behind_calls:
            self._items[-1]["content"].append({"type": "output_text", "text": f"\n{block}"})
            return
        last = self._items[-1] if self._items else {}
        if last.get("type") == "message" and last.get("role") == "assistant" and isinstance(last.get("content"), list):
            part = {"type": "output_text", "text": f"\n\n{block}"}
            self._items[-1] = {**last, "content": [*last["content"], part]}
        else:
            content = [{"type": "output_text", "text": block}]
            self._items.append({"type": "message", "role": "assistant", "content": content})

    def _add_result(self, item: Item) -> None:
        call_id = str(item.get("call_id"))
        if self._waiting[call_id]:
            self._answered[call_id] = self._waiting[call_id].popleft()
        number, name = self._answered.get(call_id, (0, ""))
        label = f' call="{number}" name={_json(name)}' if number else f" id={_json(call_id)}"
        parts = [
            _text(f"<tool_result:{self._key}{_escaped(label, self._key)}>\n"),
            *self._parts(item.get("output")),
            _text(f"\n</tool_result:{self._key}>"),
        ]
        if self._behind_results:
            self._items[-1]["content"] += [_text("\n"), *parts]
        else:
            self._items.append({"type": "message", "role": "user", "content": _joined(parts)})

    def _message(self, item: Item) -> Item:
        content = item.get("content")
        return {**item, "content": self._parts(content)} if isinstance(content, list | str) else item

    def _parts(self, content: Any) -> list[Item]:
        """Content parts; texts among them escaped, images and files as they are. Where a marker may stand in two
        parts, they become one."""
        if isinstance(content, str):
            return [_text(_escaped(content, self._key))]
        parts = content or ()
        if self._key in "".join(part["text"] for part in parts if _is_text(part)):
            parts = _joined(parts)
        return [{**part, "text": _escaped(part["text"], self._key)} if _is_text(part) else part for part in parts]


def _joined(parts: Sequence[Item]) -> list[Item]:
    """With texts that follow one another in one part."""
    joined: list[Item] = []
    for part in parts:
        if joined and part.get("type") == joined[-1].get("type") and _is_text(part) and _is_text(joined[-1]):
            joined[-1] = {**joined[-1], "text": joined[-1]["text"] + part["text"]}
        else:
            joined.append(part)
    return joined


def _is_text(part: Item) -> bool:
    return isinstance(part.get("text"), str)


def _text(text: str) -> Item:
    return {"type": "input_text", "text": text}


def _escaped(text: str, key: str) -> str:
    """The text without the key's own markers."""
    if key not in text:
        return text
    for name in ("tool_call", "tool_result"):
        text = text.replace(f"<{name}:{key}", f"&lt;{name}:{key}").replace(f"</{name}:{key}", f"&lt;/{name}:{key}")
    return text


def _is_object(text: str) -> bool:
    try:
        return isinstance(arguments.decode(text), dict)
    except ValueError:
        return False


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
