"""Responses that are kept: what of them, how a conversation is put together again, and the list of input items.

A *turn* is one answer with the input that it answered, without what came before. It knows the earlier turns of its
conversation by name, so that a conversation of any length is read in two goes: its last turn, then all the others.
Instructions and tools belong to one request and are not carried over, as in OpenAI's own API. Reasoning is: an answer
is kept with the encrypted reasoning that the upstream sent, which is what an upstream needs to go on thinking.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from lib.canonical.request import CanonicalRequest, Item
from lib.dialects.fields import one_of, shown, string, wrong_value
from lib.dialects.responses_request import parse
from lib.dialects.responses_response import ResponsesRenderer
from lib.errors import InvalidRequest
from lib.keeping import MAX_STORED_BYTES
from lib.values import replace

PREVIOUS = "previous_response_id"

MAX_TURNS = 100
MAX_CONVERSATION_BYTES = 32 * 1024 * 1024
"""Of JSON, for all turns of a conversation together."""
MAX_PIECES = 16

_COMPRESSION = 1
"""The fastest: it is done between two events of other requests."""
_DEFAULT_LIMIT, _MAX_LIMIT = 20, 100
_ORDER = one_of("asc", "desc")
_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}


class Link(msgspec.Struct, frozen=True, array_like=True):
    """Where a turn is, for the turns after it."""

    id: str
    """Of the response."""
    pieces: int
    size: int
    """Bytes of JSON."""


class Turn(msgspec.Struct, frozen=True):
    """One kept response."""

    response: dict[str, Any]
    """As the client got it."""
    input: list[Item]
    """What this request added to the conversation, in canonical form."""
    affinity: str
    """The conversation key: later turns go to the account that can read the reasoning of this one."""
    earlier: list[Link] = []
    """The turns before it, the oldest first."""


def pack(turn: Turn) -> tuple[Link, list[bytes]] | None:
    """The turn as values for a store, each of at most `MAX_STORED_BYTES`; None when it is too large. The first byte of
    the first piece says how many there are."""
    data = msgspec.json.encode(turn)
    if len(data) > MAX_CONVERSATION_BYTES:
        return None
    packed = zlib.compress(data, _COMPRESSION)
    count = -(-(len(packed) + 1) // MAX_STORED_BYTES)
    if count > MAX_PIECES:
        return None
    packed = bytes([count]) + packed
    pieces = [packed[start : start + MAX_STORED_BYTES] for start in range(0, len(packed), MAX_STORED_BYTES)]
    return Link(turn.response["id"], count, len(data)), pieces


def pieces_of(head: bytes) -> int:
    """How many pieces a turn has, of which this is the first."""
    return head[0] if head else 0


def unpack(pieces: Sequence[bytes]) -> tuple[Turn, int] | None:
    """The turn out of all its pieces, and how many bytes of JSON it is; None when it cannot be read."""
    try:
        data = zlib.decompress(b"".join(pieces)[1:])
        return msgspec.json.decode(data, type=Turn), len(data)
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError):
        return None


def check_length(links: Sequence[Link]) -> None:
    """Raises InvalidRequest for a conversation that is too long to be continued."""
    size = sum(link.size for link in links)
    if len(links) <= MAX_TURNS and size <= MAX_CONVERSATION_BYTES:
        return
    raise InvalidRequest(
        f"The conversation of '{PREVIOUS}' has {len(links)} turns and {size} bytes; at most {MAX_TURNS} turns and "
        f"{MAX_CONVERSATION_BYTES} bytes can be continued. Begin a new one, with a summary in 'input'.",
        param=PREVIOUS,
        code="context_length_exceeded",
    )


class StoredDialect:
    """The Responses dialect for one request: `parse` puts what was said before in front of the input, and the answer
    can be kept.

    links, turns: the conversation so far, the oldest turn first. keeps: whether the answer is to be kept; `store` is
    served here then, and not by the upstream.
    """

    name = "responses"

    def __init__(self, links: Sequence[Link] = (), turns: Sequence[Turn] = (), *, keeps: bool) -> None:
        self._links = links
        self._turns = turns
        self._keeps = keeps
        self._input: list[Item] = []
        self._affinity = ""
        self._renderer: ResponsesRenderer | None = None

    def parse(self, body: Mapping[str, Any]) -> CanonicalRequest:
        """Raises InvalidRequest."""
        past = list(_said(self._turns))
        request = parse({name: value for name, value in body.items() if name != PREVIOUS}, past)
        self._input = request.input[len(past) :]
        self._affinity = request.affinity
        if self._turns and not (request.prompt_cache_key or body.get("user")):
            self._affinity = self._turns[-1].affinity
        if self._keeps:
            request.parameters.pop("store", None)
            request.asked.pop("store", None)
        return replace(request, body=body, affinity=self._affinity)

    def renderer(self, request: CanonicalRequest, *, response_id: str, now: float) -> ResponsesRenderer:
        """For the one answer."""
        self._renderer = ResponsesRenderer(request, response_id=response_id, now=now, kept=self._keeps)
        return self._renderer

    @property
    def answer(self) -> dict[str, Any] | None:
        """The Response as it was rendered, once it is complete and if it is to be kept."""
        return self._renderer.answer if self._keeps and self._renderer is not None else None

    def turn(self, answer: dict[str, Any]) -> Turn:
        """What to keep of this answer."""
        return Turn(answer, self._input, self._affinity, list(self._links))


def _said(turns: Sequence[Turn]) -> Iterator[Item]:
    for turn in turns:
        yield from turn.input
        for item in turn.response["output"]:
            if isinstance(item, dict) and isinstance(item.get("type"), str):
                yield item


def input_items(turn: Turn, query: Mapping[str, str]) -> dict[str, Any]:
    """One page of the items that a request had, as the query wants it: `order` (newest first unless it is "asc"),
    `limit` and `after`, the id of an item. Raises InvalidRequest."""
    limit = _limit(query.get("limit"))
    items = list(_identified(turn))
    if _ORDER(query.get("order", "desc"), "order") == "desc":
        items.reverse()
    start = 0
    after = query.get("after")
    if after is not None:
        start = next((place for place, item in enumerate(items, 1) if item["id"] == after), 0)
        if start == 0:
            raise InvalidRequest(f"No input item has the id {shown(after)}.", param="after", code="invalid_value")
    page = items[start : start + limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + limit < len(items),
    }


def _limit(given: str | None) -> int:
    if given is None:
        return _DEFAULT_LIMIT
    if not (given.isascii() and given.isdigit() and len(given) <= 3 and 1 <= int(given) <= _MAX_LIMIT):
        raise wrong_value("limit", f"an integer between 1 and {_MAX_LIMIT}", string(given, "limit"))
    return int(given)


def _identified(turn: Turn) -> Iterator[Item]:
    """The items as the API lists them: each has an id of its own, and a status. Ids that are made here depend on the
    place alone, and are never sent to an upstream."""
    suffix = turn.response["id"].removeprefix("resp_")
    taken: set[str] = set()
    for index, item in enumerate(turn.input):
        name = item.get("id")
        if not isinstance(name, str) or name in taken:
            name = f"{_PREFIXES.get(item['type'], 'item')}_{suffix}_in_{index}"
        taken.add(name)
        yield {"status": "completed", **item, "id": name}
