"""Mixed traffic with faults, for a while: does the gateway hide what it can, and let go of what it took?

    python -m bench.soak [--seconds 120] [--streams 64] [--json FILE]

Gateway and upstreams have processes of their own. A first part of the time warms the gateway up; what it holds is
counted after that and at the end, each time when all is quiet. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import uvloop

from bench import raw_http
from bench.processes import ROOT, BenchError, Target, plain_environment, serving
from bench.soak_gateway import PATH as COUNTS_PATH
from bench.soak_gateway import Counts
from bench.soak_requests import PATHS, Request, traffic
from bench.soak_upstream import KEYS, STATUS_PATH, Status
from tests.fakes.tokens import jwt

T = TypeVar("T")

MAX_GROWTH = 0.05
_ACCOUNTS = 16
"""Limits rest an account for an instant. With a handful of accounts a stall of the machine lets all of them meet one at
once, and then a 429 is the right answer."""
_ANSWER_S = 30.0
_QUIET_S = 5.0
_SHOWN = 20


class Report(msgspec.Struct):
    """What came of a soak."""

    seconds: float
    streams: int
    requests: int
    failures: int
    """Answers that were not what was due."""
    kinds: dict[str, int]
    """What went wrong, and how often."""
    left: int
    """Clients that left in mid-answer."""
    leaked_requests: int
    """That the upstream still serves though nobody asks for them any more."""
    leaked_tasks: int
    leaked_files: int
    """Descriptors beyond those of connections that are kept for the next request."""
    growth: float
    """Of the gateway's memory after warming up: 0.05 is 5 %."""
    rss_mb: float

    @property
    def passed(self) -> bool:
        return not (self.failures or self.leaked_requests or self.leaked_tasks or self.leaked_files) and (
            self.growth < MAX_GROWTH
        )

    def text(self) -> str:
        """For people."""
        lines = [
            f"{self.requests} requests in {self.seconds:.0f} s, {self.streams} at once; {self.left} clients left early",
            f"failures that the clients should not have seen: {self.failures}",
            *(f"  {count} x {kind}" for kind, count in sorted(self.kinds.items(), key=lambda item: -item[1])),
            f"leaked: {self.leaked_requests} upstream requests, {self.leaked_tasks} tasks, {self.leaked_files} files",
            f"memory: {self.rss_mb:.1f} MB, {self.growth:+.1%} since the warm-up",
            "passed" if self.passed else "FAILED",
        ]
        return "\n".join(lines[:_SHOWN])


class Tally:
    """Counts what the clients see."""

    def __init__(self) -> None:
        self.requests = 0
        self.left = 0
        self.kinds: Counter[str] = Counter()

    def note(self, request: Request, wrong: str | None) -> None:
        self.requests += 1
        if wrong is not None:
            mode = "streamed" if request.streamed else "whole"
            self.kinds[f"{request.dialect} over {request.upstream}, {mode}, {request.meets}: {wrong}"] += 1


class Held(msgspec.Struct):
    """What gateway and upstreams hold when all is quiet."""

    gateway: Counts
    upstream: Status

    @property
    def files(self) -> int:
        """Of the gateway, but for its connections to the upstreams."""
        return self.gateway.files - self.upstream.connections


@contextmanager
def upstreams() -> Iterator[tuple[int, int]]:
    """The ports of the Codex backend and of the OpenAI API, in a process of their own."""
    command = [sys.executable, "-m", "bench.soak_upstream"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=plain_environment({}), cwd=ROOT)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise BenchError("the upstreams did not start")
        codex, openai = map(int, line.split())
        yield codex, openai
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _target(openai: int) -> Target:
    def environment(codex: int) -> dict[str, str]:
        return {
            "AUTH_TOKENS": "sk-bench",
            "CHATGPT_ACCESS_TOKENS": ",".join(jwt(f"acct-{number}") for number in range(1, _ACCOUNTS + 1)),
            "CHATGPT_BASE_URL": f"http://127.0.0.1:{codex}",
            "OPENAI_API_KEY": ",".join(KEYS),
            "OPENAI_BASE_URL": f"http://127.0.0.1:{openai}/v1",
            "OPENAI_WIRE": "chat",
            "FIRST_BYTE_TIMEOUT_S": "2",
            "LOG_LEVEL": "ERROR",
        }

    return Target("gateway", "bench.soak_gateway:app", environment)


async def soak(seconds: float, streams: int, gateway: int, openai: int) -> Report:
    """Both parts of a soak on running servers."""
    warm, tally = Tally(), Tally()
    await _load(warm, gateway, streams, 0.25 * seconds, seed=0)
    before = await _held(gateway, openai)
    await _load(tally, gateway, streams, 0.75 * seconds, seed=streams)
    after = await _held(gateway, openai)
    if after.upstream.wrong:
        raise BenchError(f"requests that no honest client sends: {after.upstream.wrong[:5]}")
    kinds = warm.kinds + tally.kinds
    return Report(
        seconds=seconds,
        streams=streams,
        requests=warm.requests + tally.requests,
        failures=kinds.total(),
        kinds=dict(kinds),
        left=warm.left + tally.left,
        leaked_requests=after.upstream.unanswered,
        leaked_tasks=max(0, after.gateway.tasks - before.gateway.tasks),
        leaked_files=max(0, after.files - before.files),
        growth=after.gateway.rss / before.gateway.rss - 1,
        rss_mb=after.gateway.rss / 1e6,
    )


async def _load(tally: Tally, port: int, streams: int, seconds: float, *, seed: int) -> None:
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for number in range(streams):
            group.create_task(_client(tally, port, until, traffic(seed + number)))


async def _client(tally: Tally, port: int, until: float, requests: Iterator[Request]) -> None:
    connection = await raw_http.Connection.open(port)
    while time.monotonic() < until:
        request = next(requests)
        try:
            async with asyncio.timeout(_ANSWER_S):
                keeps = await _ask(tally, connection, request)
        except (OSError, TimeoutError) as error:
            tally.note(request, f"{type(error).__name__}: {error}"[:120])
            keeps = False
        if not keeps:
            connection.close()
            connection = await raw_http.Connection.open(port)
    connection.close()


async def _ask(tally: Tally, connection: raw_http.Connection, request: Request) -> bool:
    """One request; whether its connection can be used again."""
    connection.send(raw_http.post(PATHS[request.dialect], request.body()))
    body = await connection.read()
    if request.leaves:
        tally.left += 1
        tally.note(request, None if connection.status == 200 else f"status {connection.status}")
        return False
    parts = [body]
    while body:
        body = await connection.read()
        parts.append(body)
    tally.note(request, request.wrong(connection.status, b"".join(parts)))
    return True


async def _held(gateway: int, openai: int) -> Held:
    """Waits until the upstreams have nothing to do and the gateway's tasks are few, at most a while."""
    until = time.monotonic() + _QUIET_S
    while True:
        upstream = await _get(openai, f"/v1{STATUS_PATH}", KEYS[0], Status)
        held = Held(await _get(gateway, COUNTS_PATH, "sk-bench", Counts), upstream)
        # One task of the server's own, and one for the request that counts.
        if (held.upstream.unanswered == 0 and held.gateway.tasks <= 2) or time.monotonic() > until:
            return held
        await asyncio.sleep(0.1)


async def _get(port: int, path: str, key: str, type: type[T]) -> T:
    connection = await raw_http.Connection.open(port)
    try:
        connection.send(raw_http.post(path, b"{}", key=key))
        parts = []
        while part := await connection.read():
            parts.append(part)
    finally:
        connection.close()
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(b"".join(parts), type=type)
    raise BenchError(f"{path}: status {connection.status}")


def run(seconds: float, streams: int) -> Report:
    """A whole soak, with its processes. Raises BenchError."""
    with upstreams() as (codex, openai), serving(_target(openai), codex) as server:
        return uvloop.run(soak(seconds, streams, server.port, openai))


def main(arguments: Sequence[str]) -> int:
    """0 when nothing failed, leaked or grew."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="Mixed traffic with faults, for a while.")
    parser.add_argument("--seconds", type=float, default=120, help="how long in all (120)")
    parser.add_argument("--streams", type=int, default=64, help="requests at once (64)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    asked = parser.parse_args(arguments)
    report = run(asked.seconds, asked.streams)
    print(report.text())
    if asked.json is not None:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return int(not report.passed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
