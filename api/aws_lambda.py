"""AWS Lambda: the application for front doors that take streamed answers, and for those that take whole ones.

`main` is the whole runtime of a function that streams. The script `bootstrap` starts it: in place of AWS's own client
when `AWS_LAMBDA_EXEC_WRAPPER` names the script, or as a custom runtime. It answers function URLs with
`InvokeMode: RESPONSE_STREAM` piece by piece, and HTTP APIs, REST APIs and load balancers whole.
LAMBDA_RESPONSE_MODE=stream streams to REST APIs, too (`transferMode: STREAM`); =buffered streams to nobody.

`handler` is the setting for AWS's own client: `handler: api.aws_lambda.handler`. Streams are joined, so put it behind
`InvokeMode: BUFFERED` only: a `RESPONSE_STREAM` URL would pass the JSON envelope on to the client with status 200.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, cast

# Nothing else up here: `main` reports it when the rest cannot be imported.
from lib.lambda_runtime import Invocation, RuntimeApiError, RuntimeClient

if TYPE_CHECKING:
    from lib.lambda_adapter import Adapter, LambdaHandler
    from lib.lambda_stream import ResponseMode

handler: LambdaHandler

RESPONSE_MODE = "LAMBDA_RESPONSE_MODE"


def __getattr__(name: str) -> Any:
    """Makes `handler` when AWS's client asks for it, still during the start. `main` never does."""
    if name != "handler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    global handler
    handler = _adapter(asyncio.new_event_loop()).whole
    return handler


def main() -> None:
    """Serves until the sandbox ends. Exits with 1 if the application cannot be imported or the Runtime API is gone."""
    signal.signal(signal.SIGTERM, _end)
    runtime = RuntimeClient(os.environ["AWS_LAMBDA_RUNTIME_API"])
    with asyncio.Runner() as runner:  # one loop for all invocations; at the end it cancels what is left
        try:
            adapter = _adapter(runner.get_loop())
            mode = _response_mode()
        except Exception as error:  # noqa: BLE001 - whatever it is, the platform is to know
            runtime.fail_init(error)
            sys.exit(f"lambda.init_failed error={type(error).__name__}")
        try:
            serve(runtime, adapter, mode)
        except RuntimeApiError as error:
            sys.exit(f"lambda.runtime_api_gone call={error}")
        finally:
            runtime.close()


def _end(*_: object) -> None:
    """The sandbox is going. An exception could be raised where somebody swallows it, and then this process would be
    killed while it waits; so it ends at once, and the kernel closes its connections."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def serve(runtime: RuntimeClient, adapter: Adapter, mode: ResponseMode) -> None:
    """One event after the other. Raises RuntimeApiError when there can be no further one."""
    previous: Invocation | None = None
    while True:
        invocation = previous = _next(runtime, previous)
        os.environ["_X_AMZN_TRACE_ID"] = invocation.trace_id
        _answer(runtime, adapter, invocation, mode)


def _next(runtime: RuntimeClient, previous: Invocation | None) -> Invocation:
    try:
        return runtime.next()
    except RuntimeApiError as error:
        if error.status != 403 or previous is None:
            raise
    # The API still waits for an answer, so the connection broke under the last one.
    runtime.fail(previous, ConnectionResetError())
    return runtime.next()


def _answer(runtime: RuntimeClient, adapter: Adapter, invocation: Invocation, mode: ResponseMode) -> None:
    from lib.lambda_stream import takes_stream
    from lib.web.logs import LOGGER, log_failure

    try:
        try:
            if takes_stream(invocation.event, mode):
                adapter.stream(invocation, runtime.address)
            else:
                runtime.respond(invocation, adapter.whole(invocation.event, invocation))
        except RuntimeApiError:
            raise
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the next event may fare better
            log_failure("lambda.failed", error)
            runtime.fail(invocation, error)
    except RuntimeApiError as error:
        LOGGER.warning("lambda.not_taken", extra={"fields": {"status": error.status}})


def _adapter(loop: asyncio.AbstractEventLoop) -> Adapter:
    from api.index import app
    from lib.lambda_adapter import Adapter

    return Adapter(app, loop)


def _response_mode() -> ResponseMode:
    from lib.web.logs import log_problem

    asked = os.environ.get(RESPONSE_MODE, "").strip().lower()
    if asked in ("stream", "buffered"):
        return cast("ResponseMode", asked)
    if asked:
        log_problem(RESPONSE_MODE, "expected stream or buffered")
    return None


if __name__ == "__main__":
    main()
