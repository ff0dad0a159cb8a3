"""A small emulator of the AWS Lambda Runtime API, over real sockets, and the process that AWS's own client runs in.

As strict as the platform is: one event at a time, calls that do not fit the state are 403, a wrong id is 400, an
answer over the limit is 413, a response mode other than `streaming` is 400. Every refusal is recorded.

A streamed answer is handed to the test while it comes, piece by piece; `how` says how it is read. A process whose
id is `freezes` is stopped while it waits for an event, as a sandbox is.
"""

from __future__ import annotations

import contextlib
import enum
import itertools
import json
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MAX_ANSWER_BYTES = 6_291_556
_PREFIX = "/2018-06-01/runtime/"


class State(enum.Enum):
    """Of the one sandbox. `next` leads from STARTING and ANSWERED to WAITING, an event to BUSY, an answer onwards; a
    streamed one by way of STREAMING."""

    STARTING = "starting"
    WAITING = "waiting"
    BUSY = "busy"
    STREAMING = "streaming"
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass
class Posted:
    """What the function posted for one event. A streamed answer grows until `ended` is set."""

    kind: str
    """`response` or `error`."""
    headers: Mapping[str, str]
    connection: int
    """The client's port."""
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    """When each chunk came (monotonic seconds), and what it was; one piece for an answer with a length."""
    trailers: dict[str, str] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)
    complete: bool = False
    """False for a stream that broke off without its last chunk."""

    @property
    def body(self) -> bytes:
        return b"".join(data for _, data in self.pieces)

    @property
    def is_streamed(self) -> bool:
        return "lambda-runtime-function-response-mode" in self.headers

    def wait(self, timeout_s: float = 20) -> Posted:
        """Until the last byte. Raises TimeoutError."""
        if not self.ended.wait(timeout_s):
            raise TimeoutError("the answer does not end")
        return self


@dataclass(frozen=True)
class How:
    """How a streamed answer is read.

    hold: nothing of the body is read before this is set. cut_after: the connection is reset after so many bytes.
    refuse: (bytes, status) an answer in mid-stream. forget: then the API goes on waiting for an answer.
    """

    hold: threading.Event | None = None
    cut_after: int | None = None
    refuse: tuple[int, int] | None = None
    forget: bool = False


class RuntimeApi:
    """The Runtime API of one sandbox; a context manager. `address` is what AWS_LAMBDA_RUNTIME_API holds."""

    def __init__(self, *, remaining_s: float = 60) -> None:
        self.state = State.STARTING
        self.refusals: list[str] = []
        self.init_error: dict[str, Any] | None = None
        self.how = How()
        self.freezes = 0
        self.closes = False
        """Whether each connection is closed after an answer that did not say so."""
        self.calls: list[tuple[str, int]] = []
        """Each call's last word and the client's port: one port, one connection."""
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
        self.end()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def end(self) -> None:
        """No further event: a client that asks for one is told so with a 500."""
        self._events.put(None)

    def invoke(self, event: Any, *, timeout_s: float = 20) -> Posted:
        """Hand the event out and wait for the end of what the function posts. Raises queue.Empty when nothing comes."""
        return self.begin(event, timeout_s=timeout_s).wait(timeout_s)

    def begin(self, event: Any, *, timeout_s: float = 20) -> Posted:
        """Hand the event out and wait for the head of what the function posts."""
        self._events.put(event if isinstance(event, bytes) else json.dumps(event).encode())
        return self._posted.get(timeout=timeout_s)

    def begun(self, timeout_s: float = 20) -> Posted:
        """What is posted next, for the event that was handed out already."""
        return self._posted.get(timeout=timeout_s)

    def next_event(self) -> tuple[dict[str, str], bytes] | None:
        """For the server: blocks until there is an event; None when the sandbox is to end."""
        event = self._events.get()
        if event is None:
            return None
        if self.freezes:
            os.kill(self.freezes, signal.SIGCONT)
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
        if self.freezes:
            os.kill(self.freezes, signal.SIGSTOP)
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
                self.state = State.STREAMING if posted.is_streamed else State.ANSWERED
                self._posted.put(posted)
            return refusal

    def streamed(self, posted: Posted, *, complete: bool) -> None:
        """For the server: nothing more comes of a streamed answer."""
        with self._lock:
            self.state = State.BUSY if self.how.forget else State.ANSWERED
        posted.complete = complete
        posted.ended.set()

    def _refuse_answer(self, posted: Posted) -> tuple[int, str] | None:
        mode = posted.headers.get("lambda-runtime-function-response-mode")
        if mode not in (None, "streaming"):
            return self._refuse(400, "InvalidFunctionResponseMode", mode or "")
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

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A process that is killed leaves connections behind; anything else is a fault of the emulator."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        if self.path != f"{_PREFIX}invocation/next":
            return self._answer(404, {}, b"")
        self.server.api.calls.append(("next", self.client_address[1]))
        refusal = self.server.api.start_waiting()
        if refusal:
            return self._refuse(*refusal)
        handed_out = self.server.api.next_event()
        if handed_out is None:
            return self._refuse(500, "SandboxEnds")
        return self._answer(200, *handed_out)

    def do_POST(self) -> None:
        path, port = self.path.removeprefix(_PREFIX), self.client_address[1]
        headers = {name.lower(): value for name, value in self.headers.items()}
        posted = Posted(path.rpartition("/")[2], headers, port)
        self.server.api.calls.append((posted.kind, port))
        if not posted.is_streamed:
            posted.pieces.append((time.monotonic(), self.rfile.read(int(headers.get("content-length") or 0))))
            posted.complete = True
            posted.ended.set()
        refusal = self.server.api.accept(path, posted)
        if refusal:
            return self._refuse(*refusal)
        if posted.is_streamed and not self._read_stream(posted):
            return None
        return self._answer(202, {"Content-Type": "application/json"}, b'{"status":"OK"}')

    def _read_stream(self, posted: Posted) -> bool:
        """Reads chunks until the last one; False if the connection is over, from either side."""
        how, api = self.server.api.how, self.server.api
        try:
            if how.hold is not None:
                how.hold.wait(20)
            while size := int(self.rfile.readline(), 16):
                data = self.rfile.read(size + 2)
                if not data.endswith(b"\r\n"):
                    raise ValueError("a chunk does not end")
                posted.pieces.append((time.monotonic(), data[:-2]))
                if how.refuse is not None and len(posted.body) >= how.refuse[0]:
                    self.close_connection = True
                    api.streamed(posted, complete=False)
                    self._refuse(how.refuse[1], "RequestEntityTooLarge")
                    return False
                if how.cut_after is not None and len(posted.body) >= how.cut_after:
                    self.close_connection = True
                    api.streamed(posted, complete=False)  # first: the function may ask for its next event at once
                    self._reset()
                    return False
            while (line := self.rfile.readline()) != b"\r\n":
                name, found, value = line.decode().partition(":")
                if not found:
                    raise ValueError("neither a trailer nor the end")
                posted.trailers[name.lower()] = value.strip()
        except (OSError, ValueError):
            self.close_connection = True
            api.streamed(posted, complete=False)
            return False
        api.streamed(posted, complete=True)
        return True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RDWR)

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
        self.close_connection = self.close_connection or self.server.api.closes

    def log_message(self, format: str, *args: object) -> None:
        """Tests read `RuntimeApi.refusals` instead."""


@contextlib.contextmanager
def python_runtime(
    api: RuntimeApi, handler: str, *, cwd: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """AWS's own Python client (awslambdaric) with a handler of this repository, as the managed runtime starts it.
    `cwd` keeps a developer's `.env` out; output goes to `cwd/lambda.log`. Killed at the end, as the platform does."""
    with _sandbox(api, [sys.executable, "-m", "awslambdaric", handler], handler, cwd, env or {}) as process:
        yield process


@contextlib.contextmanager
def streaming_runtime(
    api: RuntimeApi, *, cwd: Path, env: Mapping[str, str] | None = None, command: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """The runtime of this repository, started as AWS_LAMBDA_EXEC_WRAPPER is: with the command that it replaces."""
    command = command or [str(ROOT / "bootstrap"), sys.executable, "/var/runtime/bootstrap.py"]
    with _sandbox(api, command, "api.aws_lambda.handler", cwd, env or {}) as process:
        yield process


@contextlib.contextmanager
def _sandbox(
    api: RuntimeApi, command: Sequence[str], handler: str, cwd: Path, env: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
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
        **env,
    }
    with (cwd / "lambda.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)
