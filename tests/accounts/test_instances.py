"""Three processes that share a Redis server, in front of the strict fake backend: how often do they meet an account
that has reached its limit?"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.codex_backend import CodexBackend
from tests.fakes.redis_server import redis_server
from tests.fakes.tokens import jwt

COUNT = 3
ACCOUNTS = ("acct-1", "acct-2", "acct-3")


class Fleet:
    """The processes, and the backend that they have in common."""

    def __init__(self, backend: CodexBackend, instances: list[subprocess.Popen[str]]) -> None:
        self.backend = backend
        self._instances = instances

    def tell(self, number: int, words: str) -> None:
        stdin = self._instances[number].stdin
        assert stdin is not None
        stdin.write(f"{words}\n")
        stdin.flush()

    def hear(self, number: int) -> tuple[int, float]:
        """Requests that succeeded, and the milliseconds of the slowest lease."""
        stdout = self._instances[number].stdout
        assert stdout is not None
        good, slowest_ms = stdout.readline().split()
        return int(good), float(slowest_ms)

    def run(self, number: int, words: str) -> tuple[int, float]:
        self.tell(number, words)
        return self.hear(number)

    def limited(self) -> int:
        """How often a limited account was asked so far."""
        return [request.status for request in self.backend.generations].count(429)


@contextlib.contextmanager
def fleet() -> Iterator[Fleet]:
    root = Path(__file__).parents[2]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with contextlib.ExitStack() as stack:
        backend, redis = stack.enter_context(CodexBackend()), stack.enter_context(redis_server())
        tokens = [jwt(account, user_id=f"user-{account}") for account in ACCOUNTS]
        instances = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.accounts.instance", backend.url, redis.url, *tokens],
                    cwd=root,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(COUNT)
        ]
        found = Fleet(backend, instances)
        for way in ("shared 2", "alone 2"):  # connections and imports
            for number in range(COUNT):
                found.tell(number, way)
            assert [found.hear(number)[0] for number in range(COUNT)] == [2] * COUNT
        yield found
        for instance in instances:
            assert instance.stdin is not None
            instance.stdin.close()
        assert [instance.wait(10) for instance in instances] == [0] * COUNT


@pytest.fixture(scope="module")
def processes() -> Iterator[Fleet]:
    with fleet() as found:
        yield found


def exhaust(processes: Fleet, way: str) -> None:
    """The account that serves the conversation reaches its limit; the one that had reached it before is good again."""
    backend = processes.backend
    for each in ACCOUNTS:
        backend.accounts[each].exhausted_until = None
    assert processes.run(0, f"{way} 1")[0] == 1
    account = backend.generations[-1].account
    assert account is not None
    backend.accounts[account].exhausted_until = time.time() + 3600


@pytest.mark.parametrize(("way", "met"), [("alone", COUNT), ("shared", 1)])
def test_what_one_process_was_told_the_others_need_not_ask(processes: Fleet, way: str, met: int) -> None:
    exhaust(processes, way)
    before = processes.limited()
    assert processes.run(0, f"{way} 1")[0] == 1
    assert processes.limited() - before == 1
    for number in (1, 2, 0):
        assert processes.run(number, f"{way} 5")[0] == 5
    assert processes.limited() - before == met


def test_requests_at_the_same_time_meet_the_limit_once_for_each_process_at_most(processes: Fleet) -> None:
    exhaust(processes, "shared")
    before = processes.limited()
    for number in range(COUNT):
        processes.tell(number, "shared 15")
    heard = [processes.hear(number) for number in range(COUNT)]
    assert [good for good, _ in heard] == [15] * COUNT
    assert 1 <= processes.limited() - before <= COUNT
    assert max(slowest_ms for _, slowest_ms in heard) < 250  # the store's own limit: reading is no burden
