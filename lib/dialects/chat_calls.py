"""The tool calls of a Chat Completions stream: announced by name, continued in pieces, each byte sent once.

Parallel calls may arrive interleaved, so their deltas are told apart by `output_index`, or by `item_id` where an
upstream leaves the index out. `index` counts calls only.
"""

from __future__ import annotations

from typing import Any

from lib.dialects.chat_body import call_id
from lib.dialects.chat_chunks import Chunks
from lib.dialects.output_items import OutputItem


class _Call:
    """A call that was announced to the client."""

    __slots__ = ("index", "is_custom", "pieces")

    def __init__(self, index: int, *, is_custom: bool) -> None:
        self.index = index
        self.is_custom = is_custom
        self.pieces: list[str] = []


class Calls:
    """All calls of one answer. `legacy`: in the shape of `function_call`, which has room for the first one only."""

    def __init__(self, chunks: Chunks, *, response_id: str, legacy: bool) -> None:
        self._chunks = chunks
        self._response_id = response_id
        self._legacy = legacy
        self._calls: dict[int, _Call] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def __contains__(self, output_index: int) -> bool:
        """Whether the client knows of this call."""
        return output_index in self._calls

    def announce(self, output_index: int, item: OutputItem) -> bytes:
        """The first chunk of a call, with its id and name; nothing for one that is known."""
        return b"" if output_index in self._calls else self._announce(output_index, item, "")

    def advance(self, output_index: int, delta: str, whole: str | None) -> bytes:
        """One more piece, or what is missing of the `whole`. A call that was never announced has no name to go by:
        its finished item will bring everything."""
        call = self._calls.get(output_index)
        if call is None:
            return b""
        return self._continue(call, delta) if whole is None else self._complete(call, whole)

    def finish(self, output_index: int, item: OutputItem) -> bytes:
        """What of a finished call was not sent yet, which may be all of it."""
        call = self._calls.get(output_index)
        return self._announce(output_index, item, item.payload) if call is None else self._complete(call, item.payload)

    def _announce(self, output_index: int, item: OutputItem, payload: str) -> bytes:
        index, is_custom = len(self._calls), item.type == "custom_tool_call"
        call = self._calls[output_index] = _Call(index, is_custom=is_custom)
        call.pieces.append(payload)
        name = item.name or ""
        if self._legacy:
            return self._function_call(call, {"name": name, "arguments": payload})
        kind, member = ("custom", "input") if is_custom else ("function", "arguments")
        id = call_id(item, self._response_id, index)
        said = {"index": index, "id": id, "type": kind, kind: {"name": name, member: payload}}
        return self._chunks.chunk({"tool_calls": [said]})

    def _continue(self, call: _Call, piece: str) -> bytes:
        if not piece:
            return b""
        call.pieces.append(piece)
        if self._legacy:
            return self._function_call(call, {"arguments": piece})
        said = {"custom": {"input": piece}} if call.is_custom else {"function": {"arguments": piece}}
        return self._chunks.chunk({"tool_calls": [{"index": call.index, **said}]})

    def _function_call(self, call: _Call, said: dict[str, Any]) -> bytes:
        return self._chunks.chunk({"function_call": said}) if call.index == 0 else b""

    def _complete(self, call: _Call, whole: str) -> bytes:
        sent = "".join(call.pieces)
        return self._continue(call, whole[len(sent) :]) if whole.startswith(sent) else b""
