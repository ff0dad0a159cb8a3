"""Starting, pinning, reading and ending the processes that take part. Linux only: it reads /proc.

The server under test has a core to itself; the upstream and the load client share the other one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.relay import UPSTREAM_PORT

ROOT = Path(__file__).resolve().parent.parent

_START_S = 20.0
_END_S = 5.0


class BenchError(Exception):
    """A process of the bench did not start or did not do its work; the message holds what it wrote to stderr."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    port: int
    pid: int


def gateway_environment(upstream_port: int) -> dict[str, str]:
    """One account, one key, nothing logged."""
    return {
        "AUTH_TOKENS": "sk-bench",
        "CHATGPT_ACCESS_TOKENS": "at-bench000000000000000000000000",
        "CHATGPT_BASE_URL": f"http://127.0.0.1:{upstream_port}",
        "LOG_LEVEL": "WARNING",
        UPSTREAM_PORT: str(upstream_port),
    }


def forwarding_environment(upstream_port: int) -> dict[str, str]:
    """One key of an OpenAI-compatible upstream that speaks Chat Completions."""
    return {
        "AUTH_TOKENS": "sk-bench",
        "OPENAI_API_KEY": "sk-bench-upstream",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
        "OPENAI_WIRE": "chat",
        "LOG_LEVEL": "WARNING",
        UPSTREAM_PORT: str(upstream_port),
    }


@dataclass(frozen=True, slots=True)
class Target:
    """An ASGI app to measure."""

    name: str
    app: str
    """As uvicorn takes it: `module:attribute`."""
    environment: Callable[[int], dict[str, str]] = gateway_environment
    """The upstream's port → its settings."""


RELAY_RAW = Target("relay-raw", "bench.relay_raw:app")
RELAY_TRANSLATING = Target("relay-translating", "bench.relay_translating:app")
GATEWAY = Target("gateway", "api.index:app")
RELAY_RAW_CHAT = Target("relay-raw", "bench.relay_raw_chat:app")
GATEWAY_FORWARDING = Target("gateway", "api.index:app", forwarding_environment)


def plain_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """What a process of the bench sees: no proxy and no settings of the operator's own shell."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, **extra}


def cores() -> tuple[int, int]:
    """The server's core and the one for all else; the same one if there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, that a process and all its threads have used, in nanosecond steps."""
    # MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of Linux, which is what clock_getcpuclockid(3) returns. The times in
    # /proc/<pid>/stat come in steps of 10 ms.
    return time.clock_gettime((~pid << 3) | 2)


def peak_rss_mb(pid: int) -> float:
    """The most memory that a process has held, in MB (10^6 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise BenchError(f"no VmHWM for process {pid}")


@contextmanager
def upstream() -> Iterator[Server]:
    """The fake upstream, which speaks both wires."""
    command = [sys.executable, "-m", "bench.upstream"]
    with _running(command, cores()[1], {}, stdout=subprocess.PIPE) as (process, log):
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchError(f"the upstream did not start:\n{log()}")
        yield Server(int(line), process.pid)


@contextmanager
def serving(target: Target, upstream_port: int) -> Iterator[Server]:
    """A target under uvicorn in a fresh process, alone on its core."""
    port = _free_port()
    flags = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    command = [sys.executable, "-m", "uvicorn", target.app, "--host", "127.0.0.1", "--port", str(port), *flags]
    with _running(command, cores()[0], target.environment(upstream_port)) as (process, log):
        until = time.monotonic() + _START_S
        while not _accepts(port):
            if process.poll() is not None or time.monotonic() > until:
                raise BenchError(f"{target.name} did not start:\n{log()}")
            time.sleep(0.02)
        try:
            yield Server(port, process.pid)
        except BenchError as error:
            raise BenchError(f"{target.name}: {error}\n{log()}") from error


def output(command: Sequence[str], core: int, environment: Mapping[str, str], cwd: Path = ROOT) -> bytes:
    """Run to the end and return stdout; stderr is passed on. Raises BenchError if it failed."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=plain_environment(environment), cwd=cwd)
    os.sched_setaffinity(process.pid, {core})
    out, _ = process.communicate()
    if process.returncode != 0:
        raise BenchError(f"{' '.join(command)[:200]} ended with {process.returncode}")
    return out


@contextmanager
def _running(
    command: Sequence[str], core: int, environment: Mapping[str, str], stdout: int | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], _Log]]:
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env=plain_environment(environment), cwd=ROOT)
        try:
            os.sched_setaffinity(process.pid, {core})
            yield process, _Log(stderr.fileno())
        finally:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


class _Log:
    def __init__(self, file: int) -> None:
        self._file = file

    def __call__(self) -> str:
        """What the process has written so far, its last 4,000 bytes."""
        size = os.fstat(self._file).st_size
        return os.pread(self._file, 4000, max(0, size - 4000)).decode("utf-8", "replace")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
