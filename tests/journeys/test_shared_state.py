"""Gateways that share a store: what one was told, the next knows; and a store that is down is nobody's business."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.fakes.codex_backend import CodexBackend
from tests.fakes.dynamodb_table import dynamodb_table, point_aws_at
from tests.fakes.redis_server import PASSWORD, redis_server
from tests.fakes.serving import loopback_socket, wait_until
from tests.journeys.conftest import Start
from tests.journeys.gateway import Gateway

QUESTION = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(params=["redis", "dynamodb"])
def state_url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "redis":
        with redis_server() as server:
            yield server.url
        return
    with pytest.MonkeyPatch.context() as patch:
        point_aws_at("http://127.0.0.1:9", patch)
        with dynamodb_table() as table:
            point_aws_at(table.url, patch)
            yield f"dynamodb://{table.name}"


def ask(gateway: Gateway) -> int:
    return gateway.send("POST", "/v1/chat/completions", json=QUESTION).status_code


def test_the_next_gateway_does_not_meet_the_limited_account(start: Start, state_url: str) -> None:
    with CodexBackend() as backend:
        first = start(backend=backend, state_url=state_url)
        assert ask(first) == 200
        limited = backend.generations[-1].account
        assert limited is not None
        backend.accounts[limited].exhausted_until = time.time() + 3600
        assert ask(first) == 200
        assert [request.status for request in backend.generations] == [200, 429, 200]
        second = start(backend=backend, state_url=state_url)
        assert ask(second) == 200
        assert backend.generations[-1].account != limited
        assert [request.status for request in backend.generations] == [200, 429, 200, 200]
        assert "store.down" not in first.log + second.log


def test_a_store_that_is_down_fails_no_request_and_is_told_once(start: Start) -> None:
    with loopback_socket() as silent:
        silent.listen()
        gateway = start(state_url=f"redis://:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}", secrets=(PASSWORD,))
        began = time.monotonic()
        assert [ask(gateway) for _ in range(5)] == [200] * 5
        assert time.monotonic() - began < 3  # a second and a quarter for the store, and the import of its client
    assert gateway.log.count("store.down") == 1


def test_what_was_learned_while_the_store_was_down_reaches_the_next_gateway(start: Start) -> None:
    with CodexBackend() as backend, redis_server() as server:
        first = start(backend=backend, state_url=server.url)
        assert ask(first) == 200
        limited = backend.generations[-1].account
        assert limited is not None
        backend.accounts[limited].exhausted_until = time.time() + 3600
        server.stop()
        assert ask(first) == 200
        server.start()
        assert wait_until(lambda: ask(first) == 200 and "store.up" in first.log, 5)
        met = [request.status for request in backend.generations].count(429)
        second = start(backend=backend, state_url=server.url)
        assert ask(second) == 200
        assert [request.status for request in backend.generations].count(429) == met == 1
    assert first.log.count("store.down") == 1
