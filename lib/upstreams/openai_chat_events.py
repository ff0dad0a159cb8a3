"""Chunks of a Chat Completions stream → canonical events; no IO.

Servers differ in what they stream. Taken as well as OpenAI's own form: `reasoning_content` and `reasoning`; content as
a list of parts (Mistral); usage beside the last choice, or in every chunk; calls in one piece, without an index or an
id, with the name in each chunk (`openai_chat_calls`); `finish_reason: "stop"` for calls; an error object in mid-stream;
an end without `[DONE]`. A whole `chat.completion` is a stream of one chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from lib.canonical.build import Builder, usage
from lib.canonical.events import Event
from lib.canonical.request import LOGPROBS, CanonicalRequest
from lib.errors import UpstreamError, Verdict
from lib.sse import Frame
from lib.types import Clock
from lib.upstreams import openai_errors
from lib.upstreams.openai_chat_calls import CallPiece, Calls
from lib.upstreams.openai_chat_logprobs import Logprob, logprobs_of
from lib.upstreams.openai_chat_tools import ChatTools

_INCOMPLETE = {"length": "max_output_tokens", "max_tokens": "max_output_tokens", "content_filter": "content_filter"}
"""`finish_reason` → why the answer is incomplete; all other reasons mean that it is whole."""
_BROKEN = frozenset({"error", "insufficient_system_resource", "abort"})


class _Delta(msgspec.Struct, gc=False):
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[CallPiece] | None = None
    function_call: Any = None
    annotations: list[Any] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None
    index: int | None = None
    logprobs: Any = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    model: str | None = None
    service_tier: str | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


class ChatEvents:
    """The state of one stream. `ended` is True once the terminal event was made; nothing after it counts."""

    def __init__(self, request: CanonicalRequest, tools: ChatTools, *, now: Clock, new_id: Callable[[], str]) -> None:
        self.ended = False
        self.seen_any = False
        self.failure: UpstreamError | None = None
        """What broke the stream behind the events that were handed out; the reader raises it next."""
        self._request = request
        self._wants_logprobs = LOGPROBS in request.include
        self._now = now
        self._id = new_id()
        self._builder: Builder | None = None
        self._calls = Calls(tools, self._id)
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] | None = None
        self._tier: str | None = None
        self._citations: list[dict[str, Any]] = []

    @property
    def may_end(self) -> bool:
        """Whether all that matters has come, so that an end of the body is no loss."""
        return self._finish_reason is not None

    def take(self, frames: list[Frame]) -> list[Event]:
        """The events of these frames. Raises UpstreamError for an error object and for what is no chunk; with events
        in front of it, these are handed out, and `failure` is set."""
        events: list[Event] = []
        try:
            for name, data in frames:
                if data[:6] == b"[DONE]":
                    if self._builder is not None:
                        events += self.end()
                    break
                self._take(name, data, events)
                if self.ended:
                    break
        except UpstreamError as error:
            self.failure = error
        self.seen_any = self.seen_any or bool(events)
        if self.failure is not None and not events:
            raise self.failure
        return events

    def take_last(self, frames: list[Frame]) -> list[Event]:
        """For what the stream ended in without a blank line. A chunk that was cut in two is none."""
        try:
            return self.take(frames)
        except UpstreamError:
            if self.failure is not None and self.failure.code == "upstream_bad_response":
                self.failure = None
                return []
            raise

    def take_whole(self, body: bytes) -> list[Event]:
        """The events of an answer that is one `chat.completion`. Raises UpstreamError for anything else."""
        events = self.take([(b"", body)])
        if self.failure is not None:
            raise self.failure
        return events if self.ended else [*events, *self.end()]

    def end(self) -> list[Event]:
        """The end of a stream whose last word has come, with or without `[DONE]`."""
        assert self._builder is not None
        self.ended = True
        events = self._calls.finish(self._builder)
        reason = _INCOMPLETE.get(self._finish_reason or "")
        counted = None if self._usage is None else usage_of(self._usage)
        *ending, terminal = self._builder.finish(counted, reason=reason, completed_at=self._now())
        self._cite(ending)
        if self._tier is not None:
            response = {**terminal.fields["response"], "service_tier": self._tier}
            terminal = Event.of({**terminal.fields, "response": response})
        return [*events, *ending, terminal]

    def _take(self, name: bytes, data: bytes, events: list[Event]) -> None:
        chunk = _chunk(data)
        if chunk is None:
            return
        if chunk.error or name == b"error":
            raise self._failed(chunk.error, data)
        builder = self._builder or self._begin(chunk, events)
        if chunk.usage:
            self._usage = chunk.usage
        if chunk.service_tier:
            self._tier = chunk.service_tier
        for choice in chunk.choices or ():
            if not choice.index:  # one choice was asked for
                self._choose(choice, builder, events)
        if chunk.usage and self._finish_reason is not None:
            events += self.end()  # there is nothing left to wait for

    def _begin(self, chunk: _Chunk, events: list[Event]) -> Builder:
        if chunk.choices is None:
            raise _bad("an event that is no chat completion chunk")
        model = self._request.model or chunk.model
        self._builder = Builder(self._request, response_id=self._id, created_at=self._now(), model=model)
        events += self._builder.start()
        return self._builder

    def _choose(self, choice: _Choice, builder: Builder, events: list[Event]) -> None:
        said = choice.delta or choice.message
        if said is not None:
            logprobs = logprobs_of(choice.logprobs) if self._wants_logprobs else ()
            self._say(said, logprobs, builder, events)
        if choice.finish_reason in _BROKEN:
            raise _broken(choice.finish_reason)
        if choice.finish_reason:
            self._finish_reason = choice.finish_reason

    def _say(self, said: _Delta, logprobs: Sequence[Logprob], builder: Builder, events: list[Event]) -> None:
        content = said.content
        thought = said.reasoning_content or said.reasoning
        if type(content) is str and (content or (logprobs and not thought and _is_text(said, builder))):
            events += builder.text(content, logprobs)
        if thought:
            self._add(builder.reasoning(thought), events)
        if type(content) is list:
            self._say_parts(content, builder, events)
        if said.refusal:
            self._add(builder.refusal(said.refusal), events)
        if said.annotations:
            self._citations += [cited for each in said.annotations if (cited := _citation(each)) is not None]
        for piece in said.tool_calls or ():
            self._add(self._calls.take(piece, builder), events)
        if isinstance(said.function_call, dict):
            self._add(self._calls.take_legacy(said.function_call, builder), events)

    def _say_parts(self, parts: list[Any], builder: Builder, events: list[Event]) -> None:
        for part in parts:
            if not isinstance(part, dict):
                continue
            if isinstance(part.get("text"), str):
                self._add(builder.text(part["text"]), events)
            elif part.get("type") == "thinking":
                inner = part.get("thinking")
                texts = [inner] if isinstance(inner, str) else [each.get("text") for each in inner or ()]
                thought = "".join(text for text in texts if isinstance(text, str))
                if thought:
                    self._add(builder.reasoning(thought), events)

    def _add(self, made: list[Event], events: list[Event]) -> None:
        if self._citations:
            self._cite(made)
        events += made

    def _cite(self, events: list[Event]) -> None:
        """Puts what was cited into the text that ends here. The part is the same object in every event that has it,
        and none of them has been encoded."""
        for event in events:
            if event.type == "response.content_part.done" and event.fields["part"]["type"] == "output_text":
                event.fields["part"]["annotations"] += self._citations
                self._citations = []

    def _failed(self, error: Any, data: bytes) -> UpstreamError:
        found = openai_errors.error_of({"error": error} if error else msgspec.json.decode(data))
        return openai_errors.from_object(found or {}, self._now())


def _is_text(said: _Delta, builder: Builder) -> bool:
    """Whether the token behind an empty content is of the text, less than a character of it, and not of a call."""
    return not (said.tool_calls or said.function_call or said.refusal or builder.called)


def _chunk(data: bytes) -> _Chunk | None:
    """None for an empty event."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if not data.strip():
            return None
        raise _bad("an event that is no chat completion chunk") from error


def usage_of(counted: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical usage of a chat's; DeepSeek counts what came from its cache in a member of its own."""
    asked, answered = counted.get("prompt_tokens_details"), counted.get("completion_tokens_details")
    cached = _count(asked, "cached_tokens") or _count(counted, "prompt_cache_hit_tokens")
    return usage(
        _count(counted, "prompt_tokens"),
        _count(counted, "completion_tokens"),
        reasoning_tokens=_count(answered, "reasoning_tokens"),
        cached_tokens=cached,
    )


def _count(holder: Any, name: str) -> int:
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, int) and value > 0 else 0


def _citation(annotation: Any) -> dict[str, Any] | None:
    """A URL citation in canonical form: beside the type here, one level deeper in a chat."""
    if not isinstance(annotation, dict) or annotation.get("type") != "url_citation":
        return None
    cited = annotation.get("url_citation", annotation)
    if not isinstance(cited, dict) or not isinstance(cited.get("url"), str):
        return None
    return {
        "type": "url_citation",
        "url": cited["url"],
        "title": str(cited.get("title") or ""),
        "start_index": _count(cited, "start_index"),
        "end_index": _count(cited, "end_index"),
    }


def _broken(reason: str | None) -> UpstreamError:
    return UpstreamError(
        f"The upstream broke the answer off ({reason}).", verdict=Verdict.SERVICE, code="upstream_error"
    )


def _bad(what: str) -> UpstreamError:
    return UpstreamError(
        f"The upstream sent {what}.", verdict=Verdict.SERVICE, code="upstream_bad_response", should_retry=True
    )
