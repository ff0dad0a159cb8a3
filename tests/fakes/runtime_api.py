"""A small emulator of the AWS Lambda Runtime API, over real sockets, and the process that AWS's own client runs in.

As strict as the platform is: one event at a time, calls that do not fit the state are 403, a wrong id is 400, an
answer over the limit is 413, a response mode other than `streaming` is 400. Every refusal is recorded. Buffered
answers only: a streamed one is refused with 501.
"""

from __future__ import annotations

import contextlib
import enum
import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MAX_ANSWER_BYTES = 6_291_556
_PREFIX = "/2018-06-01/runtime/"


class State(enum.Enum):
    """Of the one sandbox. `next` leads from STARTING and ANSWERED to WAITING, an event to BUSY, an answer onwards."""

    STARTING = "starting"
    WAITING = "waiting"
    BUSY = "busy"
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass(frozen=True)
class Posted:
    """What the function posted for one event."""

    kind: str
    """`response` or `error`."""
    body: bytes
    headers: Mapping[str, str]


class RuntimeApi:
    """The Runtime API of one sandbox; a context manager. `address` is what AWS_LAMBDA_RUNTIME_API holds."""

    def __init__(self, *, remaining_s: float = 60) -> None:
        self.state = State.STARTING
        self.refusals: list[str] = []
        self.init_error: dict[str, Any] | None = None
        self._remaining_s = remaining_s
        self._ids = (f"00000000-0000-4000-8000-{n:012}" for n in itertools.count(1))
        self._current_id = ""
        self._lock = threading.Lock()
        self._events: queue.Queue[bytes | None] = queue.Queue()
        self._posted: queue.Queue[Posted] = queue.Queue()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> RuntimeApi:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._events.put(None)
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def invoke(self, event: Any, *, timeout_s: float = 20) -> Posted:
        """Hand the event out and wait for what the function posts. Raises queue.Empty when nothing comes."""
        self._events.put(json.dumps(event).encode())
        return self._posted.get(timeout=timeout_s)

    def next_event(self) -> tuple[dict[str, str], bytes] | None:
        """For the server: blocks until there is an event; None when the sandbox is to end."""
        event = self._events.get()
        if event is None:
            return None
        with self._lock:
            self.state, self._current_id = State.BUSY, next(self._ids)
        deadline_ms = int((time.time() + self._remaining_s) * 1000)
        return {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": self._current_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:chat2api",
            "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
        }, event

    def start_waiting(self) -> tuple[int, str] | None:
        """For the server: the refusal of this call of `next`, or None."""
        with self._lock:
            if self.state not in (State.STARTING, State.ANSWERED):
                return self._refuse(403, "InvalidStateTransition", "next")
            self.state = State.WAITING
            return None

    def accept(self, path: str, posted: Posted) -> tuple[int, str] | None:
        """For the server: takes what was posted; the refusal, or None."""
        with self._lock:
            if path == "init/error":
                if self.state is not State.STARTING:
                    return self._refuse(403, "InvalidStateTransition", path)
                self.state, self.init_error = State.FAILED, json.loads(posted.body)
                return None
            if self.state is not State.BUSY:
                return self._refuse(403, "InvalidStateTransition", path)
            if path != f"invocation/{self._current_id}/{posted.kind}":
                return self._refuse(400, "InvalidRequestID", path)
            refusal = self._refuse_answer(posted)
            if refusal is None:
                self.state = State.ANSWERED
                self._posted.put(posted)
            return refusal

    def _refuse_answer(self, posted: Posted) -> tuple[int, str] | None:
        mode = posted.headers.get("lambda-runtime-function-response-mode")
        if mode is not None:
            status = 501 if mode == "streaming" else 400
            return self._refuse(status, "InvalidFunctionResponseMode", mode)
        if len(posted.body) > MAX_ANSWER_BYTES:
            return self._refuse(413, "RequestEntityTooLarge", f"{len(posted.body)} bytes")
        return None

    def _refuse(self, status: int, kind: str, what: str) -> tuple[int, str]:
        self.refusals.append(f"{status} {kind}: {what}")
        return status, kind


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, api: RuntimeApi) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = api


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        if self.path != f"{_PREFIX}invocation/next":
            return self._answer(404, {}, b"")
        refusal = self.server.api.start_waiting()
        if refusal:
            return self._refuse(*refusal)
        handed_out = self.server.api.next_event()
        if handed_out is None:
            self.close_connection = True
            return None
        return self._answer(200, *handed_out)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.removeprefix(_PREFIX)
        headers = {name.lower(): value for name, value in self.headers.items()}
        refusal = self.server.api.accept(path, Posted(path.rpartition("/")[2], body, headers))
        if refusal:
            return self._refuse(*refusal)
        return self._answer(202, {"Content-Type": "application/json"}, b'{"status":"OK"}')

    def _refuse(self, status: int, kind: str) -> None:
        body = json.dumps({"errorMessage": kind, "errorType": kind}).encode()
        self._answer(status, {"Content-Type": "application/json"}, body)

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Tests read `RuntimeApi.refusals` instead."""


@contextlib.contextmanager
def python_runtime(
    api: RuntimeApi, handler: str, *, cwd: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """AWS's own Python client (awslambdaric) with a handler of this repository, as the managed runtime starts it.
    `cwd` keeps a developer's `.env` out; output goes to `cwd/lambda.log`. Killed at the end, as the platform does."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12",
        "AWS_LAMBDA_FUNCTION_NAME": "chat2api",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_REGION": "us-east-1",
        "LAMBDA_TASK_ROOT": str(ROOT),
        "_HANDLER": handler,
        **(env or {}),
    }
    with (cwd / "lambda.log").open("wb") as log:
        command = [sys.executable, "-m", "awslambdaric", handler]
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)
