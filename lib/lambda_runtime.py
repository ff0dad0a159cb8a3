"""The plain calls of the AWS Lambda Runtime API: the next event, an answer in one piece, errors.

They block, and not by neglect: while `next` waits, the sandbox is frozen, so an event loop that went on would be
stopped half-way through whatever it did. The streamed answer is `lib.lambda_post`.

Nothing but the standard library is imported here, because this is what reports that another import failed.
"""

from __future__ import annotations

import http.client
import json
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PREFIX = "/2018-06-01/runtime/"

_MAX_DURATION_S = 900.0
"""No invocation lasts longer; stands in for a deadline that was not told."""

_FRAMES = 12


class RuntimeApiError(Exception):
    """The Runtime API refused a call (`status`), or is gone (0)."""

    def __init__(self, call: str, status: int) -> None:
        super().__init__(f"{call}: {status or 'no connection'}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Invocation:
    """One event and what came with it. It is also the context that a handler of this project takes.

    event: decoded JSON, or None where it could not be decoded. deadline_at: epoch seconds.
    """

    aws_request_id: str
    event: Any
    deadline_at: float
    trace_id: str = ""
    invocation_id: str = ""

    def get_remaining_time_in_millis(self) -> int:
        """Named as in AWS's own context."""
        return max(0, int((self.deadline_at - time.time()) * 1000))

    def path(self, call: str) -> str:
        """Of `response` or `error`."""
        return f"{PREFIX}invocation/{self.aws_request_id}/{call}"

    def headers(self) -> dict[str, str]:
        """What every answer sends back unchanged."""
        return {"Lambda-Runtime-Invocation-Id": self.invocation_id} if self.invocation_id else {}


class RuntimeClient:
    """The calls on one kept connection. `address`: what AWS_LAMBDA_RUNTIME_API holds, host and port."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._connection = http.client.HTTPConnection(address)  # without a timeout: `next` may wait for hours

    def next(self) -> Invocation:
        """Blocks until there is an event. Raises RuntimeApiError."""
        status, headers, body = self._call("GET", f"{PREFIX}invocation/next")
        request_id = headers.get("Lambda-Runtime-Aws-Request-Id")
        if status != 200 or not request_id:
            raise RuntimeApiError("next", status)
        return Invocation(
            request_id,
            _decoded(body),
            _deadline_at(headers.get("Lambda-Runtime-Deadline-Ms")),
            headers.get("Lambda-Runtime-Trace-Id") or "",
            headers.get("Lambda-Runtime-Invocation-Id") or "",
        )

    def respond(self, invocation: Invocation, answer: Any) -> None:
        """Post a whole answer, as JSON. Raises RuntimeApiError."""
        self._post(invocation.path("response"), answer, invocation.headers())

    def fail(self, invocation: Invocation, error: BaseException) -> None:
        """Report that the invocation failed: the client gets 502. Raises RuntimeApiError."""
        self._post_error(invocation.path("error"), error_document(error), invocation.headers())

    def fail_init(self, error: BaseException) -> None:
        """Report that the start failed; the process is to end. Raises RuntimeApiError."""
        document = error_document(error)
        if isinstance(error, ImportError):
            document["errorType"] = "Runtime.ImportModuleError"
        self._post_error(f"{PREFIX}init/error", document, {})

    def close(self) -> None:
        self._connection.close()

    def _post_error(self, path: str, document: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self._post(path, document, {**headers, "Lambda-Runtime-Function-Error-Type": document["errorType"]})

    def _post(self, path: str, document: Any, headers: Mapping[str, str]) -> None:
        # The standard codec, and all but ASCII escaped: the size of an answer is judged by exactly this form.
        body = json.dumps(document).encode("ascii")
        status, _, _ = self._call("POST", path, body, {"Content-Type": "application/json", **headers})
        if status != 202:
            raise RuntimeApiError(path.removeprefix(PREFIX), status)

    def _call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        kept = self._connection.sock is not None
        try:
            return self._exchange(method, path, body, headers or {})
        except (http.client.HTTPException, OSError) as error:
            if not kept:
                raise RuntimeApiError(path.removeprefix(PREFIX), 0) from error
        try:
            return self._exchange(method, path, body, headers or {})  # a kept connection may have been closed long ago
        except (http.client.HTTPException, OSError) as error:
            raise RuntimeApiError(path.removeprefix(PREFIX), 0) from error

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            return response.status, response.headers, response.read()
        except BaseException:
            self._connection.close()
            raise


def error_document(error: BaseException) -> dict[str, Any]:
    """An exception as the Runtime API takes it: class and places. Its text may hold what was in flight, so only that
    of a failed import is told, which names a module of the bundle."""
    name = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return {
        "errorMessage": str(error) if isinstance(error, ImportError) else f"The application raised {name}.",
        "errorType": f"Runtime.{name}",
        "stackTrace": [f"{frame.filename}:{frame.lineno}:{frame.name}" for frame in frames],
    }


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)  # the standard codec: it reads lone surrogates, which then get an answer of their own
    except (ValueError, RecursionError):
        return None


def _deadline_at(milliseconds: str | None) -> float:
    if milliseconds is None or not milliseconds.isdecimal():
        return time.time() + _MAX_DURATION_S
    return int(milliseconds) / 1000
