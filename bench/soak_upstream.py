"""Strict fakes of both kinds of upstreams that fail when they are asked to.

    python -m bench.soak_upstream        prints the ports of the Codex backend and of the OpenAI API, and serves

`soak:<what>:<number>` in a request says what it meets. A fault is met once for each number, so that the next attempt is
answered well; what breaks in the middle of an answer cannot be tried again, and is for requests that expect it.
`GET /v1/_soak` of the OpenAI API tells what is open.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tests.fakes.codex_backend import CodexBackend
from tests.fakes.codex_behaviours import (
    Behaviour,
    Drop,
    Never,
    Scene,
    bad_gateway,
    challenge,
    http_error,
    overloaded,
    rate_limited,
    raw,
    stream,
)
from tests.fakes.codex_errors import error_body
from tests.fakes.codex_http import Exchange
from tests.fakes.openai_backend import OpenAIBackend, Recorded, play
from tests.fakes.openai_chat import answered, chat_stream, chunks, completion
from tests.fakes.openai_media import serve_media

KEYS = tuple(f"sk-soak-upstream-{number}" for number in range(1, 17))
STATUS_PATH = "/_soak"
SLOW, CUT = "slow", "cut"

_ASKED = re.compile(rb"soak:([a-z0-9]+):(\d+)")
_SHORT_REST = {"retry-after-ms": "50"}
_PAUSE_S = 0.02
_KEPT_RECORDS = 512

_ANYWHERE: Mapping[str, Behaviour] = {
    "reset": Drop(),
    "closed": Drop(reset=False),
    "badgateway": bad_gateway(),
    "overloaded": overloaded(),
    "limit": http_error(429, error_body("Slow down.", type="requests", code="rate_limit_exceeded"), _SHORT_REST),
    "wordless": raw(b""),
    "page": raw(b"<!DOCTYPE html><html></html>", content_type="text/html"),
    "challenge": challenge(),
    "silent": Never(),
}
_CODEX = {
    **_ANYWHERE,
    "wait": rate_limited("50ms"),
    "late": stream("failed_overloaded"),
    "preamble": stream(truncate_after=2),
    SLOW: stream(pause_s=_PAUSE_S),
    CUT: stream("text", close_after=9, pause_s=_PAUSE_S / 2),
}
_CHAT = {
    **_ANYWHERE,
    "late": raw(b'data: {"error":{"message":"Overloaded.","type":"overloaded_error"}}\n\n'),
    CUT: chat_stream(*chunks("one two three four"), close_after=4, pause_s=_PAUSE_S / 2),
}
HIDDEN = {name: sorted(set(found) - {SLOW, CUT}) for name, found in (("codex", _CODEX), ("openai", _CHAT))}
"""Upstream → the faults that another attempt makes good."""


class Status(msgspec.Struct):
    """What is open, and what went wrong."""

    unanswered: int
    """Requests that are neither answered nor given up by their client."""
    connections: int
    wrong: list[str]
    """Requests that no honest client sends."""


class Faulty:
    """A behaviour: the fault that the request asks for, or the good answer."""

    def __init__(self, faults: Mapping[str, Behaviour], good: Callable[[Exchange, str], Behaviour]) -> None:
        self._faults = faults
        self._good = good
        self._met: set[bytes] = set()

    async def play(self, exchange: Exchange, scene: Scene) -> None:
        found = _ASKED.search(exchange.body)
        asked = found[1].decode() if found else ""
        fault = self._faults.get(asked)
        if found is None or fault is None or found[2] in self._met:
            fault = self._good(exchange, asked)
        elif asked not in (SLOW, CUT):
            self._met.add(found[2])
        await fault.play(exchange, scene)


def _chat(exchange: Exchange, asked: str) -> Behaviour:
    body: Any = msgspec.json.decode(exchange.body)
    said = answered(body)
    if not body.get("stream"):
        return http_error(200, completion(said))
    if not body.get("stream_options", {}).get("include_usage"):
        said = [each for each in said if each["choices"]]
    return chat_stream(*said, pause_s=_PAUSE_S if asked == SLOW else 0)


def serve() -> None:
    """Until the process is ended; the two ports are the only line on stdout."""
    with CodexBackend() as codex, OpenAIBackend(keys=KEYS, models=("gpt-test",)) as openai:
        serve_media(openai)
        codex.always(Faulty(_CODEX, lambda exchange, asked: stream()))
        openai.always(Faulty(_CHAT, _chat))

        async def status(exchange: Exchange, record: Recorded) -> None:
            record.closed.set()
            found: list[Any] = [*codex.requests, *openai.requests]
            unanswered = sum(not each.closed.is_set() for each in found)
            connections = codex.connections + openai.connections - 1  # but for the one that asks
            await play(
                exchange, http_error(200, msgspec.to_builtins(Status(unanswered, connections, codex.violations)))
            )

        openai.handlers[STATUS_PATH] = status
        ports = [url.rpartition(":")[2].partition("/")[0] for url in (codex.url, openai.url)]
        sys.stdout.write(f"{' '.join(ports)}\n")
        sys.stdout.flush()
        while True:
            time.sleep(0.5)
            for records in (codex.requests, openai.requests):
                _forget(records)


def _forget(records: list[Any]) -> None:
    """Drops the oldest records that are over; new ones are put behind them meanwhile."""
    for record in records[:-_KEPT_RECORDS]:
        if record.closed.is_set():
            records.remove(record)


if __name__ == "__main__":
    serve()
