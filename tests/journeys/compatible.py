"""The real application in front of a strict fake of the OpenAI API, and the check that it let go of everything."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx
import openai

from lib.settings import Settings
from lib.web.app import create_app
from lib.web.logs import LOGGER
from tests.fakes.openai_backend import OpenAIBackend
from tests.fakes.openai_media import serve_media
from tests.fakes.serving import wait_until
from tests.journeys.gateway import KEY, Host, Lines, settings_of
from tests.journeys.secrets_kept import leaked

KEYS = ("sk-upstream-canary-one-9d2f-QzKw", "sk-upstream-canary-two-71ab-VxJb")
GENERATIONS = ("/chat/completions", "/responses")


@dataclass
class Compatible:
    """A running gateway and its upstream."""

    url: str
    backend: OpenAIBackend
    settings: Settings
    http: httpx.Client
    secrets: tuple[str, ...]
    log_lines: Lines = field(repr=False)

    @property
    def log(self) -> str:
        return "\n".join(self.log_lines.kept)

    @property
    def sent(self) -> Any:
        """The newest body that reached the upstream."""
        return self.backend.requests[-1].json

    def keys(self) -> list[str]:
        """The key of each request that reached the upstream."""
        return [request.headers.get("authorization", "").removeprefix("Bearer ") for request in self.backend.requests]

    def line(self) -> str:
        """The newest log line of a request; it is written just after the last byte has left."""
        found: list[str] = []

        def seen() -> bool:
            found[:] = [line for line in self.log_lines.kept if line.startswith("request.done ") and "/v1/" in line]
            return bool(found)

        assert wait_until(seen)
        return found[-1]

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {KEY}", **options.pop("headers", {})}
        return self.http.request(method, self.url + path, headers=headers, **options)

    def sdk(self, **options: Any) -> openai.OpenAI:
        fixed = {"api_key": KEY, "base_url": f"{self.url}/v1", "max_retries": 0, "http_client": self.http}
        return openai.OpenAI(**{**fixed, **options})

    def anthropic(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(api_key=KEY, base_url=self.url, max_retries=0)


Start = Callable[..., Compatible]


@contextlib.contextmanager
def compatible(
    host: Host,
    http: httpx.Client,
    *,
    backend: OpenAIBackend | None = None,
    keys: Sequence[str] = KEYS[:1],
    now: Callable[[], float] = time.time,
    secrets: Sequence[str] = (),
    **settings: Any,
) -> Iterator[Compatible]:
    """A gateway whose only upstream is the fake, all endpoints of which are served; `settings` go over the defaults.
    Leaving it checks that nothing is left and that the log holds no secret."""
    with contextlib.ExitStack() as stack:
        if backend is None:
            backend = stack.enter_context(OpenAIBackend(keys=keys or KEYS[:1], models=None))
            serve_media(backend)
        fixed = {"auth_tokens": KEY, "openai_api_key": ",".join(keys)}
        found = settings_of({"openai_base_url": backend.url}, **{**fixed, **settings})
        app, lines = create_app(found, now=now), Lines()
        LOGGER.addHandler(lines)
        host.app, before = app, host.tasks()
        gateway = Compatible(host.url, backend, found, http, (KEY, *keys, *secrets), lines)
        try:
            yield gateway
            _check(gateway, host, before)
        finally:
            LOGGER.removeHandler(lines)
            host.shut_down(app)


def _check(gateway: Compatible, host: Host, before: set[asyncio.Task[Any]]) -> None:
    assert gateway.backend.wait_closed(), "a request to the upstream goes on"
    assert wait_until(lambda: host.tasks() <= before), f"tasks left: {host.tasks() - before}"
    assert wait_until(lambda: set(host.generators()) <= {"PerLoop._live"}), host.generators()
    assert "level=error" not in gateway.log, gateway.log
    assert not leaked(gateway.log, gateway.secrets)
