"""The sections `stream`, `forward` and `whole`: load on a running server, gateway and controls in turn every round."""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass

import msgspec

from bench.client import Load, Measured
from bench.processes import (
    GATEWAY,
    GATEWAY_FORWARDING,
    RELAY_RAW,
    RELAY_RAW_CHAT,
    RELAY_TRANSLATING,
    BenchError,
    Server,
    Target,
    cores,
    output,
    peak_rss_mb,
    serving,
    upstream,
)
from bench.report import Aim, Metric, Samples


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    rounds: int
    first_requests: int
    paced_s: float
    """Seconds that a paced stream lasts."""
    paced_streams: int
    full_tokens: int
    """Tokens of one stream at full speed."""
    full_streams: int
    full_repeat: int
    whole_s: float
    whole_connections: int
    cold_starts: int


NORMAL = Size(
    rounds=5,
    first_requests=200,
    paced_s=10,
    paced_streams=64,
    full_tokens=20_000,
    full_streams=16,
    full_repeat=3,
    whole_s=4.0,
    whole_connections=16,
    cold_starts=15,
)
QUICK = Size(
    rounds=1,
    first_requests=40,
    paced_s=3,
    paced_streams=64,
    full_tokens=8_000,
    full_streams=16,
    full_repeat=2,
    whole_s=1.0,
    whole_connections=16,
    cold_starts=3,
)

_RATE = 50  # tokens a second, as live models send
_WHOLE_TOKENS = 2  # ten events with what goes before and after them

_RAW, _TRANSLATING = RELAY_RAW.name, RELAY_TRANSLATING.name

FIRST = Metric("first token over direct", "ms", _RAW, 2, Aim(at_most=0.8))
FIRST_PACED = Metric("first token, paced", "ms", _RAW, 2)
PACED_CPU = Metric("CPU per 1M tokens, paced", "s", _RAW, 1, Aim(at_most=1.6, ratio=True))
PEAK = Metric("peak memory, paced", "MB", _RAW, 1, Aim(at_most=100))
FULL_CPU = Metric("CPU per 1M tokens, full speed", "s", _RAW, 2)
FULL_SPEED = Metric("tokens a second, full speed", "", _TRANSLATING, 0, Aim(at_least=0.5, ratio=True))
FORWARD_SPEED = Metric("forwarded tokens a second, full speed", "", _RAW, 0, Aim(at_least=0.8, ratio=True))
FORWARD_CPU = Metric("CPU per 1M forwarded tokens, full speed", "s", _RAW, 2)
FORWARD_PACED_CPU = Metric("CPU per 1M forwarded tokens, paced", "s", _RAW, 1)
WHOLE = Metric("whole answers a second", "", _RAW, 0, Aim(at_least=2500))
WHOLE_CPU = Metric("CPU per 1,000 whole answers", "s", _RAW, 2)


def stream(samples: Samples, size: Size, targets: tuple[Target, ...] = (RELAY_RAW, RELAY_TRANSLATING, GATEWAY)) -> None:
    """First token, CPU per token, tokens a second and peak memory of streamed answers."""
    with upstream() as backend:
        for round_ in range(size.rounds):
            for target in targets:
                _say(f"stream: round {round_ + 1} of {size.rounds}, {target.name}")
                with serving(target, backend.port) as server:
                    _stream(samples, size, target.name, server, backend)


def forward(samples: Samples, size: Size, targets: tuple[Target, ...] = (RELAY_RAW_CHAT, GATEWAY_FORWARDING)) -> None:
    """Streams that the gateway hands on unread, because client and upstream both speak Chat Completions."""
    with upstream() as backend:
        for round_ in range(size.rounds):
            for target in targets:
                _say(f"forward: round {round_ + 1} of {size.rounds}, {target.name}")
                with serving(target, backend.port) as server:
                    measured = _paced(size, server)
                    samples.add(FORWARD_PACED_CPU, target.name, measured.cpu_s / measured.tokens * 1e6)
                    measured = _full(size, server)
                    samples.add(FORWARD_CPU, target.name, measured.cpu_s / measured.tokens * 1e6)
                    samples.add(FORWARD_SPEED, target.name, measured.tokens / measured.wall_s)


def whole(samples: Samples, size: Size, targets: tuple[Target, ...] = (RELAY_RAW, GATEWAY)) -> None:
    """Whole answers a second."""
    with upstream() as backend:
        for round_ in range(size.rounds):
            for target in targets:
                _say(f"whole: round {round_ + 1} of {size.rounds}, {target.name}")
                with serving(target, backend.port) as server:
                    load = Load("whole", server.port, server.pid, tokens=_WHOLE_TOKENS)
                    load.streams, load.seconds = size.whole_connections, size.whole_s
                    measured = measure(load)
                    samples.add(WHOLE, target.name, measured.answers / measured.wall_s)
                    samples.add(WHOLE_CPU, target.name, measured.cpu_s / measured.answers * 1000)


def _stream(samples: Samples, size: Size, name: str, server: Server, backend: Server) -> None:
    # The first token comes with the preamble and nothing else; the pauses are too short for the cores to fall asleep,
    # which would be measured otherwise.
    first = Load("first", server.port, server.pid, tokens=3, rate=2000)
    first.repeat, first.direct_port = size.first_requests, backend.port
    measured = measure(first)
    samples.add(FIRST, name, statistics.median(measured.first_ms) - statistics.median(measured.direct_ms))

    measured = _paced(size, server)
    samples.add(FIRST_PACED, name, statistics.median(measured.first_ms))
    samples.add(PACED_CPU, name, measured.cpu_s / measured.tokens * 1e6)
    samples.add(PEAK, name, peak_rss_mb(server.pid))  # before full speed, which would raise it

    measured = _full(size, server)
    samples.add(FULL_CPU, name, measured.cpu_s / measured.tokens * 1e6)
    samples.add(FULL_SPEED, name, measured.tokens / measured.wall_s)


def _paced(size: Size, server: Server) -> Measured:
    paced = Load("streams", server.port, server.pid, tokens=round(size.paced_s * _RATE), rate=_RATE)
    paced.streams = size.paced_streams
    return measure(paced)


def _full(size: Size, server: Server) -> Measured:
    full = Load("streams", server.port, server.pid, tokens=size.full_tokens)
    full.streams, full.repeat = size.full_streams, size.full_repeat
    return measure(full)


def measure(load: Load) -> Measured:
    """Run the load client. Raises BenchError if an answer came back wrong: such a figure means nothing."""
    command = [sys.executable, "-m", "bench.client", msgspec.json.encode(load).decode()]
    measured = msgspec.json.decode(output(command, cores()[1], {}), type=Measured)
    if measured.lost or not measured.answers:
        raise BenchError(f"{measured.lost} of {measured.answers} answers were wrong ({load.kind})")
    return measured


def _say(what: str) -> None:
    sys.stderr.write(f"bench: {what}\n")
