"""Requests of a well-behaved client to the fake Codex backend, and their wrong variants, for its own tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from tests.fakes import tokens
from tests.fakes.codex_answers import png
from tests.fakes.codex_backend import RESPONSES, CodexBackend

Fields = dict[str, Any]
PNG = f"data:image/png;base64,{png('x')}"


def send(method: str, url: str, **options: Any) -> httpx.Response:
    """One request on a connection of its own, with no cookie jar; no TLS context to build."""
    return httpx.request(method, url, verify=False, trust_env=False, **options)


def headers(account: str = "acct-1", changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Good headers; `changes` replace some, None leaves one out. Names may be written with underscores."""
    named = {name.replace("_", "-"): value for name, value in (changes or {}).items()}
    all_headers: dict[str, str | None] = {
        "authorization": f"Bearer {tokens.jwt(account)}",
        "chatgpt-account-id": account,
        "user-agent": "honest-test/1.0",
        "version": "0.154.0",
        "accept": "text/event-stream, application/json",
        **named,
    }
    return {name: value for name, value in all_headers.items() if value is not None}


def said(text: str) -> Fields:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def body(**changes: Any) -> Fields:
    fixed = {"model": "gpt-5.5", "instructions": "", "input": [said("Hej 🌊")], "store": False, "stream": True}
    return {name: value for name, value in {**fixed, **changes}.items() if value is not ...}


def function(**changes: Any) -> Fields:
    parameters = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    return {"type": "function", "name": "dive", "parameters": parameters, "strict": False, **changes}


def call(call_id: str = "call_1") -> Fields:
    return {"type": "function_call", "call_id": call_id, "name": "dive", "arguments": "{}"}


def result(call_id: str = "call_1") -> Fields:
    return {"type": "function_call_output", "call_id": call_id, "output": "42"}


def post(
    backend: CodexBackend, json: Fields, path: str = RESPONSES, changes: Mapping[str, str | None] | None = None
) -> httpx.Response:
    return send("POST", backend.url + path, json=json, headers=headers(changes=changes))


def part(**fields: Any) -> Fields:
    return body(input=[{"type": "message", "role": "user", "content": [fields]}])
