"""The calls that a block holds. Nothing is completed or made up: what does not say everything is no call."""

from __future__ import annotations

from typing import Any

import msgspec

from lib.prompted import arguments
from lib.prompted.pieces import Call
from lib.prompted.schema import Schema
from lib.prompted.tools import CallableTool, Toolset


class _Said(msgspec.Struct):
    """A call as a model writes it; members of other names say nothing."""

    name: str
    arguments: msgspec.Raw = msgspec.Raw()


class _Exact(_Said, forbid_unknown_fields=True):
    """A call of exactly these members."""

    arguments: msgspec.Raw


class _Listed(msgspec.Struct, forbid_unknown_fields=True):
    """An entry of `tool_calls`: flat, or as Chat Completions nests it."""

    name: str | None = None
    arguments: msgspec.Raw = msgspec.Raw()
    function: _Said | None = None
    id: Any = None
    type: Any = None
    index: Any = None


class _List(msgspec.Struct, forbid_unknown_fields=True):
    tool_calls: list[_Listed]


_SAID = msgspec.json.Decoder(_Said)
_EXACT = msgspec.json.Decoder(_Exact)
_LIST = msgspec.json.Decoder(_List)


def read_object(text: str, tools: Toolset, *, own: bool) -> Call | None:
    """`{"name", "arguments"}`. own: in the gateway's own block, where other members do no harm and arguments that do
    not validate are the model's mistake, for the tool to tell it; elsewhere they say that this is no call."""
    said = _decode(text, _SAID if own else _EXACT)
    return None if said is None else _call(said.name, said.arguments, tools, own=own)


def read_list(text: str, tools: Toolset) -> list[Call] | None:
    """`{"tool_calls": […]}` with at least one entry, each of them a call."""
    listed = _decode(text, _LIST)
    if listed is None or not listed.tool_calls:
        return None
    found = []
    for entry in listed.tool_calls:
        said = entry.function or entry
        call = _call(said.name, said.arguments, tools, own=False)
        if call is None:
            return None
        found.append(call)
    return found


def read_values(name: str, values: list[tuple[str, str]], tools: Toolset, *, trimmed: bool) -> Call | None:
    """A call whose arguments came as texts, name by name."""
    tool = tools.get(name)
    if tool is None:
        return None
    return _finished(tool, arguments.from_values(values, Schema(tool.schema), trimmed=trimmed))


def _decode(text: str, decoder: msgspec.json.Decoder[Any]) -> Any:
    try:
        return decoder.decode(text.encode())
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        pass
    try:
        return decoder.decode(arguments.with_control_characters_escaped(text).encode())
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


def _call(name: str | None, raw: msgspec.Raw, tools: Toolset, *, own: bool) -> Call | None:
    tool = tools.get(name) if name is not None else None
    if tool is None:
        return None
    text = bytes(raw).decode()
    if text.startswith('"'):  # an object inside of a string, as Chat Completions has it
        text = arguments.with_control_characters_escaped(msgspec.json.decode(text))
    return _finished(tool, arguments.fit(text, Schema(tool.schema), must_validate=tool.strict or not own))


def _finished(tool: CallableTool, text: str | None) -> Call | None:
    if text is None or not tool.custom:
        return None if text is None else Call(tool.name, text)
    return Call(tool.name, msgspec.json.decode(text)["input"], custom=True)
