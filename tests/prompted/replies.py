"""Replies to parse, and what every result must keep to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lib.prompted.encode import encode_call
from lib.prompted.parse import Parser
from lib.prompted.pieces import Call, Piece
from lib.prompted.tools import CallableTool, Toolset
from tools.prove_tools import coalesced

KEY = "k7m2p9xq4a3b"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"x": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["x"],
}
TOOLS: Toolset = {
    "f": CallableTool("f", schema=SCHEMA),
    "strict": CallableTool("strict", schema={**SCHEMA, "additionalProperties": False}, strict=True),
    "bare": CallableTool("bare"),
    "free": CallableTool("free", schema={"properties": {"input": {"type": "string"}}}, custom=True, strict=True),
}
CALL = Call("f", '{"x":"q","n":1}')
BLOCK = encode_call(CALL, KEY)


def own(body: str) -> str:
    """A block of the gateway's own form."""
    return f"<tool_call:{KEY}>\n{body}\n</tool_call:{KEY}>"


def parsed(chunks: Iterable[str], tools: Toolset = TOOLS) -> list[Piece]:
    parser = Parser(tools, KEY)
    pieces = [piece for chunk in chunks for piece in parser.feed(chunk)]
    return coalesced(pieces + parser.finish())


def joined(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in sorted(pieces, key=lambda piece: piece.at))


def read(text: str, tools: Toolset = TOOLS) -> list[Piece]:
    """The pieces of a reply; the same at each single cut and character by character, with nothing lost."""
    whole = parsed([text], tools)
    assert joined(whole) == text
    assert parsed(text, tools) == whole
    for index in range(1, len(text)):
        assert parsed([text[:index], text[index:]], tools) == whole, index
    return whole


def calls(text: str, tools: Toolset = TOOLS) -> list[Call]:
    return [piece.call for piece in read(text, tools) if piece.call is not None]


def arguments_of(body: str) -> str | None:
    """The arguments of the only call in a block with this body; None if it is none."""
    found = calls(own(body))
    return found[0].arguments if found else None


def shown(text: str, kind: str = "text") -> str:
    return "".join(piece.text for piece in read(text) if piece.kind == kind)
