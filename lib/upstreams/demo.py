"""The demo upstream: answers by itself, without network or account, so that a fresh gateway can be tried out.

It is honest about being one: the text says so, quotes the caller, and counts the images and files that came along.
What it can honour it honours (tools, pictures and searches of its own among them, structured output,
`max_output_tokens`, `stop`, verbosity, reasoning summaries); sampling parameters would have no effect, so they are not
among the fields that it accepts.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence

from lib.canonical.build import usage
from lib.canonical.events import Event
from lib.canonical.request import CORE, CanonicalRequest
from lib.types import Clock, Lease, Model, Window
from lib.upstreams.demo_hosted import HostedBuilder
from lib.upstreams.demo_input import input_tokens
from lib.upstreams.demo_plan import Plan, plan, tokens

_EFFORTS = ("none", "low", "medium", "high")
_MODELS = (
    Model("demo-mini", "Demo Mini", context_length=128_000, input_modalities=("text",), efforts=_EFFORTS),
    Model("demo-large", "Demo Large", context_length=128_000, input_modalities=("text",), efforts=_EFFORTS),
)


class DemoUpstream:
    """`lib.types.Upstream` without a network. Any model name is taken and reported back.

    word_s: the pause before each word of a streamed answer, in seconds; 0 for none. now: epoch seconds. new_id: a fresh
    random suffix for each answer, out of `[A-Za-z0-9_-]`.
    """

    name = "demo"
    accepts = CORE | {"max_output_tokens", "stop"}

    def __init__(
        self,
        *,
        word_s: float = 0.015,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now: Clock = time.time,
        new_id: Callable[[], str] = lambda: secrets.token_hex(12),
    ) -> None:
        self._word_s = word_s
        self._sleep = sleep
        self._now = now
        self._new_id = new_id

    async def open(self, request: CanonicalRequest, lease: Lease, *, timeout_s: float) -> DemoAnswer:
        """The answer begins at once. Raises InvalidRequest for a demanded tool that cannot be played."""
        return DemoAnswer(self._batches(request, plan(request)))

    async def models(self, lease: Lease) -> list[Model]:
        return list(_MODELS)

    async def _batches(self, request: CanonicalRequest, planned: Plan) -> AsyncGenerator[list[Event], None]:
        answer_id = self._new_id()
        builder = HostedBuilder(
            request, response_id=answer_id, created_at=self._now(), model=request.model or _MODELS[0].id
        )
        yield builder.start()
        pause_s = self._word_s if request.stream else 0
        length = _length(planned)
        # Compared here, because the caller's number may be larger than any that `islice` takes.
        spent = min(length, request.parameters.get("max_output_tokens") or length)
        for batch in itertools.islice(_words(builder, planned, answer_id), spent):
            if pause_s:
                await self._sleep(pause_s)
            yield batch
        thought = min(spent, len(tokens(planned.reasoning)))
        counted = usage(input_tokens(request), spent, reasoning_tokens=thought)
        reason = "max_output_tokens" if spent < length else None
        yield builder.finish(counted, reason=reason, completed_at=self._now())


class DemoAnswer:
    """`lib.types.Answer` over a generator of batches."""

    windows: Sequence[Window] = ()

    def __init__(self, batches: AsyncGenerator[list[Event], None]) -> None:
        self._batches = batches

    def __aiter__(self) -> AsyncGenerator[list[Event], None]:
        return self._batches

    async def aclose(self) -> None:
        await self._batches.aclose()


def _words(builder: HostedBuilder, planned: Plan, answer_id: str) -> Iterator[list[Event]]:
    """One batch for each token, made when it is asked for."""
    for word in tokens(planned.reasoning):
        yield builder.reasoning(word)
    for key, call in enumerate(planned.calls):
        events = builder.call(key, call.name, call_id=f"call_{answer_id}{key}", custom=call.custom)
        *words, last = tokens(call.text)
        for word in words:
            yield events + builder.arguments(key, word)
            events = []
        yield events + builder.arguments(key, last) + builder.close()
    if not planned.calls:
        events = [event for tool in planned.hosted for event in builder.play(tool, planned.prompt)]
        *words, last = tokens(planned.text) or [""]
        for word in words:
            yield events + builder.text(word)
            events = []
        yield events + builder.text(last) + (builder.cite(planned.text) if planned.cites else [])


def _length(planned: Plan) -> int:
    """How many tokens `_words` has."""
    spoken = [planned.reasoning, *(call.text for call in planned.calls), planned.text]
    counted = sum(len(tokens(text)) for text in spoken)
    return counted + (not planned.calls and not tokens(planned.text))
