"""Tool calls out of the pieces of a chat stream: which call a piece belongs to, and what it adds.

By the API's rules a piece names its call by `index`, and the first one bears id and name. Some servers leave the index
out, or give all calls the same one; some repeat the name in each piece; some send no id, or arguments as an object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lib.canonical.build import Builder
from lib.canonical.events import Event
from lib.upstreams.openai_chat_tools import ChatTools, free_text_of


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: Any = None


class CallPiece(msgspec.Struct, gc=False):
    """One element of `delta.tool_calls`."""

    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Call:
    __slots__ = ("custom", "id", "name", "pieces")

    def __init__(self, id: str) -> None:
        self.id = id
        self.name = ""
        self.custom = False
        self.pieces: list[str] = []

    def is_whole(self) -> bool:
        """Whether the arguments so far are JSON that nothing could be added to."""
        try:
            return isinstance(msgspec.json.decode("".join(self.pieces)), dict)
        except (msgspec.DecodeError, RecursionError):
            return False


class Calls:
    """The calls of one answer. answer_id: what ids are made of for calls that have none."""

    def __init__(self, tools: ChatTools, answer_id: str) -> None:
        self._tools = tools
        self._answer_id = answer_id
        self._calls: list[_Call] = []
        """In the order in which they began; the position is the builder's key."""
        self._by_index: dict[int, int] = {}

    def take(self, piece: CallPiece, builder: Builder) -> list[Event]:
        """What this piece adds."""
        function = piece.function or _Function()
        key = self._key(piece, function.name or "")
        return self._advance(key, function.name or "", _text(function.arguments), builder)

    def take_legacy(self, call: Mapping[str, Any], builder: Builder) -> list[Event]:
        """What a `function_call` adds, of which an answer has one at most."""
        name = call.get("name")
        key = self._new(None) if not self._calls else 0
        return self._advance(key, name if isinstance(name, str) else "", _text(call.get("arguments")), builder)

    def finish(self, builder: Builder) -> list[Event]:
        """What could only be said at the end: the text of custom tools, arguments that never came."""
        events: list[Event] = []
        for key, call in enumerate(self._calls):
            if not call.name:
                continue
            if call.custom:
                events += builder.arguments(key, free_text_of("".join(call.pieces)))
            elif not call.pieces:
                events += builder.arguments(key, "{}")
        return events

    def _key(self, piece: CallPiece, name: str) -> int:
        if piece.index is not None:
            known = self._by_index.get(piece.index)
            if known is None or self._is_another(self._calls[known], piece.id, name):
                known = self._by_index[piece.index] = self._new(piece.id)
            return known
        if piece.id:
            known = next((key for key, call in enumerate(self._calls) if call.id == piece.id), None)
            return self._new(piece.id) if known is None else known
        if not self._calls or (name and self._calls[-1].is_whole()):
            return self._new(None)
        return len(self._calls) - 1

    @staticmethod
    def _is_another(call: _Call, id: str | None, name: str) -> bool:
        """Whether a piece with the index of this call begins another one: only servers that count wrongly do so."""
        return bool(id and name and id != call.id and call.is_whole())

    def _new(self, id: str | None) -> int:
        key = len(self._calls)
        self._calls.append(_Call(id or f"call_{self._answer_id}{key}"))
        return key

    def _advance(self, key: int, name: str, arguments: str, builder: Builder) -> list[Event]:
        call = self._calls[key]
        events: list[Event] = []
        if name and not call.name:
            call.name = self._tools.names.restore(name)
            call.custom = call.name in self._tools.custom
            events += builder.call(key, call.name, call_id=call.id, custom=call.custom)
            if call.pieces and not call.custom:  # they came before the name
                events += builder.arguments(key, "".join(call.pieces))
        if arguments:
            call.pieces.append(arguments)
            if call.name and not call.custom:
                events += builder.arguments(key, arguments)
        return events


def _text(arguments: Any) -> str:
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
