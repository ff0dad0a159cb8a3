"""`api/index.py` as Vercel runs it: the real `vercel-runtime`, the platform around it emulated."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fakes.codex_backend import CodexBackend
from tests.fakes.codex_behaviours import stream
from tests.fakes.serving import wait_until
from tests.fakes.tokens import jwt
from tests.fakes.vercel_platform import ROOT, Deployment, deployed, interpreter

PYTHON = interpreter()
needs_runtime = pytest.mark.skipif(
    PYTHON is None, reason="vercel-runtime needs Python 3.12 or newer and none was found; `make test` sets it up"
)
KEY = "sk-vercel-test"
CHAT = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hello"}]}

# What an import must not do: look at the network. `socket.socketpair` is what event loops are made of.
_OFFLINE = """
import sys
def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind"):
        raise RuntimeError(event)
sys.addaudithook(refuse)
import api.index
assert callable(api.index.app)
"""


@pytest.fixture(scope="module")
def backend() -> Iterator[CodexBackend]:
    with CodexBackend() as backend:
        yield backend


@pytest.fixture(scope="module")
def deployment(backend: CodexBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    assert PYTHON is not None
    env = {"AUTH_TOKENS": KEY, "CHATGPT_ACCESS_TOKENS": jwt(), "CHATGPT_BASE_URL": backend.url}
    with deployed(PYTHON, cwd=tmp_path_factory.mktemp("vercel"), env=env) as deployment:
        yield deployment


@pytest.fixture
def client(deployment: Deployment) -> Iterator[httpx.Client]:
    headers = {
        "authorization": f"Bearer {KEY}",
        "x-forwarded-for": "203.0.113.7",
        "x-forwarded-proto": "https",
        "x-vercel-internal-invocation-id": "invocation-1",
        "x-vercel-internal-request-id": "1",
    }
    with httpx.Client(base_url=f"http://127.0.0.1:{deployment.port}", headers=headers, trust_env=False) as client:
        yield client


def test_import_needs_no_environment_and_no_network(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", _OFFLINE]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@needs_runtime
def test_every_path_reaches_the_app_as_requested(client: httpx.Client) -> None:
    assert client.get("/ping").json() == {"message": "pong"}
    assert client.get("/v1/models").status_code == 200
    assert client.get("/api/index").status_code == 404
    assert client.get("/requirements.txt").json()["error"]["code"] == "not_found"


@needs_runtime
def test_whole_answer_arrives(client: httpx.Client, deployment: Deployment) -> None:
    answer = client.post("/v1/chat/completions", json=CHAT, headers={"x-vercel-internal-request-id": "7"})
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["finish_reason"] == "stop"
    assert wait_until(lambda: 7 in deployment.ended())


@needs_runtime
def test_stream_arrives_piece_by_piece_and_ends_with_its_client(client: httpx.Client, backend: CodexBackend) -> None:
    backend.script(stream("text", stall_after=6))  # and nothing more: what arrives did not wait for the end
    with client.stream("POST", "/v1/chat/completions", json={**CHAT, "stream": True}) as answer:
        lines = (line for line in answer.iter_lines() if line.startswith("data: {"))
        chunks = (json.loads(line.removeprefix("data: ")) for line in lines)
        assert next(chunk for chunk in chunks if chunk["choices"][0]["delta"].get("content"))
        assert backend.generations[-1].finished is False
    assert backend.generations[-1].closed.wait(5)
    assert backend.generations[-1].client_left


@needs_runtime
def test_requests_overlap_in_one_instance(client: httpx.Client, backend: CodexBackend) -> None:
    backend.script(stream("text", stall_after=6))
    with client.stream("POST", "/v1/chat/completions", json={**CHAT, "stream": True}):
        assert client.post("/v1/chat/completions", json=CHAT).status_code == 200


@needs_runtime
def test_body_over_the_platform_limit_is_our_own_413(client: httpx.Client) -> None:
    answer = client.post("/v1/chat/completions", content=b" " * 4_500_000)
    assert (answer.status_code, answer.json()["error"]["type"]) == (413, "invalid_request_error")


@needs_runtime
def test_lambda_handler_raises_no_deprecation_on_newer_python(tmp_path: Path) -> None:
    assert PYTHON is not None
    script = (
        "from types import SimpleNamespace\n"
        "from api.aws_lambda import handler\n"
        "from tests.fakes.lambda_events import function_url\n"
        "context = SimpleNamespace(aws_request_id='1')\n"
        "assert [handler(function_url('GET', '/ping'), context)['statusCode'] for _ in range(2)] == [200, 200]\n"
    )
    command = [PYTHON, "-W", "error::DeprecationWarning", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
