"""What the client of a streaming function URL sees, and the runtime of this repository in a thread, with any app."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from api.aws_lambda import serve
from lib.lambda_adapter import Adapter
from lib.lambda_runtime import RuntimeApiError, RuntimeClient
from lib.lambda_stream import ResponseMode
from tests.fakes.runtime_api import Posted, RuntimeApi

CONTENT_TYPE = "application/vnd.awslambda.http-integration-response"
DELIMITER = b"\0" * 8


@dataclass(frozen=True)
class Streamed:
    """What the client of the front door sees."""

    status: int
    headers: Mapping[str, str]
    cookies: list[str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def seen_through_url(posted: Posted) -> Streamed:
    """Interprets a streamed answer as a `RESPONSE_STREAM` front door does, and fails on what one would not relay."""
    assert (posted.kind, posted.headers["content-type"]) == ("response", CONTENT_TYPE), posted.body
    head, found, body = posted.body.partition(DELIMITER)
    assert found
    assert len(head) < 16 * 1024
    prelude = json.loads(head)
    assert prelude.keys() <= {"statusCode", "headers", "cookies"}
    assert all(isinstance(value, str) for value in prelude["headers"].values())
    return Streamed(prelude["statusCode"], prelude["headers"], prelude.get("cookies", []), body)


@contextlib.contextmanager
def serving_lambda(app: Any, *, mode: ResponseMode = None, remaining_s: float = 60) -> Iterator[RuntimeApi]:
    """Runs an ASGI app in the streaming runtime against an emulated Runtime API. One that does not end is an error."""
    with RuntimeApi(remaining_s=remaining_s) as api:
        thread = threading.Thread(target=_serve, args=(app, api.address, mode), name="test-lambda", daemon=True)
        thread.start()
        try:
            yield api
        finally:
            api.end()
            thread.join(10)
        if thread.is_alive():
            raise RuntimeError("the runtime did not end")


def _serve(app: Any, address: str, mode: ResponseMode) -> None:
    runtime = RuntimeClient(address)
    with asyncio.Runner() as runner, contextlib.closing(runtime), contextlib.suppress(RuntimeApiError):
        serve(runtime, Adapter(app, runner.get_loop()), mode)
