"""What holds for the function on Vercel alone: no write to disk, the platform's deadline, its limit for answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.codex_backend import CodexBackend
from tests.fakes.codex_behaviours import stream
from tests.fakes.tokens import jwt
from tests.fakes.vercel_platform import ROOT, Deployment, deployed, interpreter

PYTHON = interpreter()
pytestmark = pytest.mark.skipif(
    PYTHON is None, reason="vercel-runtime needs Python 3.12 or newer and none was found; `make test` sets it up"
)
KEY = "sk-vercel-limits"
CHAT = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hello"}]}
RESPONSES = {"model": "gpt-5.5", "input": "Hello"}
MESSAGES = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": CHAT["messages"]}

# Imported by every Python that finds it on its path. What is refused is told, too: the exception may be caught.
_READ_ONLY = """
import os, sys
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
            "os.chown", "os.utime", "os.setxattr", "tempfile.", "shutil.", "sqlite3.connect", "subprocess.Popen")
def refuse(event, args):
    if event.startswith(CHANGING) or (event == "open" and (args[2] or 0) & WRITING):
        os.write(2, f"WROTE {event} {args[0]!r}\\n".encode())
        raise PermissionError(event)
sys.addaudithook(refuse)
"""

_ATTEMPTS = """
import os, tempfile
for attempt in (lambda: open("a", "w"), lambda: open("b", "ab"), lambda: os.mkdir("c"), lambda: os.rename("d", "e"),
                lambda: os.open("f", os.O_RDWR | os.O_CREAT),
                lambda: tempfile.mkstemp(dir="."), lambda: tempfile.mkdtemp(dir=".")):
    try:
        attempt()
    except PermissionError as error:
        print(error)
open(__file__).read()
"""


@pytest.fixture(scope="module")
def backend() -> Iterator[CodexBackend]:
    with CodexBackend() as backend:
        yield backend


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH: no Python that has it there writes to disk."""
    folder = tmp_path / "hook"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_READ_ONLY)
    return folder


def settings(backend: CodexBackend, **more: str) -> dict[str, str]:
    return {"AUTH_TOKENS": KEY, "CHATGPT_ACCESS_TOKENS": jwt(), "CHATGPT_BASE_URL": backend.url, **more}


@contextmanager
def function(cwd: Path, env: Mapping[str, str]) -> Iterator[httpx.Client]:
    """A running deployment's client."""
    assert PYTHON is not None
    with deployed(PYTHON, cwd=cwd, env=env) as deployment, client_of(deployment) as client:
        yield client


def client_of(deployment: Deployment) -> httpx.Client:
    headers = {
        "authorization": f"Bearer {KEY}",
        "x-vercel-internal-invocation-id": "invocation-1",
        "x-vercel-internal-request-id": "1",
    }
    return httpx.Client(base_url=f"http://127.0.0.1:{deployment.port}", headers=headers, trust_env=False, timeout=20)


def chunks_of(text: str) -> list[dict[str, Any]]:
    frames = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
    return list(map(json.loads, frames))


def test_nothing_is_written_to_disk(backend: CodexBackend, hook: Path, tmp_path: Path) -> None:
    env = settings(backend, PYTHONPATH=f"{hook}:{ROOT}")
    form = {"image": ("a.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 2_000_000, "image/png")}
    with function(tmp_path, env) as client:
        for path, body in (("chat/completions", CHAT), ("responses", RESPONSES), ("messages", MESSAGES)):
            for streamed in (False, True):
                answer = client.post(f"/v1/{path}", json={**body, "stream": streamed})
                assert answer.status_code == 200, answer.text
        for path in ("/", "/ping", "/healthz", "/docs", "/openapi.json", "/v1/models", "/v1/accTokens"):
            assert client.get(path).status_code == 200, path
        refusals = [
            client.get("/nowhere"),
            client.post("/v1/chat/completions", content=b"{"),
            client.post("/v1/chat/completions", json=CHAT, headers={"authorization": "Bearer wrong"}),
            client.post("/v1/images/edits", files=form),  # a large form, whatever becomes of it
        ]
        assert [answer.status_code for answer in refusals[:3]] == [404, 400, 401]
        assert refusals[3].status_code < 500
    assert "WROTE" not in (tmp_path / "vercel.log").read_text()


def test_the_hook_refuses_what_writes_and_lets_read(hook: Path, tmp_path: Path) -> None:
    script = tmp_path / "attempts.py"
    script.write_text(_ATTEMPTS)
    assert PYTHON is not None
    env = {"PYTHONPATH": str(hook), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([PYTHON, script], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    events = ["open", "open", "os.mkdir", "os.rename", "open", "tempfile.mkstemp", "tempfile.mkdtemp"]
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == events
    assert sorted(path.name for path in tmp_path.iterdir()) == ["attempts.py", "hook"]


def test_stream_ends_cleanly_before_the_platforms_deadline(backend: CodexBackend, tmp_path: Path) -> None:
    backend.script(stream("text", stall_after=6))
    with function(tmp_path, settings(backend, DEADLINE_MARGIN_S="0.5")) as client:
        end = datetime.now(UTC) + timedelta(seconds=2)
        headers = {"x-vercel-internal-deadline": end.isoformat(timespec="milliseconds")}
        answer = client.post("/v1/chat/completions", json={**CHAT, "stream": True}, headers=headers)
        assert datetime.now(UTC) < end
    assert answer.text.endswith("data: [DONE]\n\n")
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks_of(answer.text) if chunk["choices"]][
        -1
    ] == "length"
    assert "time limit" in answer.text
    assert backend.generations[-1].closed.wait(5)


def test_whole_answer_that_is_late_is_a_504(backend: CodexBackend, tmp_path: Path) -> None:
    backend.script(stream("text", stall_after=6))
    with function(tmp_path, settings(backend, DEADLINE_MARGIN_S="0.5")) as client:
        end = datetime.now(UTC) + timedelta(seconds=2)
        headers = {"x-vercel-internal-deadline": end.isoformat(timespec="milliseconds")}
        answer = client.post("/v1/chat/completions", json=CHAT, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")


def test_whole_answer_over_the_limit_is_a_413_and_a_stream_is_not(backend: CodexBackend, tmp_path: Path) -> None:
    with function(tmp_path, settings(backend)) as client:
        backend.script(stream(huge_bytes=4_500_000), stream(huge_bytes=4_500_000))
        whole = client.post("/v1/chat/completions", json=CHAT)
        assert (whole.status_code, whole.json()["error"]["code"]) == (413, "response_too_large")
        assert '"stream": true' in whole.json()["error"]["message"]
        streamed = client.post("/v1/chat/completions", json={**CHAT, "stream": True})
        assert (streamed.status_code, len(streamed.content) > 4_500_000) == (200, True)
