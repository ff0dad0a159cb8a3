"""READ_URLS before an upstream that speaks the caller's dialect: what is to be read is not forwarded unread."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.journeys.compatible import Compatible, Start, compatible
from tests.journeys.gateway import Host

ASKED = "Please read http://127.0.0.1/secret for me."


@pytest.fixture
def start(host: Host, http: httpx.Client) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(compatible(host, http, **settings))


def send(gateway: Compatible, dialect: str, text: str) -> httpx.Response:
    messages = [{"role": "user", "content": text}]
    if dialect == "responses":
        return gateway.send("POST", "/v1/responses", json={"model": "m", "input": text, "temperature": 0.5})
    path = "/v1/messages" if dialect == "messages" else "/v1/chat/completions"
    return gateway.send("POST", path, json={"model": "m", "messages": messages, "max_tokens": 99, "temperature": 0.5})


@pytest.mark.parametrize("wire", ["chat", "responses"])
@pytest.mark.parametrize("dialect", ["chat", "responses", "messages"])
def test_urls_are_read_before_the_body_leaves(start: Start, dialect: str, wire: str) -> None:
    gateway = start(openai_wire=wire, read_urls="on")
    answer = send(gateway, dialect, ASKED)
    assert answer.status_code == 200, answer.text
    assert "could not be read" in str(gateway.sent) and gateway.sent["temperature"] == 0.5


@pytest.mark.parametrize("wire", ["chat", "responses"])
def test_what_names_no_url_is_still_forwarded(start: Start, wire: str) -> None:
    gateway = start(openai_wire=wire, read_urls="on")
    answer = send(gateway, wire, "Hi")
    assert answer.status_code == 200 and "could not be read" not in str(gateway.sent)
    assert gateway.backend.requests[0].body == answer.request.content


@pytest.mark.parametrize("wire", ["chat", "responses"])
def test_nothing_is_read_unless_it_is_on(start: Start, wire: str) -> None:
    gateway = start(openai_wire=wire)
    answer = send(gateway, wire, ASKED)
    assert gateway.backend.requests[0].body == answer.request.content


def test_urls_in_every_kind_of_part_are_found(start: Start) -> None:
    gateway = start(openai_wire="chat", read_urls="on")
    parts: list[dict[str, Any]] = [{"type": "text", "text": "Hi"}, {"type": "text", "text": ASKED}]
    body = {"model": "m", "messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": "Well."}]}
    assert gateway.send("POST", "/v1/chat/completions", json=body).status_code == 200
    assert "could not be read" in str(gateway.sent)
