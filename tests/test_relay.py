"""One request from parse to last byte, over scripted neighbours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.catalogues import Target
from lib.errors import GatewayError, InvalidRequest, UpstreamError, Verdict
from lib.failover import Budget, Failover
from lib.relay import Relay
from lib.relay_stream import RelayStream
from lib.routing import Router
from lib.types import Caller, Dialect, Reply, Trace
from tests.fakes.scripted import (
    ADDED,
    CREATED,
    ScriptedAnswer,
    ScriptedCredentials,
    ScriptedUpstream,
    Step,
    completed,
    delta,
    event,
    failure,
    good,
)


class PlainRenderer:
    """Writes event types, one a line."""

    keep_alive = b": wait\n"

    def feed(self, event: Event) -> bytes:
        return event.type.removeprefix("response.").encode() + b"\n"

    def finish(self) -> bytes:
        return b"END\n"

    def fail(self, error: GatewayError) -> bytes:
        return f"FAIL {error.code}\n".encode()

    def body(self, response: Mapping[str, Any]) -> dict[str, Any]:
        return {"status": response["status"]}


class PlainDialect:
    name = "plain"

    def __init__(self) -> None:
        self.rendered: list[CanonicalRequest] = []

    def parse(self, body: Mapping[str, Any]) -> CanonicalRequest:
        if "bad" in body:
            raise InvalidRequest("bad")
        return CanonicalRequest(input=[], affinity="first words", **{"model": None, **body})

    def renderer(self, request: CanonicalRequest, *, response_id: str, now: float) -> PlainRenderer:
        self.rendered.append(request)
        return PlainRenderer()


class SlowUpstream(ScriptedUpstream):
    """Pauses before each batch after the first."""

    async def open(self, *args: Any, **kwargs: Any) -> ScriptedAnswer:
        quick = await super().open(*args, **kwargs)
        self.answers[-1] = SlowAnswer(quick.script, ())
        return self.answers[-1]


class SlowAnswer(ScriptedAnswer):
    async def __aiter__(self) -> AsyncIterator[list[Event]]:
        first = True
        async for batch in super().__aiter__():
            if not first:
                await asyncio.sleep(0.05)
            first = False
            yield batch


class PlainTurn:
    """Keeps what was rendered, and when: before or after the stream's end was seen."""

    def __init__(self, seen: list[str]) -> None:
        self.dialect = PlainDialect()
        self._seen = seen

    async def keep(self) -> None:
        self._seen.append("kept")


class PlainHistory:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def concerns(self, dialect: Dialect, body: Mapping[str, Any]) -> bool:
        return True

    async def begin(self, dialect: Dialect, body: Mapping[str, Any], caller: Caller) -> PlainTurn | None:
        self.seen.append(f"begun for {caller.key}")
        return PlainTurn(self.seen)


def relay_over(
    upstream: ScriptedUpstream,
    *,
    accounts: int = 2,
    commit_wait_s: float = 5,
    history: PlainHistory | None = None,
    host: Any = None,
) -> Relay:
    target = Target(upstream, ScriptedCredentials(accounts))
    router = Router([target], lambda _: target, default_model="m-default", cache_s=10, now=lambda: 0.0)
    failover = Failover(Budget(), now=lambda: 0.0)
    return Relay(
        router,
        failover,
        commit_wait_s=commit_wait_s,
        now=lambda: 1.0,
        new_id=lambda: "id",
        accounts=lambda: (2, 1),
        history=history,
        host=host,
    )


def ask(relay: Relay, dialect: PlainDialect | None = None, **body: Any) -> tuple[Reply, bytes, Trace]:
    trace = Trace("req_1", 0.0)

    async def main() -> tuple[Reply, bytes]:
        strict, session = body.pop("strict", False), body.pop("session", None)
        reply = await relay.reply(dialect or PlainDialect(), body, Caller("k"), trace, strict=strict, session=session)
        if reply.stream is None:
            return reply, reply.body or b""
        return reply, b"".join([piece async for piece in reply.stream])

    reply, data = asyncio.run(main())
    return reply, data, trace


def test_a_whole_answer_is_the_collected_response() -> None:
    reply, data, trace = ask(relay_over(ScriptedUpstream(good())))
    assert (reply.status, data) == (200, b'{"status":"completed"}')
    assert (trace.dialect, trace.model, trace.upstream, trace.accounts) == ("plain", "m-default", "scripted", ["a1"])
    assert (trace.input_tokens, trace.output_tokens, trace.first_byte_at) == (3, 2, 1.0)


def test_a_streamed_answer_is_rendered_and_finished() -> None:
    upstream = ScriptedUpstream(good())
    reply, data, trace = ask(relay_over(upstream), stream=True)
    assert data == b"created\noutput_item.added\noutput_text.delta\ncompleted\nEND\n"
    assert reply.keep_alive == b": wait\n" and trace.output_tokens == 2 and upstream.answers[0].closed


def test_what_came_in_one_read_leaves_as_one_piece() -> None:
    async def main() -> list[bytes]:
        upstream = ScriptedUpstream([[CREATED, ADDED, delta("a"), delta("b")], [delta("c")], [completed()]])
        reply = await relay_over(upstream).reply(
            PlainDialect(), {"stream": True}, Caller("k"), Trace("r", 0.0), strict=False
        )
        assert reply.stream is not None
        return [piece async for piece in reply.stream]

    assert [piece.count(b"\n") for piece in asyncio.run(main())] == [4, 1, 2]


def test_a_failure_before_the_headers_has_a_status() -> None:
    for script in ([[CREATED], failure(Verdict.REQUEST, status=400)], failure(Verdict.REQUEST, status=400)):
        with pytest.raises(UpstreamError) as caught:
            ask(relay_over(ScriptedUpstream(script)), stream=True)  # type: ignore[arg-type]
        assert caught.value.status == 400


def test_a_break_after_output_is_told_in_the_stream() -> None:
    steps: list[Step] = [[CREATED, ADDED, delta("Hi")], failure(Verdict.SERVICE, code="upstream_stalled")]
    _, data, trace = ask(relay_over(ScriptedUpstream(steps)), stream=True)
    assert data == b"created\noutput_item.added\noutput_text.delta\nFAIL upstream_stalled\n"
    assert trace.error == "upstream_stalled"
    with pytest.raises(UpstreamError):
        ask(relay_over(ScriptedUpstream(steps)))


def test_headers_leave_when_output_is_slow_and_another_account_may_still_take_over() -> None:
    upstream = SlowUpstream([[CREATED], failure(Verdict.SERVICE)], good("from a2"))
    _, data, trace = ask(relay_over(upstream, commit_wait_s=0.01), stream=True)
    assert data.endswith(b"completed\nEND\n") and data.count(b"created") == 1
    assert trace.accounts == ["a1", "a2"]


def test_a_late_failure_without_output_is_told_in_the_stream() -> None:
    upstream = SlowUpstream([[CREATED], [CREATED], failure(Verdict.REQUEST, code="cyber_policy")])
    _, data, _ = ask(relay_over(upstream, commit_wait_s=0.01), stream=True)
    assert data == b"FAIL cyber_policy\n"


def test_a_stream_that_nobody_reads_is_closed_too() -> None:
    async def main(commit_wait_s: float, upstream: ScriptedUpstream) -> None:
        reply = await relay_over(upstream, commit_wait_s=commit_wait_s).reply(
            PlainDialect(), {"stream": True}, Caller("k"), Trace("r", 0.0), strict=False
        )
        assert isinstance(reply.stream, RelayStream)
        await reply.stream.aclose()
        await reply.stream.aclose()
        assert [piece async for piece in reply.stream] == []

    for wait, upstream in ((5, ScriptedUpstream(good())), (0.01, SlowUpstream(good()))):
        asyncio.run(main(wait, upstream))
        assert all(answer.closed for answer in upstream.answers)


def test_a_second_cancellation_does_not_leave_the_upstream_open() -> None:
    upstream = SlowUpstream(good())

    async def main() -> None:
        reply = await relay_over(upstream, commit_wait_s=0.01).reply(
            PlainDialect(), {"stream": True}, Caller("k"), Trace("r", 0.0), strict=False
        )
        assert isinstance(reply.stream, RelayStream)
        await asyncio.sleep(0.2)  # the first output is there, and nobody took it
        closing = asyncio.ensure_future(reply.stream.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait({closing})

    asyncio.run(main())
    assert all(answer.closed for answer in upstream.answers)


def test_ignored_parameters_are_named_or_refused() -> None:
    asked = {"temperature": "temperature", "max_output_tokens": "max_tokens", "reasoning": "reasoning_effort"}
    upstream = ScriptedUpstream(good(), accepts=["reasoning"])
    reply, _, _ = ask(relay_over(upstream), asked=asked)
    assert reply.headers == {"x-gateway-ignored": "max_tokens, temperature"}
    with pytest.raises(InvalidRequest) as caught:
        ask(relay_over(ScriptedUpstream(accepts=["reasoning"])), asked=asked, strict=True)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "max_tokens")
    assert ask(relay_over(ScriptedUpstream(good())))[0].headers == {}


def test_a_session_header_steers_unless_the_body_has_a_cache_key() -> None:
    upstream = ScriptedUpstream(good(), good(), good())
    relay = relay_over(upstream)
    ask(relay, session="s1")
    ask(relay, session="s1", prompt_cache_key="p1")
    ask(relay)
    assert [request.affinity for request, _, _ in upstream.requests] == ["s1", "first words", "first words"]


def test_the_renderer_knows_the_model_that_was_asked_for() -> None:
    dialect = PlainDialect()
    relay = relay_over(ScriptedUpstream(good(), good()))
    ask(relay, dialect, model="asked")
    ask(relay, dialect)
    assert [request.model for request in dialect.rendered] == ["asked", "m-default"]


def test_accounts_are_counted_by_the_pool() -> None:
    assert relay_over(ScriptedUpstream()).accounts() == (2, 1)


class BrokenRenderer(PlainRenderer):
    def feed(self, event: Event) -> bytes:
        if event.type == "response.output_text.delta":
            raise TypeError("a defect")
        return super().feed(event)


class BrokenDialect(PlainDialect):
    def renderer(self, request: CanonicalRequest, *, response_id: str, now: float) -> PlainRenderer:
        return BrokenRenderer()


def test_a_defect_never_looks_like_a_good_end() -> None:
    upstream = ScriptedUpstream(good())
    _, data, trace = ask(relay_over(upstream), BrokenDialect(), stream=True)
    assert data == b"created\noutput_item.added\nFAIL internal_error\n"
    assert trace.error == "internal_error" and isinstance(trace.failure, TypeError)
    assert upstream.answers[0].closed


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_is_kept_before_its_last_bytes_leave(stream: bool) -> None:
    history = PlainHistory()

    async def main() -> None:
        relay = relay_over(ScriptedUpstream(good()), history=history)
        reply = await relay.reply(PlainDialect(), {"stream": stream}, Caller("k"), Trace("r", 0.0), strict=False)
        if reply.stream is None:
            assert history.seen == ["begun for k", "kept"]
            return
        async for piece in reply.stream:
            assert ("kept" in history.seen) is (b"END" in piece)

    asyncio.run(main())
    assert history.seen == ["begun for k", "kept"]


def test_a_broken_answer_is_not_kept() -> None:
    history = PlainHistory()
    steps: list[Step] = [[CREATED, ADDED, delta("Hi")], failure(Verdict.SERVICE)]
    ask(relay_over(ScriptedUpstream(steps), history=history), stream=True)
    with pytest.raises(UpstreamError):
        ask(relay_over(ScriptedUpstream(steps), history=history))
    assert "kept" not in history.seen


def test_a_request_outside_any_history_keeps_its_dialect() -> None:
    class NoTurn(PlainHistory):
        async def begin(self, dialect: Dialect, body: Mapping[str, Any], caller: Caller) -> None:
            return None

    dialect = PlainDialect()
    ask(relay_over(ScriptedUpstream(good()), history=NoTurn()), dialect)
    assert len(dialect.rendered) == 1


def test_a_picture_on_its_way_to_its_place_keeps_no_stream_beyond_its_deadline() -> None:
    class StuckHost:
        async def put(self, data: bytes, media_type: str) -> str:
            await asyncio.sleep(60)
            return "https://pictures.example/1"

    picture = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "iVBORw0KGgo="}
    done = event("response.output_item.done", output_index=1, item=picture)
    dialect = PlainDialect()
    dialect.name = "chat"

    async def main() -> list[bytes]:
        relay = relay_over(
            ScriptedUpstream([[CREATED, ADDED, delta("Look:")], [done], [completed()]]), host=StuckHost()
        )
        body = {"stream": True, "tools": [{"type": "image_generation"}]}
        trace = Trace("r", 0.0, deadline_at=1.05)
        reply = await relay.reply(dialect, body, Caller("k"), trace, strict=False)
        assert reply.stream is not None
        async with asyncio.timeout(5):
            return [piece async for piece in reply.stream]

    *_, last = asyncio.run(main())
    assert last.endswith(b"incomplete\nEND\n")
