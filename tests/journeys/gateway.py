"""The real application in front of a fake Codex backend, and the check that it let go of everything."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import openai

from lib.settings import Settings
from lib.web.app import create_app
from lib.web.asgi import App, Receive, Scope, Send
from lib.web.logs import LOGGER, LineHandler
from tests.fakes.codex_backend import CodexBackend
from tests.fakes.serving import serving, wait_until
from tests.journeys.secrets_kept import account_jwt, leaked

KEY = "sk-gateway-canary-0123456789-wXyZ"
ACCOUNTS = ("acct-1", "acct-2", "acct-3")
TOKENS = tuple(account_jwt(account) for account in ACCOUNTS)


class Host:
    """One uvicorn for many gateways in turn, because starting and ending a server takes longer than most tests."""

    app: App | None = None
    loop: asyncio.AbstractEventLoop
    url: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            assert self.app is not None
            await self.app(scope, receive, send)
            return
        self.loop = asyncio.get_running_loop()
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})

    def tasks(self) -> set[asyncio.Task[Any]]:
        return asyncio.all_tasks(self.loop)

    def shut_down(self, app: App) -> None:
        """What a server's orderly end tells an application."""
        asyncio.run_coroutine_threadsafe(_shut_down(app), self.loop).result(5)

    def generators(self) -> list[str]:
        """Asynchronous generators of ours that nobody closed."""
        alive: list[Any] = list(self.loop._asyncgens)  # type: ignore[attr-defined]
        return [each.__qualname__ for each in alive if "/lib/" in each.ag_code.co_filename and each.ag_frame]


async def _shut_down(app: App) -> None:
    messages = iter(({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}))

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        assert message["type"].endswith(".complete")

    await app({"type": "lifespan"}, receive, send)


class Lines(LineHandler):
    """Keeps the log lines: pytest gives `sys.stderr` to each phase of each test anew."""

    def __init__(self) -> None:
        super().__init__("logfmt")
        self.kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(self._render(record))


@contextlib.contextmanager
def hosting() -> Iterator[Host]:
    """A server without a gateway yet."""
    host = Host()
    with serving(host, lifespan="on") as host.url:
        yield host


@dataclass
class Gateway:
    """A running gateway; `secrets` are what it was configured with."""

    url: str
    backend: CodexBackend
    settings: Settings
    http: httpx.Client
    secrets: tuple[str, ...]
    log_lines: Lines = field(repr=False)
    key: str = KEY

    @property
    def log(self) -> str:
        return "\n".join(self.log_lines.kept)

    def lines(self) -> list[dict[str, str]]:
        """The fields of the requests' log lines."""
        done = [line for line in list(self.log_lines.kept) if line.startswith("request.done ")]
        return [dict(re.findall(r'(\w+)=("[^"]*"|\S+)', line)) for line in done]

    def last_line(self, path: str = "/v1/") -> dict[str, str]:
        """The fields of the newest line of that path; it is written just after the last byte has left. By default not
        the line of the request that waited for the start."""
        assert wait_until(lambda: any(path in line["path"] for line in self.lines()))
        return [line for line in self.lines() if path in line["path"]][-1]

    def send(self, method: str, path: str, *, key: str | None = None, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key or self.key}", **options.pop("headers", {})}
        return self.http.request(method, self.url + path, headers=headers, **options)

    def usable(self) -> int:
        """How many accounts the gateway says it can use."""
        found: int = self.send("GET", "/v1/accTokens").json()["canUseCount"]
        return found

    def accounts(self) -> list[str | None]:
        """The account of each generation that reached the backend."""
        return [request.account for request in self.backend.generations]

    def sdk(self, **options: Any) -> openai.OpenAI:
        fixed = {"api_key": self.key, "base_url": f"{self.url}/v1", "max_retries": 0, "http_client": self.http}
        return openai.OpenAI(**{**fixed, **options})


def settings_of(place: dict[str, str], **given: Any) -> Settings:
    """Settings without an `.env` file; `place` is where the upstream of this one test is, unless given. Reading them
    takes longer than a request, so those that differ in the place alone are read once."""
    place = {name: url for name, url in place.items() if name not in given}
    try:
        found = _read(frozenset(given.items()), frozenset(os.environ.items()), *place)
    except TypeError:  # something that is not hashable was given
        return Settings(**{"_env_file": None, **given, **place})
    return found.model_copy(update=place)


@functools.cache
def _read(given: frozenset[tuple[str, Any]], environment: frozenset[tuple[str, str]], *places: str) -> Settings:
    return Settings(**{"_env_file": None, **dict(given), **dict.fromkeys(places, "http://127.0.0.1:1")})


@contextlib.contextmanager
def running(
    host: Host,
    http: httpx.Client,
    *,
    backend: CodexBackend | None = None,
    now: Callable[[], float] = time.time,
    secrets: tuple[str, ...] = (),
    **settings: Any,
) -> Iterator[Gateway]:
    """A gateway with three accounts; `settings` go over the defaults. Leaving it checks that nothing is left.

    Usage is not read beside the requests unless the settings say so, because many tests count what is sent."""
    with contextlib.ExitStack() as stack:
        backend = backend or stack.enter_context(CodexBackend())
        fixed = {"auth_tokens": KEY, "chatgpt_access_tokens": ",".join(TOKENS), "usage_max_age_s": "0"}
        found = settings_of({"chatgpt_base_url": backend.url}, **{**fixed, **settings})
        app, lines = create_app(found, now=now), Lines()
        LOGGER.addHandler(lines)
        host.app, before = app, host.tasks()
        gateway = Gateway(host.url, backend, found, http, (KEY, *TOKENS, *secrets), lines)
        try:
            yield gateway
            _check(gateway, host, before)
        finally:
            host.shut_down(app)
        assert wait_until(lambda: not backend.connections), "the gateway was shut down and kept its connections"


def _check(gateway: Gateway, host: Host, before: set[asyncio.Task[Any]]) -> None:
    assert gateway.backend.wait_closed(), "a request to the upstream goes on"
    assert wait_until(lambda: host.tasks() <= before), f"tasks left: {host.tasks() - before}"
    assert wait_until(lambda: set(host.generators()) <= {"PerLoop._live"}), host.generators()
    assert "level=error" not in gateway.log, gateway.log
    assert not leaked(gateway.log, gateway.secrets)
