"""Frames of the Codex backend's stream → canonical events; no IO.

Dropped: `codex.*`, `keepalive`, `response.metadata` and whatever is not of the public protocol. Repaired: shortened
tool names, and a terminal response whose `output` is missing. A failure inside the stream is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from lib.canonical.events import COMPLETED, CONTENT, PREAMBLE, Collector, Event
from lib.errors import UpstreamError, Verdict
from lib.sse import Frame
from lib.types import Clock, Window
from lib.upstreams import codex_errors, codex_limits
from lib.upstreams.tool_names import Names

_DROPPED = frozenset({"response.metadata"})
_OLD_SPELLINGS = {"response.text.delta": "response.output_text.delta", "response.done": "response.completed"}
_USUAL = {
    kind.encode(): (kind, b'{"type":"%b"' % kind.encode(), kind in CONTENT)
    for kind in (*PREAMBLE, *CONTENT, "response.content_part.added", "response.content_part.done")
}
"""Nearly all events of an answer, which pass as they are: name → type, how the JSON of a well-named one begins, and
whether the output may need it."""

Failure = Callable[[Mapping[str, Any], Sequence[Window], float], UpstreamError]
"""(members of a failure event, usage windows seen so far, epoch seconds) → what it means."""


class CodexEvents:
    """The state of one stream. `ended` is True once a terminal event was taken; nothing after it counts.

    failure: what a failure event means.
    """

    may_end = False
    """Only a terminal event ends a Response."""

    def __init__(
        self,
        names: Names,
        *,
        now: Clock,
        add_windows: Callable[[list[Window]], None],
        failure: Failure = codex_errors.from_event,
    ) -> None:
        self.ended = False
        self.seen_any = False
        self.failure: UpstreamError | None = None
        """What broke the stream behind the events that were handed out; the reader raises it next."""
        self._names = names
        self._now = now
        self._add_windows = add_windows
        self._failure = failure
        self._windows: list[Window] = []
        self._collector = Collector()

    def take(self, frames: list[Frame]) -> list[Event]:
        """The events of these frames. Raises UpstreamError for a failure event and for what is no event; with events in
        front of it, these are handed out, and `failure` is set."""
        events: list[Event] = []
        keep = self._collector.keep
        try:
            for name, data in frames:
                usual = _USUAL.get(name)
                if usual is not None and data.startswith(usual[1]):
                    if usual[2]:
                        keep(data)
                    events.append(Event(usual[0], data))
                elif (canonical := self._canonical(name, data)) is not None:
                    events.append(canonical)
                    if canonical.type in COMPLETED:
                        self.ended = True
                        break
        except UpstreamError as error:
            self.failure = error
        except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
            # Whatever shape the upstream makes up, it is not the gateway that failed.
            self.failure = _bad("an event of an unknown shape")
            self.failure.__cause__ = error
        if events:
            self.seen_any = True
        elif self.failure is not None:
            raise self.failure
        return events

    def take_last(self, frames: list[Frame]) -> list[Event]:
        """For what the stream ended in without a blank line: an event cut in two is no event."""
        return self.take([frame for frame in frames if _is_whole(frame)])

    def end(self) -> list[Event]:
        """Nothing but a terminal event ends this stream."""
        raise AssertionError("`may_end` is False")

    def _canonical(self, name: bytes, data: bytes) -> Event | None:
        event = _event(name, data)
        if event is None:
            return None
        kind = event.type
        if kind.endswith((".delta", ".done", ".added")) and kind.startswith("response."):
            if kind in ("response.output_item.added", "response.output_item.done"):
                event = self._restored(event)
            self._collector.feed(event)
            return event
        if kind in ("error", "response.failed"):
            raise self._failure(event.fields, self._windows, self._now())
        if kind in COMPLETED:
            return self._complete(event)
        if kind == "codex.rate_limits":
            self._windows = codex_limits.from_event(event.fields, self._now())
            self._add_windows(self._windows)
            return None
        return event if kind.startswith("response.") and kind not in _DROPPED else None

    def _restored(self, event: Event) -> Event:
        item = event.fields.get("item")
        if not isinstance(item, dict):
            raise _bad("an item event without an item")
        if not self._names or "name" not in item:
            return event
        return Event.of({**event.fields, "item": self._with_name(item)})

    def _with_name(self, item: dict[str, Any]) -> dict[str, Any]:
        return {**item, "name": self._names.restore(item["name"])} if isinstance(item.get("name"), str) else item

    def _complete(self, event: Event) -> Event:
        response = event.fields.get("response")
        if not isinstance(response, dict):
            raise _bad("a terminal event without a response")
        if self._names and isinstance(response.get("output"), list):
            restored = [self._with_name(item) if isinstance(item, dict) else item for item in response["output"]]
            response = {**response, "output": restored}
        output = self._collector.output(response)
        status = event.type.removeprefix("response.")
        return Event.of(
            {**event.fields, "type": event.type, "response": {"status": status, **response, "output": output}}
        )


def _event(name: bytes, data: bytes) -> Event | None:
    """None for `[DONE]`, which says nothing here."""
    if name and data.startswith(b'{"type":"%b"' % name):
        kind = name.decode("utf-8", "replace")
        return Event(kind, data) if kind not in _OLD_SPELLINGS else _renamed(kind, data)
    if data.strip() in (b"", b"[DONE]"):
        return None
    fields = _decode(data)
    kind = fields.get("type", name.decode("utf-8", "replace"))
    if not isinstance(kind, str) or not kind:
        raise _bad("an event without a type")
    if kind in _OLD_SPELLINGS or "type" not in fields:
        return Event.of({**fields, "type": _OLD_SPELLINGS.get(kind, kind)})
    return Event(kind, data, fields)


def _is_whole(frame: Frame) -> bool:
    try:
        msgspec.json.decode(frame[1])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _renamed(kind: str, data: bytes) -> Event:
    return Event.of({**_decode(data), "type": _OLD_SPELLINGS[kind]})


def _decode(data: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad("an event that is not JSON") from error
    if not isinstance(fields, dict):
        raise _bad("an event that is not a JSON object")
    return fields


def _bad(what: str) -> UpstreamError:
    return UpstreamError(
        f"The upstream sent {what}.", verdict=Verdict.SERVICE, code="upstream_bad_response", should_retry=True
    )
