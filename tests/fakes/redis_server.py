"""A real Redis server for tests: a process of its own on a free loopback port, with nothing on disk."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
from collections.abc import Iterator

from tests.fakes.serving import loopback_socket, wait_until

PASSWORD = "redis-canary-0123456789"


class RedisServer:
    """port and url stay the same when it is stopped and started again."""

    def __init__(self, folder: str) -> None:
        with loopback_socket() as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/1"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        fixed = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            ["redis-server", *fixed, "--requirepass", PASSWORD, "--dir", self._folder, *options],
            stdout=subprocess.DEVNULL,
        )
        if not wait_until(self._answers, timeout_s=10):
            raise RuntimeError("the Redis server did not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def say(self, *words: str) -> bytes:
        """A command in words without blanks, and the beginning of its answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(f"AUTH {PASSWORD}\r\n{' '.join(words)}\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:
                answer += connection.recv(65536)
            return answer.partition(b"\r\n")[2]

    def _answers(self) -> bool:
        try:
            return self.say("PING").startswith(b"+PONG")
        except OSError:
            return False


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(folder)
        try:
            server.start(*options)
            yield server
        finally:
            server.stop()
