"""The load client: one load per process, described in JSON on the command line, measured in JSON on stdout.

    python -m bench.client '{"kind": "streams", "port": 8000, "pid": 4242, "streams": 64, "tokens": 500, "rate": 50}'

Kinds: `first` asks for short streams, one after the other, in turn from the direct port and from the server, and
notes when the first token arrives; `streams` runs many streams at once; `whole` asks for whole answers on some
connections for a while. Every answer's text is compared with what the upstream sent: outside the measured time for
streams, within it for whole answers, where it costs next to nothing.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Literal, NamedTuple

import msgspec
import uvloop

from bench import answers, raw_http
from bench.processes import cpu_s


class Load(msgspec.Struct):
    """What to do."""

    kind: Literal["first", "streams", "whole"]
    port: int
    pid: int
    """The server's process, whose CPU time is read."""
    path: str = answers.GATEWAY_PATH
    direct_port: int = 0
    """The upstream itself, for `first`."""
    streams: int = 1
    """Connections at once."""
    tokens: int = 10
    rate: int = 0
    """Tokens a second and stream; 0 for full speed."""
    repeat: int = 1
    """How often: requests of `first`, rounds of `streams`."""
    seconds: float = 1.0
    """How long, for `whole`."""


class Measured(msgspec.Struct):
    """What came of it."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    """CPU seconds of the server, user and system."""
    tokens: int = 0
    answers: int = 0
    lost: int = 0
    """Answers whose text is not what the upstream sent, or that did not end well."""
    first_ms: list[float] = []
    """Time to the first token, one for each request."""
    direct_ms: list[float] = []
    """The same from the upstream itself."""


class _Received(NamedTuple):
    body: bytes
    first_ms: float
    status: int


async def run(load: Load) -> Measured:
    """Open the connections, warm the server up, measure."""
    connections = [await raw_http.Connection.open(load.port) for _ in range(load.streams)]
    try:
        if load.kind == "first":
            return await _first(load, connections[0])
        if load.kind == "streams":
            return await _streams(load, connections)
        return await _whole(load, connections)
    finally:
        for connection in connections:
            connection.close()


async def _first(load: Load, server: raw_http.Connection) -> Measured:
    direct = await raw_http.Connection.open(load.direct_port)
    asked = answers.Wanted(load.tokens, load.rate)
    request = answers.request(asked, stream=True)
    to_server, to_direct = raw_http.post(load.path, request), raw_http.post(answers.UPSTREAM_PATH, request)
    measured = Measured()
    await _receive_all([server, direct], [to_server, to_direct])
    started_at = time.perf_counter()
    for _ in range(load.repeat):
        for connection, sent, times in (
            (direct, to_direct, measured.direct_ms),
            (server, to_server, measured.first_ms),
        ):
            received = await _receive(connection, sent)
            times.append(received.first_ms)
            _verify(measured, received, asked.tokens)
    measured.wall_s = time.perf_counter() - started_at
    direct.close()
    return measured


async def _streams(load: Load, connections: list[raw_http.Connection]) -> Measured:
    asked = answers.Wanted(load.tokens, load.rate)
    sent = raw_http.post(load.path, answers.request(asked, stream=True))
    warm = raw_http.post(load.path, answers.request(answers.Wanted(10, 100), stream=True))
    # All at once, so that the server opens as many connections to the upstream as it will need.
    await _receive_all(connections, [warm] * len(connections))
    # Live streams do not start at once and are not in step: half a token's time and a bit between the starts.
    apart_s = (1 / 2 + 1 / len(connections)) / load.rate if load.rate else 0.0
    measured = Measured()
    for _ in range(load.repeat):
        cpu_before, started_at = cpu_s(load.pid), time.perf_counter()
        received = await _receive_all(connections, [sent] * len(connections), apart_s)
        measured.wall_s += time.perf_counter() - started_at
        measured.cpu_s += cpu_s(load.pid) - cpu_before
        for one in received:
            measured.first_ms.append(one.first_ms)
            _verify(measured, one, load.tokens)
    return measured


async def _whole(load: Load, connections: list[raw_http.Connection]) -> Measured:
    sent = raw_http.post(load.path, answers.request(answers.Wanted(load.tokens, 0), stream=False))
    await _receive_all(connections, [sent] * len(connections))
    measured = Measured()
    cpu_before, started_at = cpu_s(load.pid), time.perf_counter()
    until = started_at + load.seconds
    await asyncio.gather(*(_ask_until(until, one, sent, load.tokens, measured) for one in connections))
    measured.wall_s = time.perf_counter() - started_at
    measured.cpu_s = cpu_s(load.pid) - cpu_before
    return measured


async def _ask_until(
    until: float, connection: raw_http.Connection, sent: bytes, tokens: int, measured: Measured
) -> None:
    # The whole text is one JSON string in a chat completion and in a Responses stream alike.
    needle = msgspec.json.encode(answers.text(tokens))
    while time.perf_counter() < until:
        connection.send(sent)
        body = await connection.read()
        while not connection.done:
            body += await connection.read()
        if connection.status == 200 and needle in body:
            measured.answers += 1
            measured.tokens += tokens
        else:
            _verify(measured, _Received(body, 0.0, connection.status), tokens)


async def _receive_all(
    connections: list[raw_http.Connection], sent: list[bytes], apart_s: float = 0.0
) -> list[_Received]:
    waits = (_receive(*pair, number * apart_s) for number, pair in enumerate(zip(connections, sent, strict=True)))
    return await asyncio.gather(*waits)


async def _receive(connection: raw_http.Connection, sent: bytes, wait_s: float = 0.0) -> _Received:
    """One request and all of its answer. The status of an answer with no token is the caller's to look at."""
    if wait_s:
        await asyncio.sleep(wait_s)
    started_at = time.perf_counter()
    connection.send(sent)
    first_ms = 0.0
    batches: list[bytes] = []
    while batch := await connection.read():
        batches.append(batch)
        if not first_ms and answers.FIRST_TOKEN.search(batch if len(batches) == 1 else b"".join(batches)):
            first_ms = (time.perf_counter() - started_at) * 1000
    return _Received(b"".join(batches), first_ms, connection.status)


def _verify(measured: Measured, received: _Received, tokens: int) -> None:
    measured.answers += 1
    try:
        whole = received.status == 200 and answers.read_text(received.body) == answers.text(tokens)
    except (ValueError, LookupError, msgspec.DecodeError):
        whole = False
    if whole:
        measured.tokens += tokens
    else:
        measured.lost += 1
        if measured.lost == 1:
            sys.stderr.write(f"bench: a wrong answer, status {received.status}: {received.body[:300]!r}\n")


if __name__ == "__main__":
    result = uvloop.run(run(msgspec.json.decode(sys.argv[1], type=Load)))
    sys.stdout.buffer.write(msgspec.json.encode(result))
