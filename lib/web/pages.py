"""Pages for people: the landing page, and the documentation, which is all that FastAPI is imported for."""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lib.web.asgi import Receive, Scope, Send, send_whole
from lib.web.paths import Endpoint

if TYPE_CHECKING:
    from fastapi import FastAPI

_STYLE = "body{font:1em/1.5 system-ui,sans-serif;max-width:38em;margin:4em auto;padding:0 1em}"
_LANDING = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>chat2api</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>chat2api</h1>
<p>This is a gateway that speaks the OpenAI API. It is meant for programs, and it needs a key.</p>
<p>Point a client at this address with <code>/v1</code> behind it. The endpoints are described in
<a href="/docs">the documentation</a>.</p>
</body>
</html>
""".encode()


async def landing(scope: Scope, receive: Receive, send: Send) -> None:
    """GET /: says what this is, and nothing about how it is set up."""
    digest = binascii.b2a_base64(hashlib.sha256(_STYLE.encode()).digest(), newline=False).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]
    await send_whole(send, 200, _LANDING, headers)


class Documentation:
    """GET /docs and /openapi.json, made by FastAPI from the same table that requests are dispatched by.

    FastAPI takes longer to import than the rest of the gateway together; few processes ever show this page.
    """

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = endpoints
        self._app: FastAPI | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            self._app = _documented(self._endpoints)
        path = "/" + scope["path"].strip("/")  # FastAPI would redirect, to an address made from the Host header
        await self._app({**scope, "path": path}, receive, send)


def _documented(endpoints: Sequence[Endpoint]) -> FastAPI:
    from fastapi import Depends, FastAPI
    from fastapi.security import HTTPBearer

    app = FastAPI(
        title="chat2api",
        version="1",
        description="A gateway that speaks the OpenAI API. Requests and answers are those of OpenAI's own reference.",
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    key = Depends(HTTPBearer(scheme_name="gateway key"))
    for endpoint in endpoints:
        for method in endpoint.methods:
            app.add_api_route(
                endpoint.path,
                _described,
                methods=[method],
                summary=endpoint.summary,
                dependencies=[key] if endpoint.needs_key else [],
                openapi_extra=_extra(endpoint, method),
                operation_id=_operation_id(endpoint, method),
            )
    return app


async def _described() -> dict[str, Any]:
    """Stands in the document for an endpoint that the gate answers itself; requests never come here."""
    raise NotImplementedError


def _operation_id(endpoint: Endpoint, method: str) -> str:
    """`get_v1_models_id`"""
    return method.lower() + endpoint.path.replace("/", "_").replace("{id}", "id")


def _extra(endpoint: Endpoint, method: str) -> dict[str, Any]:
    extra: dict[str, Any] = {"description": ""}  # instead of the docstring of the stand-in
    if method == "POST":
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
    if endpoint.path.endswith("{id}"):
        extra["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    return extra
