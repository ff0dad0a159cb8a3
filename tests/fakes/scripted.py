"""Upstreams and credentials without sockets: each attempt plays the next script."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.errors import PoolExhausted, UpstreamError, Verdict
from lib.types import Lease, Model, Outcome, Window

Step = list[Event] | UpstreamError
Script = Sequence[Step] | UpstreamError
"""Batches and a failure in the middle; a bare error is raised by `open`."""


def event(kind: str, **fields: Any) -> Event:
    return Event.of({"type": kind, **fields})


CREATED = event("response.created", response={"id": "resp_1", "status": "in_progress"})
ADDED = event("response.output_item.added", output_index=0, item={"id": "msg_1", "type": "message"})


def delta(text: str) -> Event:
    return event("response.output_text.delta", output_index=0, content_index=0, item_id="msg_1", delta=text)


def completed(text: str = "", **response: Any) -> Event:
    output = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}]
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    whole = {"id": "resp_1", "status": "completed", "output": output, "usage": usage, **response}
    return event("response.completed", response=whole)


def good(text: str = "Hi") -> Script:
    return [[CREATED], [ADDED, delta(text)], [completed(text)]]


def failure(verdict: Verdict, **fields: Any) -> UpstreamError:
    return UpstreamError(f"it failed: {verdict.value}", verdict=verdict, **fields)


class ScriptedAnswer:
    def __init__(self, script: Sequence[Step], windows: Sequence[Window]) -> None:
        self.windows = windows
        self.closed = False
        self.script = script

    async def __aiter__(self) -> AsyncIterator[list[Event]]:
        for step in self.script:
            if isinstance(step, UpstreamError):
                raise step
            yield step

    async def aclose(self) -> None:
        self.closed = True


class ScriptedUpstream:
    """Plays one script for each `open`; `answers` and `requests` record what happened."""

    name = "scripted"

    def __init__(self, *scripts: Script, accepts: Collection[str] = (), windows: Sequence[Window] = ()) -> None:
        self.accepts = frozenset(accepts)
        self.catalogue: list[Model] | UpstreamError = [
            Model("m-best"),
            Model("m-hidden", hidden=True),
            Model("m-other"),
        ]
        self.catalogue_calls = 0
        self.answers: list[ScriptedAnswer] = []
        self.requests: list[tuple[CanonicalRequest, Lease, float]] = []
        self._scripts = list(scripts)
        self._windows = windows

    async def open(self, request: CanonicalRequest, lease: Lease, *, timeout_s: float) -> ScriptedAnswer:
        self.requests.append((request, lease, timeout_s))
        script = self._scripts.pop(0)
        if isinstance(script, UpstreamError):
            raise script
        answer = ScriptedAnswer(script, self._windows)
        self.answers.append(answer)
        return answer

    async def models(self, lease: Lease) -> list[Model]:
        self.catalogue_calls += 1
        if isinstance(self.catalogue, UpstreamError):
            raise self.catalogue
        return self.catalogue

    @property
    def accounts(self) -> list[str]:
        return [lease.account for _, lease, _ in self.requests]


class ScriptedCredentials:
    """Leases a1, a2, … in order, then rests, or has no more (`fixed`); `reports` records (account, outcome)."""

    def __init__(self, count: int = 5, *, fixed: bool = False) -> None:
        self._fixed = fixed
        self._names = [f"a{slot}" for slot in range(1, count + 1)]
        self.reports: list[tuple[str, Outcome]] = []

    async def lease(self, *, affinity: str, model: str | None, tried: Collection[str]) -> Lease:
        for name in self._names:
            if name not in tried:
                return Lease(name, "scripted", {"authorization": f"Bearer {name}"})
        if self._fixed:
            raise PoolExhausted("There is no other account.", code="no_account_left")
        raise PoolExhausted("All accounts rest.", status=429, code="rate_limit_exceeded", retry_after_s=7)

    async def report(self, lease: Lease, outcome: Outcome, model: str | None) -> None:
        self.reports.append((lease.account, outcome))

    @property
    def verdicts(self) -> list[tuple[str, Verdict | None]]:
        return [(name, outcome.error.verdict if outcome.error else None) for name, outcome in self.reports]
