"""Function calling for an upstream without it: tools become instructions, text becomes calls."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

from lib.canonical.build import Builder
from lib.canonical.events import COMPLETED, Event
from lib.canonical.request import CanonicalRequest, Item
from lib.prompted.attempts import UNKNOWN_SHAPE, malformed
from lib.prompted.encode import encode_request
from lib.prompted.parse import Parser
from lib.prompted.pieces import CALL, REASONING, TEXT, Piece
from lib.prompted.policy import EnforcedUpstream
from lib.prompted.tokens import Logprob, Tokens, logprobs_of
from lib.prompted.tools import Toolset, callable_tools
from lib.prompted.trigger import derive_key
from lib.types import Answer, Lease, Model, Upstream, Window

_TOOL_FIELDS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
_ITEMS_OF_TOOLS = frozenset(
    {"function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"},
)


class PromptedUpstream:
    """`lib.types.Upstream` with function and custom tools over one that has none.

    secret: what the markers are derived from; the same on every instance, or a conversation that moves to another one
    meets other markers. new_id: a fresh random suffix for each answer, out of `[A-Za-z0-9_-]`, at most 30 characters.
    Raises ValueError for an empty secret.
    """

    def __init__(
        self, upstream: Upstream, secret: bytes, *, new_id: Callable[[], str] = lambda: secrets.token_hex(12)
    ) -> None:
        derive_key(secret, (), "")  # says at once that there is none
        self._enforced = EnforcedUpstream(_Translated(upstream, secret, new_id))
        self.name = self._enforced.name
        self.accepts = self._enforced.accepts

    async def open(self, request: CanonicalRequest, lease: Lease, *, timeout_s: float) -> Answer:
        """Also raises InvalidRequest for tools that no prompt can stand for."""
        return await self._enforced.open(request, lease, timeout_s=timeout_s)

    async def models(self, lease: Lease) -> list[Model]:
        return await self._enforced.models(lease)


class _Translated:
    """`lib.types.Upstream`: the translation alone, both ways."""

    def __init__(self, upstream: Upstream, secret: bytes, new_id: Callable[[], str]) -> None:
        self._upstream = upstream
        self._secret = secret
        self._new_id = new_id
        self.name = upstream.name
        self.accepts = upstream.accepts | _TOOL_FIELDS

    async def open(self, request: CanonicalRequest, lease: Lease, *, timeout_s: float) -> Answer:
        if not request.tools and not any(item.get("type") in _ITEMS_OF_TOOLS for item in request.input):
            return await self._upstream.open(request, lease, timeout_s=timeout_s)
        tools = callable_tools(request)
        names = (str(tool.get("name")) for tool in request.tools)
        key = derive_key(self._secret, names, request.prompt_cache_key or request.affinity)
        answer = await self._upstream.open(encode_request(request, tools, key), lease, timeout_s=timeout_s)
        return _TranslatedAnswer(answer, request, tools, key, self._new_id()) if tools else answer

    async def models(self, lease: Lease) -> list[Model]:
        return await self._upstream.models(lease)


class _TranslatedAnswer:
    """`lib.types.Answer` with the calls of the inner answer's text."""

    def __init__(self, answer: Answer, request: CanonicalRequest, tools: Toolset, key: str, answer_id: str) -> None:
        self._answer = answer
        self._translation = Translation(request, tools, key, answer_id)

    @property
    def windows(self) -> Sequence[Window]:
        return self._answer.windows

    def __aiter__(self) -> AsyncIterator[list[Event]]:
        return self._batches()

    async def aclose(self) -> None:
        await self._answer.aclose()

    async def _batches(self) -> AsyncGenerator[list[Event], None]:
        async for batch in self._answer:
            try:
                events = [event for inner in batch for event in self._translation.take(inner)]
            except UNKNOWN_SHAPE as error:
                raise malformed() from error
            yield events


class Translation:
    """Events of an answer in text → events with calls; no IO. Each call comes in one piece: name, then arguments."""

    def __init__(self, request: CanonicalRequest, tools: Toolset, key: str, answer_id: str) -> None:
        self._request = request
        self._id = answer_id
        self._parser = Parser(tools, key)
        self._builder: Builder | None = None
        self._blank = ""
        """Blank space that the reply begins with; it goes out only with a text behind it."""
        self._tokens = Tokens()
        self._blank_tokens: list[Logprob] = []
        self._calls = 0
        self._heard: set[Any] = set()
        """Output indices of the messages whose text was read."""
        self._spoke = False
        """Whether any text went out."""
        self._refused = False
        """Whether a refusal came in pieces."""

    def take(self, event: Event) -> list[Event]:
        """The events that this one stands for."""
        kind = event.type
        if self._builder is None:
            self._builder = self._begin(event)
            events = self._builder.start()
        else:
            events = []
        if kind == "response.output_text.delta":
            events += self._read(event.fields.get("output_index"), event.fields["delta"], event.fields.get("logprobs"))
        elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            events += self._builder.reasoning(event.fields["delta"])
        elif kind == "response.reasoning_summary_part.added" and event.fields.get("summary_index"):
            events += self._builder.reasoning("\n\n")
        elif kind == "response.refusal.delta":
            self._refused = True
            events += self._builder.refusal(event.fields["delta"])
        elif kind == "response.output_item.done":
            index, item = event.fields.get("output_index"), event.fields["item"]
            if item.get("type") == "message" and index not in self._heard:
                events += self._read(index, _text_of([item]), logprobs_of(_texts_of([item])))
        elif kind in COMPLETED:
            events += self._finished(event.fields["response"], whole=kind == "response.completed")
        return events

    def _begin(self, event: Event) -> Builder:
        response = event.fields.get("response", {})
        return Builder(
            self._request,
            response_id=self._id,
            created_at=response.get("created_at") or 0,
            model=response.get("model"),
        )

    def _read(self, index: Any, text: str, logprobs: Any) -> list[Event]:
        """More text of the message at this index. A new message stays one, unless a block runs into it."""
        assert self._builder is not None
        self._tokens.add(text, logprobs)
        if not text:
            return []
        is_new = bool(self._heard) and index not in self._heard
        self._heard.add(index)
        closed = self._builder.close() if is_new and not self._parser.held else []
        return closed + self._said(self._parser.feed(text))

    def _said(self, pieces: list[Piece]) -> list[Event]:
        assert self._builder is not None
        events: list[Event] = []
        for piece in pieces:
            tokens = self._tokens.taken(piece.at, piece.text)
            if piece.kind == TEXT:
                text, tokens = self._blank + piece.text, self._blank_tokens + tokens
                self._blank, self._blank_tokens = "", []
                if not self._spoke and text.isspace():
                    self._blank, self._blank_tokens = text, tokens
                else:
                    self._spoke = True
                    events += self._builder.text(text, tokens)
            elif piece.kind == REASONING:
                events += self._builder.reasoning(piece.text)
            elif piece.kind == CALL:
                events += self._called(piece)
        return events

    def _called(self, piece: Piece) -> list[Event]:
        assert self._builder is not None and piece.call is not None
        number, call = self._calls, piece.call
        self._calls += 1
        self._blank, self._blank_tokens = "", []
        return [
            *self._builder.call(number, call.name, call_id=f"call_{self._id}{number}", custom=call.custom),
            *self._builder.arguments(number, call.arguments),
            *self._builder.close(),
        ]

    def _finished(self, response: Mapping[str, Any], *, whole: bool) -> list[Event]:
        assert self._builder is not None
        output = response.get("output") or ()
        events = [] if self._heard else self._read(None, _text_of(output), logprobs_of(_texts_of(output)))
        events += self._said(self._parser.finish())
        if self._blank:
            events += self._builder.text(self._blank, self._blank_tokens)
        refusal = "" if self._refused else _text_of(output, "refusal", "refusal")
        if refusal:
            events += self._builder.refusal(refusal)
        reason = None
        if not whole:
            reason = (response.get("incomplete_details") or {}).get("reason") or "max_output_tokens"
        usage, completed_at = response.get("usage"), response.get("completed_at")
        return events + self._builder.finish(usage, reason=reason, completed_at=completed_at)


def _text_of(output: Iterable[Item], part_type: str = "output_text", member: str = "text") -> str:
    """The text of all messages among these items."""
    return "".join(part[member] for part in _texts_of(output, part_type))


def _texts_of(output: Iterable[Item], part_type: str = "output_text") -> list[dict[str, Any]]:
    messages = [item for item in output if item.get("type") == "message"]
    parts = [part for item in messages for part in item.get("content") or ()]
    return [part for part in parts if part.get("type") == part_type]
