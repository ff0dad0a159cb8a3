"""A forwarded answer on its way to the caller, over scripted neighbours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from lib import sse
from lib.deadline import CUT_COMMENT
from lib.dialects.forward_wires import CHAT, RESPONSES, Wire
from lib.errors import GatewayError, UpstreamError, Verdict
from lib.forward_relay import forward_reply
from lib.types import Reply, Trace

CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
BROKEN = UpstreamError("it broke", verdict=Verdict.SERVICE, code="upstream_truncated")

Step = bytes | Exception | float


class ScriptedBody:
    """Plays steps, and writes down what is done with it."""

    def __init__(self, script: Sequence[Step], kind: str, log: list[str], has_begun: bool = True) -> None:
        self.headers = {"content-type": kind, "x-other": "1"}
        self.has_begun = has_begun
        self._script = script
        self._log = log

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for step in self._script:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                yield step

    async def aclose(self) -> None:
        self._log.append("closed")

    async def release(self) -> None:
        self._log.append("released")


class Run:
    """What came of one answer."""

    def __init__(
        self,
        *script: Step,
        kind: str = "text/event-stream; charset=utf-8",
        wire: Wire = CHAT,
        has_begun: bool = True,
    ) -> None:
        self.log: list[str] = []
        self.reports: list[UpstreamError | None] = []
        self.trace = Trace("r", 0.0)
        self.pieces: list[bytes] = []
        self.settled_at_piece: int | None = None
        self.error: GatewayError | None = None
        self.reply: Reply | None = None
        self._body = ScriptedBody(script, kind, self.log, has_begun)
        self._wire = wire

    async def report(self, error: UpstreamError | None) -> None:
        self.log.append("reported")
        self.reports.append(error)
        self.settled_at_piece = len(self.pieces)

    async def open(self) -> Reply:
        return await forward_reply(self._body, self._wire, self.trace, lambda: 5.0, self.report, max_event_bytes=1000)

    def __call__(self) -> Run:
        async def main() -> None:
            try:
                self.reply = await self.open()
                if self.reply.stream is not None:
                    async for piece in self.reply.stream:
                        self.pieces.append(piece)
            except GatewayError as error:
                self.error = error
            finally:
                if self.reply is not None and self.reply.stream is not None:
                    await self.reply.stream.aclose()

        asyncio.run(main())
        return self


def test_a_stream_passes_and_everything_is_done_before_its_last_bytes_leave() -> None:
    run = Run(b": wait\n\n", CHUNK, CHUNK[:20], CHUNK[20:] + USAGE, sse.DONE, 9.0)()

    assert b"".join(run.pieces) == b": wait\n\n" + CHUNK * 2 + USAGE + sse.DONE
    assert run.settled_at_piece == len(run.pieces) - 1
    assert (run.log, run.reports) == (["released", "reported"], [None])
    trace = run.trace
    assert (trace.input_tokens, trace.output_tokens, trace.first_byte_at, trace.error) == (3, 2, 5.0, None)
    assert run.reply is not None
    assert (run.reply.headers, run.reply.keep_alive) == ({"x-other": "1"}, sse.KEEP_ALIVE)


def test_a_stream_that_breaks_says_so_and_reports_it() -> None:
    run = Run(CHUNK, CHUNK[:20], BROKEN)()

    assert run.pieces[0] == CHUNK
    assert run.pieces[1].startswith(b'data: {"error":') and run.pieces[1].endswith(sse.DONE)
    assert (run.log, run.reports, run.trace.error) == (["closed", "reported"], [BROKEN], "upstream_truncated")
    assert len(run.pieces) == 2


def test_a_body_that_ends_too_early_is_a_stream_that_breaks() -> None:
    run = Run(CHUNK)()

    assert run.trace.error == "upstream_truncated"
    assert run.pieces[-1].endswith(sse.DONE)
    assert [report and report.code for report in run.reports] == ["upstream_truncated"]


def test_a_server_without_done_ends_well_with_the_body() -> None:
    run = Run(CHUNK.replace(b"null", b'"stop"'))()

    assert run.pieces[-1] == sse.DONE
    assert (run.reports, run.trace.error) == ([None], None)


def test_a_break_after_a_good_end_is_nobodys_business() -> None:
    run = Run(CHUNK + sse.DONE + b": " + b"x" * 99 + b"\n\n", BROKEN)()

    assert len(run.pieces) == 1
    assert (run.reports, run.trace.error) == ([None], None)


def test_a_failure_that_the_upstream_told_is_logged() -> None:
    run = Run(b'data: {"type":"response.failed","response":{"error":{"code":"server_error"}}}\n\n', wire=RESPONSES)()

    assert (run.trace.error, run.reports) == ("server_error", [None])


def test_an_unforeseen_failure_is_told_as_the_gateways_own() -> None:
    error = RuntimeError("secret words")
    run = Run(CHUNK, error)()

    assert b"internal_error" in run.pieces[-1] and b"secret" not in run.pieces[-1]
    assert (run.trace.failure, run.trace.error, run.reports) == (error, "internal_error", [None])


def test_a_stream_ends_cleanly_at_the_deadline() -> None:
    run = Run(CHUNK, 5.0, sse.DONE)
    run.trace.deadline_at = 5.02
    run()

    assert b'"finish_reason":"length"' in run.pieces[-1] and run.pieces[-1].endswith(sse.DONE)
    assert run.pieces[-1].startswith(CUT_COMMENT) and run.trace.error == "deadline_exceeded"
    assert run.log == ["closed", "reported"]


def test_a_caller_who_leaves_closes_the_answer_at_once_and_reports_no_fault() -> None:
    run = Run(CHUNK, 5.0)

    async def main() -> None:
        stream = (await run.open()).stream
        assert stream is not None
        await anext(aiter(stream))
        await stream.aclose()
        await stream.aclose()
        assert [piece async for piece in stream] == []

    asyncio.run(main())
    assert (run.log, run.reports) == (["closed", "reported"], [None])


def test_sound_passes_in_its_pieces_with_its_content_type() -> None:
    run = Run(b"ID3", b"\x00\n\n", kind="audio/mpeg")()

    assert run.pieces == [b"ID3", b"\x00\n\n"]
    assert run.reply is not None
    assert (run.reply.headers["content-type"], run.reply.keep_alive) == ("audio/mpeg", b"")
    assert (run.log, run.trace.first_byte_at) == (["released", "reported"], 5.0)


def test_sound_that_breaks_raises_because_it_has_no_words() -> None:
    run = Run(b"ID3", BROKEN, kind="audio/mpeg")()

    assert (run.pieces, run.error) == ([b"ID3"], BROKEN)
    assert (run.log, run.reports, run.trace.error) == (["closed", "reported"], [BROKEN], "upstream_truncated")


def test_sound_breaks_off_at_the_deadline() -> None:
    run = Run(b"ID3", 5.0, b"rest", kind="audio/mpeg")
    run.trace.deadline_at = 5.02
    run()

    assert run.pieces == [b"ID3"] and run.error is not None
    assert (run.error.code, run.trace.error) == ("deadline_exceeded", "deadline_exceeded")
    assert (run.log, run.reports) == (["closed", "reported"], [None])


def test_json_becomes_one_body() -> None:
    run = Run(b'{"data":[],', b'"usage":{"prompt_tokens":8,"total_tokens":8}}', kind="application/json")()

    assert run.reply is not None and run.reply.stream is None
    assert run.reply.body == b'{"data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}'
    assert run.reply.headers["content-type"] == "application/json"
    assert (run.trace.input_tokens, run.log) == (8, ["released", "reported"])


@pytest.mark.parametrize("error", [BROKEN, RuntimeError("unforeseen")])
def test_json_that_breaks_is_an_error_and_closed(error: Exception) -> None:
    run = Run(b"{", error, kind="application/json")
    with pytest.raises(type(error)):
        asyncio.run(run.open())

    assert run.log == ["closed", "reported"]


@pytest.mark.parametrize("kind", ["text/event-stream", "audio/mpeg", "application/json"])
@pytest.mark.parametrize("has_begun", [True, False])
def test_the_time_to_first_byte_is_known_when_the_head_leaves_if_the_answer_has_begun(
    kind: str, has_begun: bool
) -> None:
    run = Run(CHUNK, sse.DONE, kind=kind, has_begun=has_begun)

    async def main() -> None:
        reply = await run.open()
        # What is whole has begun in any case.
        assert run.trace.first_byte_at == (5.0 if has_begun or reply.body else None)
        if reply.stream is not None:
            await anext(aiter(reply.stream))
            assert run.trace.first_byte_at == 5.0
            await reply.stream.aclose()

    asyncio.run(main())


def test_a_responses_stream_that_is_cut_ends_with_what_was_said() -> None:
    created = b'data: {"type":"response.created","response":{"id":"r1"},"sequence_number":0}\n\n'
    delta = b'data: {"type":"response.output_text.delta","output_index":0,"item_id":"m1","delta":"Hi"}\n\n'
    run = Run(created, delta, 5.0, wire=RESPONSES)
    run.trace.deadline_at = 5.02
    run()

    assert b'"text":"Hi"' in run.pieces[-1].partition(b"event: response.incomplete\n")[2]
