"""The OpenAPI document, made from the same table that requests are dispatched by.

FastAPI renders its frame: paths, summaries, and who needs a key. What the endpoints take and answer is filled in from
`openapi_operations.py`. Imported with the first request for the document: FastAPI takes longer to import than the rest
of the gateway together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.security import APIKeyHeader, HTTPBearer

from lib.web.asgi import OPENAI
from lib.web.openapi_answers import ANSWERS
from lib.web.openapi_operations import JSON, OPERATIONS
from lib.web.openapi_requests import REQUESTS
from lib.web.openapi_shapes import ref
from lib.web.paths import Endpoint

_DESCRIPTION = (
    "A gateway that speaks the OpenAI API and the Anthropic Messages API. Requests and answers are those of the "
    "vendors' own references; what is said here is what becomes of each parameter. Every path under `/v1` also answers "
    "without it. What had no effect is named in the response header `x-gateway-ignored`; with the request header "
    "`x-gateway-strict: true` it is refused instead."
)
_HEADERS = {
    "x-request-id": "The name of the request in the log. A plain one of the client's is kept.",
    "x-gateway-ignored": "The parameters that had no effect, by their names, joined with commas.",
    "x-gateway-estimated": "The members of the answer that are estimates.",
    "x-gateway-upstream": "The upstream that answered.",
    "x-gateway-account": "The account or key that was used last: its slot and a short hash.",
    "x-gateway-attempts": "How many calls of the upstream it took, as far as they were made when the answer began.",
    "x-gateway-ttfb-ms": "Milliseconds to the first output, if that was there when the answer began.",
    "server-timing": "Milliseconds within the gateway, until the upstream's first output, and in all.",
    "retry-after": "Seconds until another try makes sense.",
    "x-should-retry": "Whether another try makes sense, for clients that try again by themselves.",
}
_STRICT = {
    "name": "x-gateway-strict",
    "in": "header",
    "description": "`true`: refuse parameters that would have no effect.",
    "schema": {"type": "string", "enum": ["true", "false"]},
}
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The whole document, for the endpoints that are to be shown."""
    shown = [endpoint for endpoint in endpoints if endpoint.shown]
    found = _frame(shown)
    for endpoint in shown:
        for method in endpoint.methods:
            operation = found["paths"][endpoint.path][method.lower()]
            operation |= _filled_in(endpoint, method)
    found["tags"] = [{"name": group} for group in dict.fromkeys(each.group for each in OPERATIONS.values())]
    found["components"] |= {
        "schemas": {**REQUESTS, **ANSWERS},
        "parameters": {"strict": _STRICT},
        "headers": {
            name: {"description": description, "schema": {"type": "string"}} for name, description in _HEADERS.items()
        },
    }
    return found


def _frame(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    app = FastAPI(title="chat2api", version="1", description=_DESCRIPTION)
    keys = [
        Depends(HTTPBearer(scheme_name="bearer", description="A key of this gateway.")),
        Depends(APIKeyHeader(name="x-api-key", scheme_name="x-api-key", description="The same key, in another place.")),
    ]
    for endpoint in endpoints:
        for method in endpoint.methods:
            app.add_api_route(
                endpoint.path,
                _described,
                methods=[method],
                summary=endpoint.summary,
                dependencies=keys if endpoint.needs_key else [],
                operation_id=_operation_id(endpoint, method),
                openapi_extra={"description": ""},  # instead of the docstring of the stand-in
            )
    frame = app.openapi()
    frame.setdefault("components", {})
    return frame


async def _described() -> dict[str, Any]:
    """Stands in the document for an endpoint that the gate answers itself; requests never come here."""
    raise NotImplementedError


def _filled_in(endpoint: Endpoint, method: str) -> dict[str, Any]:
    operation = OPERATIONS.get((method, endpoint.path))
    members: dict[str, Any] = operation.members() if operation is not None else {"tags": ["Further"]}
    good: dict[str, Any] = {"description": "Good.", "headers": _headers("x-request-id")}
    if operation is not None:
        good["headers"] |= _headers(*operation.headers)
        good["content"] = operation.answers()
    errors = {
        **(operation.errors if operation is not None else {}),
        "4XX": "The request is at fault, or has to wait.",
        "5XX": "The gateway or an upstream is at fault.",
    }
    error = {JSON: {"schema": ref("Error" if endpoint.family is OPENAI else "MessagesError")}}
    hints = _headers("x-request-id", "x-should-retry", "retry-after")
    members["responses"] = {
        "200": good,
        **{status: {"description": when, "headers": hints, "content": error} for status, when in errors.items()},
    }
    named = _PATH_PARAMETER.findall(endpoint.path)
    if named:
        members["parameters"] = [
            *members.get("parameters", ()),
            *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in named),
        ]
    return members


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _operation_id(endpoint: Endpoint, method: str) -> str:
    """`get_v1_models_id`"""
    return method.lower() + _PATH_PARAMETER.sub(r"\1", endpoint.path).replace("/", "_")
