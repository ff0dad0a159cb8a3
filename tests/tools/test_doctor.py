"""`make doctor`: a deployment seen from outside, with sound ones and with what people put in front of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

import httpx
import pytest

from lib.doctor.finding import Finding
from lib.settings import Settings
from lib.web.app import create_app
from lib.web.asgi import App, Message, Receive, Scope, Send, send_whole
from tests.fakes.serving import serving
from tools.doctor import OUTSIDE, address, examined, main

KEY = "sk-doctor-canary-0123456789"
MAX_BYTES = 300_000


def gateway() -> App:
    return create_app(Settings(_env_file=None, auth_tokens=KEY, max_request_bytes=MAX_BYTES, log_level="ERROR"))


class Collecting:
    """A proxy that passes a stream on when it has all of it, and refuses bodies beyond `max_bytes` in its own way."""

    def __init__(self, app: App, *, max_bytes: int = 1 << 30) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = int(dict(scope["headers"]).get(b"content-length", b"0"))
        if size > self._max_bytes:
            await send_whole(send, 413, b"<h1>Too large</h1>", [(b"content-type", b"text/html")])
            return
        sent: list[Message] = []

        async def keep(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, keep)
        for message in sent:
            await send(message)
            await asyncio.sleep(0)


@contextlib.contextmanager
def client(app: App, key: str = KEY) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {key}"}
    with (
        serving(app, access_log=False) as url,
        httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=10) as http,
    ):
        yield http


def statuses(found: list[Finding]) -> dict[str, str]:
    return {each.name: each.status for each in found}


def test_a_sound_deployment_is_found_to_be_so(capsys: pytest.CaptureFixture[str], no_proxies: None) -> None:
    with serving(gateway(), access_log=False) as url:
        assert main({"URL": f"{url}/v1/", "KEY": KEY}) == 0
    shown = capsys.readouterr().out
    for name in ("address", "streaming", "browsers (CORS)", "body limit", "clock"):
        assert f"ok       {OUTSIDE}{name}" in shown
    assert "ok       client Codex CLI" in shown and "canary" not in shown


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_a_proxy_that_collects_streams_is_seen_from_outside_and_from_inside() -> None:
    with client(Collecting(gateway(), max_bytes=MAX_BYTES)) as http:
        found = statuses(examined(http))
    assert (found[f"{OUTSIDE}streaming"], found["streaming"]) == ("problem", "problem")
    assert found[f"{OUTSIDE}body limit"] == "warning"
    assert found[f"{OUTSIDE}browsers (CORS)"] == "ok"


def test_a_wrong_key_is_told() -> None:
    with client(gateway(), "sk-wrong") as http:
        found = examined(http)
    assert statuses(found)["self-check"] == "problem"
    assert "none of this deployment's keys" in found[-1].advice


def test_nobody_there_and_somebody_else_there() -> None:
    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        await send_whole(send, 200, b"hello", [])

    with httpx.Client(base_url="http://user:canary@127.0.0.1:1", trust_env=False) as http:
        [gone] = examined(http)
    assert gone.found.startswith("http://127.0.0.1:1 cannot be reached")
    with client(other) as http:
        [wrong] = examined(http)
    assert (gone.status, wrong.status) == ("problem", "problem")


def test_plain_text_to_another_host_is_a_warning() -> None:
    class Local(httpx.HTTPTransport):
        """Leads every name to one port of this machine."""

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            request.url = request.url.copy_with(host="127.0.0.1", port=port)
            return super().handle_request(request)

    with serving(gateway(), access_log=False) as url:
        port = httpx.URL(url).port
        headers = {"authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url="http://gateway.example", headers=headers, transport=Local()) as http:
            began = time.monotonic()
            found = statuses(examined(http))
    assert found[f"{OUTSIDE}address"] == "warning"
    assert time.monotonic() - began < 10


def test_an_address_without_a_scheme_will_do(capsys: pytest.CaptureFixture[str], no_proxies: None) -> None:
    with serving(gateway(), access_log=False) as url:
        assert main({"URL": url.removeprefix("http://"), "KEY": KEY}) == 0
    assert f"ok       {OUTSIDE}address" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("127.0.0.1:3040", "http://127.0.0.1:3040"),
        (" localhost:3040/v1/ ", "http://localhost:3040"),
        ("[::1]:3040", "http://[::1]:3040"),
        ("gateway.example", "https://gateway.example"),
        ("gateway.example:8443/prod/v1", "https://gateway.example:8443/prod"),
        ("192.0.2.1:3040", "https://192.0.2.1:3040"),
        ("http://gateway.example/v1", "http://gateway.example"),
        ("https://127.0.0.1:3040", "https://127.0.0.1:3040"),
    ],
)
def test_the_scheme_is_http_on_loopback_and_https_elsewhere(given: str, expected: str) -> None:
    assert str(address(given)) == expected


@pytest.mark.parametrize("given", ["", "https://", "ftp://gateway.example", "::1", "http://[::1"])
def test_what_is_no_address_is_not_asked(given: str) -> None:
    assert address(given) is None


@pytest.mark.parametrize("environ", [{}, {"URL": "https://x.example"}, {"KEY": "k"}, {"URL": "ftp://x", "KEY": "k"}])
def test_what_is_missing_is_said(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(environ) == 2
    assert "URL=" in capsys.readouterr().err
