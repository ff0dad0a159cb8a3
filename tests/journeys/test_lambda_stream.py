"""The gateway as a streaming Lambda function in front of the fake backend: time, disconnects, freezes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.fakes.codex_backend import CodexBackend
from tests.fakes.codex_behaviours import Drop, stream
from tests.fakes.lambda_events import function_url, rest_api
from tests.fakes.lambda_streams import seen_through_url
from tests.fakes.runtime_api import How, Posted, RuntimeApi, streaming_runtime
from tests.fakes.serving import wait_until
from tests.journeys.gateway import KEY, TOKENS
from tests.journeys.secrets_kept import leaked
from tests.journeys.seen import PATHS, body_of

DIALECTS = pytest.mark.parametrize("dialect", ["chat", "responses"])
FROZEN_S = 0.3


@dataclass
class Function:
    """A sandbox with one function in it."""

    api: RuntimeApi
    backend: CodexBackend
    pid: int
    log_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def lines(self) -> list[str]:
        return [line for line in self.log.splitlines() if line.startswith("request.done ")]

    def hang_up(self) -> None:
        """The upstream closes every connection, as it does with those that were silent for too long."""
        loop, server = self.backend._threads.loop, self.backend._server
        for connection in list(server.connections):
            loop.call_soon_threadsafe(connection.transport.close)
        assert wait_until(lambda: not server.connections)


def event(dialect: str, door: Any = function_url, *, streamed: bool = True) -> Any:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    return door("POST", PATHS[dialect], headers=headers, body=msgspec.json.encode(body_of(dialect, stream=streamed)))


def assert_good(posted: Posted) -> None:
    seen = seen_through_url(posted)
    assert (seen.status, posted.trailers, posted.complete) == (200, {}, True)
    assert b"response.completed" in seen.body or seen.body.endswith(b"data: [DONE]\n\n")


@pytest.fixture
def function(tmp_path: Path) -> Iterator[Function]:
    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(CodexBackend())
        api = stack.enter_context(RuntimeApi())
        env = {
            "AUTH_TOKENS": KEY,
            "CHATGPT_ACCESS_TOKENS": ",".join(TOKENS),
            "USAGE_MAX_AGE_S": "0",  # connections and requests are counted
            "CHATGPT_BASE_URL": backend.url,
            "KEEP_ALIVE_S": "0.1",
            "COMMIT_WAIT_S": "0.1",
        }
        process = stack.enter_context(streaming_runtime(api, cwd=tmp_path, env=env))
        function = Function(api, backend, process.pid, tmp_path / "lambda.log")
        yield function
        assert api.refusals == []
        assert process.poll() is None
        assert not leaked(function.log, (KEY, *TOKENS))


@DIALECTS
def test_tokens_arrive_while_the_upstream_writes_them(function: Function, dialect: str) -> None:
    function.backend.always(stream("text", pause_s=0.02))
    posted = function.api.begin(event(dialect))
    assert wait_until(lambda: len(posted.pieces) > 2)
    assert not function.backend.requests[-1].closed.is_set()
    assert_good(posted.wait())
    times = [at for at, _ in posted.pieces]
    assert times[-1] - times[0] > 0.05
    assert sum(later - earlier > 0.01 for earlier, later in zip(times, times[1:], strict=False)) >= 3


def test_silence_is_bridged(function: Function) -> None:
    function.backend.always(stream("text", stall_after=2))
    posted = function.api.begin(event("chat"))
    assert wait_until(lambda: posted.body.count(b"\n\n") >= 3)
    assert b'"content":"' not in posted.body


@DIALECTS
@pytest.mark.parametrize("talking", [True, False], ids=["talking", "silent"])
def test_client_that_leaves_ends_the_upstream(function: Function, dialect: str, talking: bool) -> None:
    function.backend.always(stream("text", pause_s=0.05) if talking else stream("text", stall_after=8))
    function.api.how = How(cut_after=700)
    posted = function.api.begin(event(dialect))
    assert not posted.wait(5).complete
    assert function.backend.wait_closed(1)
    assert function.backend.requests[-1].client_left
    function.backend.always(stream("text"))
    function.api.how = How()
    assert_good(function.api.invoke(event(dialect)))
    assert ["status=499" in line for line in function.lines()] == [True, False]


def test_failures_of_the_upstream_have_their_own_status_before_the_first_byte(function: Function) -> None:
    function.backend.always(Drop())
    seen = seen_through_url(function.api.invoke(event("chat")))
    assert (seen.status, seen.headers["content-type"]) == (502, "application/json")


@DIALECTS
def test_stream_that_breaks_says_so_and_ends_in_order(function: Function, dialect: str) -> None:
    function.backend.always(stream("text", reset_after=8))
    posted = function.api.invoke(event(dialect))
    assert (posted.complete, posted.trailers) == (True, {})
    assert b'"error"' in seen_through_url(posted).body


def test_one_client_serves_all_invocations(function: Function) -> None:
    for door in (function_url, rest_api, function_url):
        assert function.api.invoke(event("chat", door)).complete
    assert len(function.backend.generations) == 3
    assert function.backend.accepted == 1


@pytest.mark.parametrize("abandoned", [False, True], ids=["answered", "abandoned"])
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_next_request_succeeds_after_a_freeze_that_outlived_the_connections(
    function: Function, abandoned: bool, streamed: bool
) -> None:
    function.api.freezes = function.pid
    if abandoned:
        function.backend.script(stream("text", stall_after=8))
        function.api.how = How(cut_after=700)
    function.api.invoke(event("chat"))
    function.api.how = How()
    for _ in range(2):
        before = len(function.backend.generations)
        function.hang_up()
        time.sleep(FROZEN_S)
        posted = function.api.invoke(event("chat", streamed=streamed))
        assert seen_through_url(posted).status == 200
        assert len(function.backend.generations) == before + 1
    assert function.lines()[-1].count("attempts=1") == 1


def test_freeze_that_the_connection_survives_costs_no_new_one(function: Function) -> None:
    function.api.freezes = function.pid
    for _ in range(2):
        assert_good(function.api.invoke(event("chat")))
        time.sleep(FROZEN_S)
    assert function.backend.accepted == 1
