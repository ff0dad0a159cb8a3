"""A request leaves nothing for the garbage collector, whose walks would be paid by all others."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
import pytest

from lib.settings import Settings
from lib.web.app import create_app
from lib.web.asgi import App, Message
from tests.fakes.codex_backend import CodexBackend
from tests.fakes.openai_backend import OpenAIBackend
from tests.journeys.gateway import KEY, TOKENS

MODEL = "gpt-5.5"
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi"}]},
    "/v1/responses": {"input": "Hi"},
    "/v1/messages": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9},
}


@pytest.fixture(params=["codex", "openai"])
def app(request: pytest.FixtureRequest) -> Iterator[App]:
    fixed: dict[str, Any] = {"_env_file": None, "auth_tokens": KEY, "log_level": "ERROR"}
    if request.param == "codex":
        with CodexBackend() as codex:
            yield create_app(Settings(**fixed, chatgpt_access_tokens=TOKENS[0], chatgpt_base_url=codex.url))
        return
    with OpenAIBackend(models=(MODEL,)) as openai:
        yield create_app(Settings(**fixed, openai_api_key="sk-test", openai_base_url=openai.url, openai_wire="chat"))


async def _ask(app: App, path: str, body: dict[str, Any]) -> int:
    statuses: list[int] = []
    events: list[Message] = [{"type": "http.request", "body": msgspec.json.encode(body), "more_body": False}]

    async def receive() -> Message:
        return events.pop() if events else await asyncio.sleep(60, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        statuses.append(message.get("status", 0))

    headers = [(b"authorization", f"Bearer {KEY}".encode()), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    await app(scope, receive, send)
    return statuses[0]


async def _garbage(ask: Callable[[], Awaitable[int]]) -> set[str]:
    """The types of our own objects that were left to the collector."""
    for _ in range(2):  # imports and caches
        assert await ask() == 200
    await asyncio.sleep(0.05)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        assert await ask() == 200
        await asyncio.sleep(0.05)
        gc.collect()
        return {type(each).__qualname__ for each in gc.garbage if type(each).__module__.startswith(("lib.", "api."))}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_request_leaves_no_cycle(app: App, path: str, stream: bool) -> None:
    body = {"model": MODEL, "stream": stream, **BODIES[path]}
    # A cycle of the request's own is there every time; what another thread happens to let go of is not.
    found = [asyncio.run(_garbage(lambda: _ask(app, path, body))) for _ in range(3)]
    assert set() in found, found
