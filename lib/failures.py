"""What a caller is told of a failure in the middle of an answer, whatever it was."""

from __future__ import annotations

from lib.errors import GatewayError
from lib.types import Trace


def told(error: Exception, trace: Trace) -> GatewayError:
    """The failure in words for the caller; the trace gets its code, and what nobody expected."""
    if not isinstance(error, GatewayError):
        trace.failure = error
        error = GatewayError("The gateway met an internal error.", code="internal_error")
    trace.error = error.code
    return error
