"""AWS Lambda's HTTP events around Mangum: requests that it cannot read, and answers that Lambda cannot carry.

Mangum makes the ASGI scope and body before the application runs, so what it cannot read ends as an exception outside
of it: the caller gets a bare 502. And an answer above Lambda's limit is refused by the platform, whereupon AWS's
client ends the process. Both become answers in the OpenAI shape here. Pure: no clock, no socket.

An event is a function URL's or HTTP API's (format 2.0), a REST API's (1.0) or a load balancer's; an answer is the
dictionary `{"statusCode", "headers" or "multiValueHeaders", "body", "isBase64Encoded"}`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from lib.errors import GatewayError, InvalidRequest, PayloadTooLarge

MAX_ANSWER_BYTES = 6_291_556
"""The longest buffered answer: 6 MB and 100 bytes of JSON, as AWS's own emulator counts it."""

_WORST_ESCAPE = 12  # bytes that JSON may take for one character: two escapes of six for one beyond the BMP


def with_body_bytes(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event with its body as bytes and `isBase64Encoded` off. Raises InvalidRequest.

    Strict where Mangum is not: it drops characters that are not base64 and so changes a damaged body in silence.
    """
    body = event.get("body") or b""
    try:
        if event.get("isBase64Encoded"):
            body = base64.b64decode(body, validate=True)
        elif isinstance(body, str):
            body = body.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            "The request body holds a lone surrogate; it must be UTF-8.", code="invalid_body"
        ) from error
    except (ValueError, TypeError) as error:
        raise InvalidRequest("The request body is marked as base64 but is not.", code="invalid_body") from error
    return {**event, "body": body, "isBase64Encoded": False}


def unreadable(error: Exception) -> InvalidRequest:
    """What to tell the caller when no ASGI scope can be made of the event."""
    if isinstance(error, UnicodeEncodeError):
        message = "The request's path, query or headers hold a lone surrogate; they must be Unicode."
    elif isinstance(error, ValueError):
        message = "The request's Host or X-Forwarded-Port header is malformed; expected `host`, `host:port`, one port."
    else:
        message = "This is no HTTP event of a function URL, an API Gateway or a load balancer."
    return InvalidRequest(message, code="invalid_request")


def error_answer(event: Any, error: GatewayError, request_id: str) -> dict[str, Any]:
    """The error in the OpenAI shape, in the envelope that the sender of this event reads."""
    headers = {
        "content-type": "application/json",
        "x-request-id": request_id,
        "access-control-allow-origin": "*",
        "access-control-expose-headers": "x-request-id, x-should-retry",
    }
    if error.should_retry is not None:
        headers["x-should-retry"] = str(error.should_retry).lower()
    answer: dict[str, Any] = {
        "statusCode": error.status,
        "headers": headers,
        "body": json.dumps(error.envelope()),
        "isBase64Encoded": False,
    }
    if _is_load_balancer(event) and "multiValueHeaders" in event:  # it then reads nothing but this form
        del answer["headers"]
        answer["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
    return answer


def too_large(answer: Mapping[str, Any]) -> PayloadTooLarge | None:
    """The error to send in place of an answer that Lambda would refuse, else None."""
    if len(answer["body"]) * _WORST_ESCAPE < MAX_ANSWER_BYTES // 2:  # the other half is for the headers
        return None
    # Counted as AWS's client writes it on the older runtimes, all but ASCII escaped: never less than what is posted.
    size = len(json.dumps(answer))
    if size <= MAX_ANSWER_BYTES:
        return None
    return PayloadTooLarge(
        f"The answer takes {size} bytes and AWS Lambda carries at most {MAX_ANSWER_BYTES} in one piece. "
        "Ask for less (a smaller or compressed image, or a URL instead of inline data), or stream it from a "
        'deployment with response streaming ("stream": true).',
        code="response_too_large",
    )


def _is_load_balancer(event: Any) -> bool:
    context = event.get("requestContext") if isinstance(event, Mapping) else None  # a test event may be any JSON
    return isinstance(context, Mapping) and "elb" in context
