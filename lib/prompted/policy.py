"""`tool_choice` and `parallel_tool_calls`, enforced on what comes back, over any upstream.

- `parallel_tool_calls: false` keeps the first call and drops the others.
- `none`, a named tool and `allowed_tools` drop calls that they do not allow.
- `required`, a named tool and `allowed_tools` in that mode ask once more when no call came, and then fail with
  `tool_choice_not_met`; so does `none`, when there was nothing but calls.

Where an answer may have to be asked for again, nothing goes out before it is certain that it stands; where nothing is
to be enforced, nothing is looked at.
An answer that the upstream cut short (`response.incomplete`) is handed on as it is, and so is a refusal: it would not
be another one if it were asked for again.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from lib.canonical.events import COMPLETED, Event
from lib.canonical.request import CanonicalRequest, Item
from lib.prompted.attempts import JudgedAnswer, RejectedError, usage_of
from lib.types import Answer, Lease, Model, Upstream

_NAMED = {"function_call": "function", "custom_tool_call": "custom"}
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Rule:
    """What the calls of an answer must keep to."""

    allowed: frozenset[Key] | None = None
    """(type, name) of the tools that may be called; None for any. Hosted tools are the upstream's own affair."""
    required: bool = False
    single: bool = False
    hosted: str = ""
    """The type of the hosted tool that must be called, if it is one."""

    def allows(self, item: Mapping[str, Any]) -> bool:
        """Whether this function or custom call is one of those that may be made."""
        return self.allowed is None or (_NAMED[item["type"]], str(item.get("name"))) in self.allowed

    def is_met_by(self, kind: str) -> bool:
        """Whether an item of this type, which is no function or custom call, is the call that is demanded."""
        if not kind.endswith("_call"):
            return False
        tool = kind.removesuffix("_call")  # `web_search_call` is made by `web_search` or `web_search_preview`
        if self.hosted:
            return self.hosted.startswith(tool)
        return self.allowed is None or any(allowed.startswith(tool) for allowed, _ in self.allowed)


def rule_of(request: CanonicalRequest) -> Rule | None:
    """None when there is nothing to enforce."""
    choice = request.tool_choice
    single = request.parallel_tool_calls is False
    if choice == "required":
        return Rule(required=True, single=single)
    if choice == "none":
        return Rule(allowed=frozenset()) if request.tools else None
    if not isinstance(choice, dict):
        return Rule(single=True) if single and request.tools else None
    if choice.get("type") == "allowed_tools":
        allowed = frozenset(_key(tool) for tool in choice.get("tools", ()) if isinstance(tool, dict))
        return Rule(allowed, choice.get("mode") == "required", single)
    if choice.get("type") in _NAMED.values():
        return Rule(frozenset({_key(choice)}), required=True, single=single)
    return Rule(required=True, single=single, hosted=str(choice.get("type")))


class EnforcedUpstream:
    """`lib.types.Upstream` over another one, with the rules of each request enforced."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self.name = upstream.name
        self.accepts = upstream.accepts

    def open(self, request: CanonicalRequest, lease: Lease, *, timeout_s: float) -> Coroutine[Any, Any, Answer]:
        """Not a coroutine function: without a rule the upstream's own coroutine is handed on."""
        rule = rule_of(request)
        if rule is None:
            return self._upstream.open(request, lease, timeout_s=timeout_s)
        return self._judged(rule, request, lease, timeout_s)

    async def _judged(self, rule: Rule, request: CanonicalRequest, lease: Lease, timeout_s: float) -> Answer:
        answer = await self._upstream.open(request, lease, timeout_s=timeout_s)
        return JudgedAnswer(answer, _PolicyJudge(rule), self._upstream, request, lease, timeout_s)

    async def models(self, lease: Lease) -> list[Model]:
        return await self._upstream.models(lease)


class _PolicyJudge:
    """`attempts.Judge` for a rule."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self.begin()

    def begin(self) -> None:
        self._filter = CallFilter(self._rule)
        self._held: list[Event] = []
        self._stands = False

    def take(self, batch: list[Event]) -> list[Event]:
        events = self._filter.feed(batch)
        if self._stands:
            return events
        self._held += events
        ended = bool(events) and events[-1].type in COMPLETED
        if ended:
            self._judge(events[-1])
        if not ended and not self._certain():
            return []
        self._stands = True
        held, self._held = self._held, []
        return held

    def _certain(self) -> bool:
        if self._rule.required:
            return self._filter.called or self._filter.refused
        return self._rule.allowed is None or self._filter.said

    def _judge(self, terminal: Event) -> None:
        if self._certain() or terminal.type != "response.completed":
            return
        if not self._rule.required and not self._filter.dropped:
            return  # an empty answer, which breaks no rule
        raise RejectedError(_problem(self._rule), "tool_choice_not_met", [_reminder(self._rule)], usage_of(terminal))


class CallFilter:
    """Leaves out the calls that a rule forbids, as if the upstream had never made them; no IO.

    called: whether a call was kept that meets a demand. refused: whether the model declined to answer. said: whether
    anything but reasoning was kept. dropped: how many calls were not kept.
    """

    def __init__(self, rule: Rule) -> None:
        self.called = False
        self.refused = False
        self.said = False
        self._rule = rule
        self._verdicts: dict[str, bool] = {}
        """Call id → whether the call is kept."""
        self._dropped: set[int] = set()
        """Their output indices."""
        self._lost = 0
        """Events that were left out, for the sequence numbers."""

    @property
    def dropped(self) -> int:
        return len(self._verdicts) - sum(self._verdicts.values())

    def feed(self, batch: list[Event]) -> list[Event]:
        """The events that are left, renumbered behind the first gap."""
        kept = []
        for event in batch:
            passed = self._pass(event)
            if passed is not None:
                kept.append(passed)
        return kept

    def _pass(self, event: Event) -> Event | None:
        kind = event.type
        if kind in ("response.output_item.added", "response.output_item.done"):
            self._look_at(event)
        elif kind in COMPLETED:
            event = self._terminal(event)
        elif kind == "response.output_text.delta":
            self.said = True
        elif kind == "response.refusal.delta":
            self.refused = True
        if not self._dropped:
            return event
        index = event.fields.get("output_index")
        if index in self._dropped:
            self._lost += 1
            return None
        return self._renumbered(event, index)

    def _look_at(self, event: Event) -> None:
        item = event.fields.get("item")
        if isinstance(item, dict) and not self._keeps(item):
            self._dropped.add(event.fields.get("output_index", 0))

    def _keeps(self, item: Item) -> bool:
        """Whether this item stays; the same for every mention of it."""
        kind = str(item.get("type"))
        if kind not in _NAMED:
            self.called = self.called or self._rule.is_met_by(kind)
            self.said = self.said or kind != "reasoning"
            self.refused = self.refused or any(part.get("type") == "refusal" for part in item.get("content") or ())
            return True
        name = str(item.get("call_id") or item.get("id"))
        if name not in self._verdicts:
            full = self._rule.single and any(self._verdicts.values())
            self._verdicts[name] = self._rule.allows(item) and not full
        if self._verdicts[name]:
            self.said = True
            self.called = self.called or not self._rule.hosted
        return self._verdicts[name]

    def _terminal(self, event: Event) -> Event:
        response = event.fields["response"]
        output = [item for item in response.get("output") or () if self._keeps(item)]
        if len(output) == len(response.get("output") or ()):
            return event
        return Event.of({**event.fields, "type": event.type, "response": {**response, "output": output}})

    def _renumbered(self, event: Event, index: Any) -> Event:
        fields = {**event.fields, "type": event.type}
        if isinstance(index, int):
            fields["output_index"] = index - sum(gone < index for gone in self._dropped)
        if isinstance(fields.get("sequence_number"), int):
            fields["sequence_number"] -= self._lost
        return Event.of(fields)


def _key(tool: Mapping[str, Any]) -> Key:
    return str(tool.get("type")), str(tool.get("name") or "")


def _problem(rule: Rule) -> str:
    if not rule.required:
        return "The model called tools although 'tool_choice' is 'none', twice."
    return f"The model did not call {_wanted(rule)}, as 'tool_choice' asks for, in two tries."


def _reminder(rule: Rule) -> Item:
    if rule.required:
        text = f"Your last reply was not accepted, because it did not call {_wanted(rule)}. Make a call in this reply."
    else:
        text = "Your last reply was not accepted, because it called a tool. Answer in text now, without any call."
    return {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": text}]}


def _wanted(rule: Rule) -> str:
    names = sorted(name or kind for kind, name in rule.allowed or ()) or [rule.hosted] * bool(rule.hosted)
    if not names:
        return "a tool"
    return f"the tool '{names[0]}'" if len(names) == 1 else f"one of the tools {', '.join(map(repr, names))}"
