"""Two gateways in a row: the first signs its requests, the second accepts them and answers from its demo upstream."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
import pytest

from lib import signing
from lib.settings import Settings
from lib.types import Clock, Lease
from lib.upstreams.signed import Signer
from lib.web.app import create_app
from lib.web.asgi import App, Receive, Scope, Send
from tests.fakes.serving import serving
from tests.journeys.gateway import KEY

ID, SECRET = "team-blue", "signing-secret-canary-0123456789"
PAGE = (Path(__file__).parents[2] / "docs" / "signed.md").read_text()


class Heads:
    """An application, and the heads of the requests that reached it."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.seen: list[tuple[str, str, dict[str, str]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            self.seen.append((scope["method"], scope["path"], headers))
        await self._app(scope, receive, send)


@contextlib.contextmanager
def gateway(*, now: Clock = time.time, **settings: Any) -> Iterator[tuple[str, Heads]]:
    app = Heads(create_app(Settings(_env_file=None, **settings), now=now))
    with serving(app, lifespan="on", access_log=False) as url:
        yield url, app


@contextlib.contextmanager
def first(second: str, **settings: Any) -> Iterator[openai.OpenAI]:
    """The SDK in front of a gateway whose upstream is the second one."""
    signs = {"key_a": ID, "key_b": SECRET, "signed_base_url": f"{second}/v1", "user_agent": "operators-own/1.0"}
    with gateway(**{"auth_tokens": KEY, **signs, **settings}) as (url, _), client(url, KEY) as found:
        yield found


@contextlib.contextmanager
def client(url: str, key: str, **options: Any) -> Iterator[openai.OpenAI]:
    with httpx.Client(verify=False, trust_env=False, timeout=10, **options) as http:
        fixed: dict[str, Any] = {"api_key": key, "base_url": f"{url}/v1", "max_retries": 0, "http_client": http}
        yield openai.OpenAI(**fixed)


@pytest.fixture(scope="module")
def second() -> Iterator[tuple[str, Heads]]:
    with gateway(key_pairs=f"{ID}:{SECRET},other:another-secret-of-16") as found:
        yield found


@pytest.fixture(scope="module")
def sdk(second: tuple[str, Heads]) -> Iterator[openai.OpenAI]:
    with first(second[0]) as found:
        yield found


def said(sdk: openai.OpenAI, **fields: Any) -> str:
    answer = sdk.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": "Grüße aus Ærø ⛴️"}], **fields
    )
    if fields.get("stream"):
        return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
    return str(answer.choices[0].message.content)


def test_chat_passes_both_gateways_whole_and_streamed(sdk: openai.OpenAI) -> None:
    assert "Grüße aus Ærø ⛴️" in said(sdk)
    assert "Grüße aus Ærø ⛴️" in said(sdk, stream=True)


def test_responses_pass_both_gateways_whole_and_streamed(sdk: openai.OpenAI) -> None:
    assert "Ærø" in sdk.responses.create(model="auto", input="Ærø").output_text
    events = list(sdk.responses.create(model="auto", input="Ærø", stream=True))
    assert events[-1].type == "response.completed"
    assert "Ærø" in events[-1].response.output_text


def test_the_models_are_those_of_the_second_gateway(sdk: openai.OpenAI) -> None:
    models = list(sdk.models.list())
    assert models
    assert {model.owned_by for model in models} == {"signed"}


def test_forwarded_bodies_are_signed_too(sdk: openai.OpenAI) -> None:
    assert sdk.embeddings.create(model="demo", input="Ærø").data[0].embedding


def test_the_secret_never_travels(
    sdk: openai.OpenAI, second: tuple[str, Heads], capfd: pytest.CaptureFixture[str]
) -> None:
    url, heads = second
    said(sdk)
    method, path, headers = heads.seen[-1]
    assert headers["user-agent"] == "operators-own/1.0"
    assert abs(int(headers["x-date"]) - time.time()) < 5
    credential = signing.decode(headers["authorization"].removeprefix("Bearer "))
    assert credential is not None
    assert (credential.key_id, method, path.startswith("/v1/")) == (ID, "POST", True)
    assert SECRET not in str(heads.seen) + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"key_b": "not-the-secret-canary-0123456789"}, "signature is not valid"),
        ({"key_a": "other"}, "signature is not valid"),
        ({"key_a": "nobody"}, "signature is not valid"),
        ({"now": lambda: time.time() - 360}, "seconds behind this gateway"),
        ({"now": lambda: time.time() + 360}, "seconds ahead of"),
    ],
)
def test_what_the_second_refuses_the_caller_of_the_first_is_told(
    second: tuple[str, Heads], settings: dict[str, Any], told: str
) -> None:
    with first(second[0], **settings) as sdk, pytest.raises(openai.InternalServerError) as refusal:
        said(sdk)
    assert (refusal.value.status_code, refusal.value.code) == (502, "upstream_unauthorized")
    assert told in refusal.value.message
    assert refusal.value.response.headers["x-should-retry"] == "false"
    assert "canary" not in refusal.value.response.text


def test_a_clock_that_was_set_is_all_it_takes(second: tuple[str, Heads]) -> None:
    off_s = 360.0
    with first(second[0], now=lambda: time.time() - off_s) as sdk:
        with pytest.raises(openai.InternalServerError):
            said(sdk)
        off_s = 0.0
        assert "Ærø" in said(sdk)


def test_a_key_of_the_first_gateway_is_none_of_the_second(second: tuple[str, Heads]) -> None:
    with client(second[0], KEY) as sdk, pytest.raises(openai.AuthenticationError):
        said(sdk)


class SignedAuth(httpx.Auth):
    """The scheme as a flow of httpx, for the SDK without a gateway in between."""

    requires_request_body = True

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        target = request.url.raw_path.decode()
        request.headers.update(self._signer(Lease("", "", {}), request.method, target, request.content))
        yield request


def test_the_sdk_signs_for_itself(second: tuple[str, Heads]) -> None:
    with client(second[0], "unused", auth=SignedAuth(Signer(ID, SECRET))) as sdk:
        assert "Ærø" in said(sdk)
        assert "Ærø" in said(sdk, stream=True)
        assert list(sdk.models.list(extra_query={"after": "a b/ü", "limit": 2}))


def run_example(language: str, command: list[str], url: str) -> Any:
    source = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    environ = {"PATH": os.environ["PATH"], "GATEWAY": url, "KEY_A": ID, "KEY_B": SECRET}
    done = subprocess.run([*command, source[0]], env=environ, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout)


def test_the_python_example_of_the_page_works(second: tuple[str, Heads]) -> None:
    answer = run_example("python", [sys.executable, "-I", "-c"], second[0])
    assert "Hello" in answer["choices"][0]["message"]["content"]


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
def test_the_curl_example_of_the_page_works(second: tuple[str, Heads]) -> None:
    answer = run_example("sh", ["/bin/sh", "-euc"], second[0])
    assert "Hello" in answer["choices"][0]["message"]["content"]


def test_a_captured_request_is_good_for_nothing_else(second: tuple[str, Heads]) -> None:
    url, heads = second
    with client(url, "unused", auth=SignedAuth(Signer(ID, SECRET))) as sdk:
        said(sdk)
    captured = {name: heads.seen[-1][2][name] for name in ("authorization", "x-date")}
    body = {"model": "auto", "messages": [{"role": "user", "content": "Something else"}]}
    with httpx.Client(verify=False, trust_env=False) as http:
        for method, path in (("POST", "/v1/chat/completions"), ("POST", "/v1/responses"), ("GET", "/v1/models")):
            answer = http.request(method, url + path, headers=captured, json=body if method == "POST" else None)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
