"""Requests in process, and what becomes of a judge's word."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lib.doctor import judges
from lib.doctor.finding import Finding
from lib.doctor.walk import App, Call, Judge, ask, walk

KEY = "sk-walk-0123456789abcdef"
CORS = {"access-control-allow-origin": "*"}


def answering(headers: Mapping[str, str]) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": pairs})
        await send({"type": "http.response.body", "body": b"[]"})

    return app


def one(app: App, judge: Judge) -> Finding:
    [found] = asyncio.run(walk(app, KEY, {"Some": [Call("GET", "/v1/models", judge)]}))
    return found


def test_answers_without_cors_or_form_are_problems() -> None:
    assert "CORS" in one(answering({}), judges.listing).found
    found = one(answering(CORS), judges.listing)
    assert found.status == "problem" and "TypeError" in found.found
    assert one(answering(CORS), lambda seen: None).status == "ok"


def test_requests_in_process_are_those_of_a_real_server() -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        names = b",".join(sorted(name for name, _ in scope["headers"]))
        line = f"{scope['method']} {scope['path']}?".encode() + scope["query_string"] + b" " + names + b" " + body
        await send({"type": "http.response.start", "status": 201, "headers": [(b"A", b"b")]})
        await send({"type": "http.response.body", "body": line})

    seen = asyncio.run(ask(echo, "POST", "/x?y=1", {"authorization": "z"}, {"a": 1}))
    assert (seen.status, seen.headers) == (201, {"a": "b"})
    assert seen.body == b'POST /x?y=1 authorization,content-type {"a":1}'
