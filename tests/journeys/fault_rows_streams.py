"""Faults inside the stream: how it is said, and how it ends."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.fakes.codex_behaviours import Behaviour, Scene, raw, stream
from tests.fakes.codex_composer import Composer, words
from tests.fakes.codex_http import Exchange
from tests.fakes.codex_streams import frame, load
from tests.fakes.packing import PACKERS, packed
from tests.journeys.fault_rows import ANOTHER, Row, Then

MIB = 1024 * 1024
NASTY = "data: x\n\ndata: [DONE]\n\nevent: error\n exec_command \u2028 \u2029 \u0085 \ufeff </s> \x00"
BLANKS = ["\n", "  ", "\t", " \n\n "]
PAUSE_S = 0.01
"""Between events: what arrives in one read with an error was never out, and another account may take over."""
_STARTS = 4
"""created, in_progress, output_item.added, content_part.added"""


def _text(text: str = "Hello", **options: Any) -> Composer:
    return Composer().start().message(text, **options)


def _bytes(events: Sequence[Any], *, form: str = "data: {}\n\n") -> bytes:
    return b"".join(form.replace("{}", msgspec.json.encode(event).decode()).encode() for event in events)


def _framed(form: str) -> Behaviour:
    return raw(_bytes(_text().completed().events, form=form))


def _many_lines() -> Behaviour:
    """Each event's JSON over several `data:` lines, indented."""
    events = _text().completed().events
    lines = (msgspec.json.format(msgspec.json.encode(event), indent=1).decode().split("\n") for event in events)
    return raw("\n".join("".join(f"data: {line}\n" for line in each) for each in lines).encode() + b"\n")


def _cut(text: str, at: str) -> Behaviour:
    """Word by word, and no more after the second byte of `at`, which the last word holds."""
    events = _text(text).events[: _STARTS + len(words(text))]
    after = len(frame(events[-1]).partition(at.encode())[2]) + len(at.encode()) - 2
    return stream(events, truncate_after=len(events), drop_bytes=after, pause_s=PAUSE_S)


def _breaks(**how: Any) -> Behaviour:
    """One word is out, another is on its way."""
    return stream(_text("One two three").completed().events, pause_s=PAUSE_S, **how)


def _broken_call() -> Behaviour:
    call = Composer().start().function_call("dive", '{"depth": 40, "where": "Ærø"}').completed()
    return stream(call.events, truncate_after=6, pause_s=PAUSE_S)


@functools.cache
def _bomb(encoding: str) -> Behaviour:
    """Thirty-two mebibytes of one line in some kilobytes."""
    return raw(packed(encoding, b"data: ", *[b"x" * MIB] * 32), content_encoding=encoding)


def _packed(encoding: str) -> list[Row]:
    """What is true of compressed streams, by how they are compressed."""
    return [
        _good("F31", encoding, lambda: stream(_text("Ærø " * 50).completed().events, encoding=encoding), "Ærø " * 50),
        Row(
            id="F31",
            fault=f"a stream in {encoding} without its end",
            upstream=lambda: _breaks(truncate_after=6, encoding=encoding),
            always=_dies(_TRUNCATED, "One two"),
        ),
        Row(
            id="F31",
            fault=f"a decompression bomb in {encoding}",
            upstream=lambda: _bomb(encoding),
            once=ANOTHER,
            always=Then(status=502, code="upstream_bad_response", accounts="abc", should_retry="true"),
            settings={"max_event_bytes": MIB},
        ),
    ]


def _failed(words: int, *, only_error: bool = False) -> list[Any]:
    """A server error before output, or after some text."""
    composer = _text() if words else Composer().start()
    composer.error("server_error", "An error occurred while processing your request.")
    return (composer if only_error else composer.failed("server_error", "An error occurred.")).events


def _image(size: int) -> list[Any]:
    return Composer().start().image("A" * size).message("Done").completed(output=[]).events


def _shown(size: int) -> dict[str, str]:
    picture = f"![image](data:image/png;base64,{'A' * size})"
    return {"chat": f"{picture}\n\n", "messages": picture}  # where it is a block of its own


def _without(composer: Composer, kind: str) -> list[Any]:
    return [event for event in composer.completed(output=[]).events if event["type"] != kind]


def _incomplete_text() -> str:
    return "".join(event["delta"] for event in load("incomplete") if event["type"] == "response.output_text.delta")


@dataclass(frozen=True, slots=True)
class Reads:
    """A stream of which the client reads one piece at a time, and the clean end of the body."""

    pieces: Sequence[bytes]

    async def play(self, exchange: Exchange, scene: Scene) -> None:
        exchange.head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        for piece in self.pieces:
            exchange.chunk(piece)
            await exchange.drain()
            await exchange.sleep(5 * PAUSE_S)
        exchange.finished = True
        exchange.end()


def _word_and_error() -> Behaviour:
    """A word is out; the next one comes in one read with the error."""
    events = _text("One two").events[: _STARTS + 2]
    error = Composer().error("server_error", "An error occurred.").events
    return Reads([_bytes(events[:-1]), _bytes([events[-1], *error])])


def _good(id: str, fault: str, upstream: Any, said: str = "Hello", **then: Any) -> Row:
    return Row(id=id, fault=fault, upstream=upstream, always=Then(said=said, **then))


def _dies(code: str, said: str, **then: Any) -> Then:
    """Breaks after the commit point: no other account, no rest."""
    return Then(**{"status": 502, "code": code, "begun": True, "said": said, "should_retry": "true", **then})


def _before(id: str, fault: str, upstream: Any, always: Then, **settings: Any) -> Row:
    return Row(id=id, fault=fault, upstream=upstream, once=ANOTHER, always=always, settings=settings)


_TRUNCATED = "upstream_truncated"
_TERMINATED = Then(status=502, code=_TRUNCATED, accounts="abc", should_retry="true")
_BROKE = Then(status=502, code="upstream_error", accounts="abc", should_retry="true")
_OVERLOADED = Then(status=503, code="upstream_overloaded", accounts="abc", should_retry="true", retry_after=range(5, 6))

ROWS = [
    Row(
        id="F7",
        fault="context length, response.failed",
        upstream=lambda: stream("failed_context_length"),
        always=Then(status=400, code="context_length_exceeded", should_retry="false"),
    ),
    Row(
        id="F10",
        fault="a wait in response.failed",
        upstream=lambda: stream("failed_rate_limit"),
        once=Then(accounts="ab", usable=2),
        always=Then(
            status=429,
            code="rate_limit_exceeded",
            accounts="abc",
            usable=0,
            retry_after=range(1, 20),
        ),
    ),
    _before("F16", "an error event before output", lambda: stream("failed_overloaded"), _OVERLOADED),
    _before("F16", "a server error before output", lambda: stream(_failed(0)), _BROKE),
    Row(
        id="F16",
        fault="an error before output, late",
        upstream=lambda: stream(_failed(0), pause_s=0.02),
        once=ANOTHER,
        always=Then(status=502, code="upstream_error", begun=True, said="", accounts="abc", should_retry="true"),
        settings={"commit_wait_s": 0.01},
    ),
    Row(
        id="F17",
        fault="text, then error and response.failed",
        upstream=lambda: stream("failed_midstream", pause_s=PAUSE_S),
        always=_dies("upstream_error", "The harbour lights go o"),
    ),
    Row(
        id="F17",
        fault="text, then an error event alone",
        upstream=lambda: stream(_failed(5, only_error=True), pause_s=PAUSE_S),
        always=_dies("upstream_error", "Hello"),
    ),
    Row(
        id="F17",
        fault="text and an error in one read",
        upstream=_word_and_error,
        always=_dies("upstream_error", "One two"),
    ),
    Row(
        id="F18",
        fault="headers, then nothing",
        upstream=lambda: stream(stall_after=0),
        once=ANOTHER,
        always=Then(status=504, code="upstream_stalled", accounts="abc", should_retry="true"),
        waits="idle_timeout_s",
    ),
    Row(
        id="F18",
        fault="keep-alives for ever",
        upstream=lambda: stream(keepalives=5_000, pause_s=PAUSE_S),
        always=Then(status=504, code="upstream_timeout", should_retry="true"),
        settings={"failover_budget_s": 0.1},
    ),
    Row(
        id="F18",
        fault="comments for ever, headers gone",
        upstream=lambda: Reads([_bytes(_text().events[:2]), *[b": wait\n\n"] * 400]),
        always=Then(status=504, code="upstream_timeout", begun=True, said="", should_retry="true"),
        settings={"failover_budget_s": 0.1, "commit_wait_s": 0.01},
    ),
    Row(
        id="F19",
        fault="a stall in mid-stream",
        upstream=lambda: _breaks(stall_after=6),
        always=_dies("upstream_stalled", "One two", status=504),
        settings={"idle_timeout_s": 0.1},
    ),
    Row(
        id="F20",
        fault="a cut inside a UTF-8 sequence",
        upstream=lambda: _cut("One ⛴", "⛴"),
        always=_dies(_TRUNCATED, "One"),
    ),
    _good(
        "F20",
        "pieces cut inside UTF-8 sequences",
        lambda: stream(_text("Fähre ⛴️ Ærø").completed().events, cut_utf8=True),
        "Fähre ⛴️ Ærø",
    ),
    _good("F20", "one byte a piece", lambda: stream(_text("Ærø 🌊").completed().events, cut=1), "Ærø 🌊"),
    Row(
        id="F21",
        fault="a cut inside JSON",
        upstream=lambda: _breaks(truncate_after=6, drop_bytes=20),
        always=_dies(_TRUNCATED, "One"),
    ),
    Row(id="F21", fault="a cut inside a tool call", upstream=_broken_call, always=_dies(_TRUNCATED, "")),
    Row(
        id="F21",
        fault="a reset in mid-stream",
        upstream=lambda: _breaks(reset_after=6),
        always=_dies(_TRUNCATED, "One two"),
    ),
    Row(
        id="F21",
        fault="a connection closed inside the body",
        upstream=lambda: _breaks(close_after=6),
        always=_dies(_TRUNCATED, "One two"),
    ),
    _before("F21", "a reset before output", lambda: stream(reset_after=2), _TERMINATED),
    _good("F22", "a terminal event and no [DONE]", lambda: stream(_text().completed().events)),
    _good("F22", "a terminal event, and the body stays open", lambda: stream(keep_open=True), "You said: Hi"),
    Row(
        id="F23",
        fault="the end without a terminal event",
        upstream=lambda: _breaks(truncate_after=6),
        always=_dies(_TRUNCATED, "One two"),
    ),
    _before("F23", "the end after the preamble", lambda: stream(truncate_after=2), _TERMINATED),
    _good(
        "F24",
        "events after the terminal event",
        lambda: stream(extra=[*_text("more").events, *Composer().error("server_error", "Late.").events]),
        "You said: Hi",
    ),
    _good("F25", "data: without a space", lambda: _framed("data:{}\n\n")),
    _good("F25", "CRLF", lambda: stream(_text().completed().events, crlf=True)),
    _good("F25", "a lone CR", lambda: _framed("data: {}\r\r")),
    _good("F25", "data over many lines", _many_lines),
    _good("F25", "a byte order mark", lambda: raw(b"\xef\xbb\xbf" + _bytes(_text().completed().events))),
    _good(
        "F25", "comments, id, retry, event only", lambda: _framed(": hi\nid: 7\nretry: 9\ndata: {}\n\nevent: ping\n\n")
    ),
    _good("F25", "no event lines", lambda: stream(_text().completed().events, event_lines=False)),
    _good("F25", "no content type", lambda: stream(content_type=None), "You said: Hi"),
    _good("F25", "private events", lambda: stream(rate_limits_first=True, keepalives=3), "You said: Hi"),
    _good("F26", "no blank line at the end", lambda: raw(_bytes(_text().completed().events).rstrip(b"\n"))),
    _good("F27", "an image of 16 MiB", lambda: stream(_image(16 * MIB)), "Done", shown=_shown(16 * MIB)),
    Row(
        id="F27",
        fault="an event over the limit",
        upstream=lambda: stream(huge_bytes=200_000),
        always=_dies("upstream_bad_response", ""),
        settings={"max_event_bytes": 100_000},
    ),
    _good("F28", "an empty output", lambda: stream(_text().completed().events, empty_output=True)),
    _good("F28", "an empty output, no item done", lambda: stream(_without(_text(), "response.output_item.done"))),
    _good(
        "F29",
        "deltas of white space",
        lambda: stream(_text("".join(BLANKS), deltas=BLANKS).completed().events),
        "".join(BLANKS),
    ),
    _good(
        "F30",
        "text that looks like a protocol",
        lambda: stream(_text(NASTY, deltas=[*NASTY]).completed().events),
        NASTY,
    ),
    _good("F30", "the same in one delta", lambda: stream(_text(NASTY, deltas=[NASTY]).completed().events), NASTY),
    *[row for encoding in PACKERS for row in _packed(encoding)],
    _good(
        "F33",
        "cookies and unknown headers",
        lambda: stream(headers={"x-secret": "1", "connection": "keep-alive"}),
        "You said: Hi",
    ),
    _good("F36", "the upstream's own limit", lambda: stream("incomplete"), _incomplete_text(), ending="cut"),
]
