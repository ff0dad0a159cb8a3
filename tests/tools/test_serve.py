from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.codex_backend import CodexBackend
from tests.fakes.codex_behaviours import stream
from tests.fakes.serving import loopback_socket
from tests.fakes.tokens import jwt
from tools.serve import DEMO_KEY

ROOT = Path(__file__).parents[2]


@dataclass
class Served:
    """A running `python -m tools.serve` and what it has printed."""

    process: subprocess.Popen[str]
    banner: str
    log: Path

    @property
    def url(self) -> str:
        return self._found(r"(http://[^/]+)/v1")

    @property
    def key(self) -> str:
        return self._found(r'Bearer ([^"]+)"')

    def chat(self, key: str, *, stream: bool = False) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        body = {"model": "auto", "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
        return httpx.post(f"{self.url}/v1/chat/completions", headers=headers, json=body, trust_env=False)

    def _found(self, pattern: str) -> str:
        found = re.search(pattern, self.banner)
        assert found, self.banner + self.log.read_text()
        return found[1]


def start(tmp_path: Path, env: dict[str, str], **options: Any) -> subprocess.Popen[str]:
    """In a folder without a `.env`, on any free port."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PORT": "0", **env}
    command = [sys.executable, "-m", "tools.serve"]
    return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, **options)


@contextlib.contextmanager
def serving(tmp_path: Path, **env: str) -> Iterator[Served]:
    log = tmp_path / "serve.log"
    with log.open("w") as stderr, start(tmp_path, env, stderr=stderr) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.strip().startswith("-d "):  # the end of the curl command
                break
        try:
            yield Served(process, "".join(lines), log)
        finally:
            process.kill()


def test_with_nothing_configured_the_demo_answers_the_printed_key(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        assert "demo" in served.banner
        assert served.key == DEMO_KEY
        whole = served.chat(served.key)
        assert whole.json()["choices"][0]["message"]["content"]
        streamed = served.chat(served.key, stream=True)
        assert streamed.headers["content-type"].startswith("text/event-stream")
        assert streamed.text.endswith("data: [DONE]\n\n")
        assert served.chat("another key").status_code == 401


def test_printed_curl_command_works_as_it_stands(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        command = served.banner[served.banner.index("curl ") :]
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=20, check=True)
        assert done.stdout.endswith("data: [DONE]\n\n")


def test_configured_accounts_are_used_with_a_random_key(tmp_path: Path) -> None:
    with CodexBackend() as backend:
        env = {"CHATGPT_ACCESS_TOKENS": jwt(), "CHATGPT_BASE_URL": backend.url}
        with serving(tmp_path, **env) as served, serving(tmp_path, **env) as another:
            assert "1 ChatGPT account\n" in served.banner
            assert DEMO_KEY != served.key != another.key
            assert served.chat(served.key).status_code == 200
            assert served.chat(DEMO_KEY).status_code == 401
        assert len(backend.generations) == 1


def test_configured_key_is_used_and_not_printed(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AUTH_TOKENS=sk-from-dotenv\n")
    with serving(tmp_path) as served:
        assert "sk-from-dotenv" not in served.banner
        assert served.chat("sk-from-dotenv").status_code == 200
        assert served.chat(DEMO_KEY).status_code == 401


def test_where_to_listen_is_read_from_dotenv_and_the_environment_wins(tmp_path: Path) -> None:
    with loopback_socket() as taken:
        taken.listen()
        (tmp_path / ".env").write_text(f"HOST=0.0.0.0\nPORT={taken.getsockname()[1]}\n")
        with serving(tmp_path) as served:  # with PORT=0 in the environment
            assert served.url.startswith("http://0.0.0.0:")
        with start(tmp_path, {"PORT": "", "HOST": "127.0.0.1"}, stderr=subprocess.PIPE) as process:
            _, error = process.communicate(timeout=20)
    assert "is in use" in error


def test_a_dotenv_that_cannot_be_read_does_not_stop_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"HOST=\xff\n")
    with serving(tmp_path) as served:
        assert served.url.startswith("http://127.0.0.1:")
    assert ".env" in served.log.read_text()


def test_demo_on_a_public_address_gets_a_random_key(tmp_path: Path) -> None:
    with serving(tmp_path, HOST="0.0.0.0") as served:
        assert served.key.startswith("sk-local-")
        assert served.key != DEMO_KEY


def test_running_answer_ends_before_the_server_does(tmp_path: Path) -> None:
    with CodexBackend() as backend:
        backend.script(stream("text", pause_s=0.05))
        env = {"CHATGPT_ACCESS_TOKENS": jwt(), "CHATGPT_BASE_URL": backend.url, "AUTH_TOKENS": "sk-test"}
        with serving(tmp_path, **env) as served, httpx.Client(trust_env=False) as client:
            body = {"stream": True, "messages": [{"role": "user", "content": "Hello"}]}
            url, headers = f"{served.url}/v1/chat/completions", {"authorization": "Bearer sk-test"}
            with client.stream("POST", url, headers=headers, json=body) as answer:
                pieces = answer.iter_text()
                text = next(pieces)
                served.process.send_signal(signal.SIGTERM)
                text += "".join(pieces)
            assert text.endswith("data: [DONE]\n\n")
            assert served.process.wait(10) == -signal.SIGTERM
            assert "Traceback" not in served.log.read_text()


def test_interrupt_ends_without_a_traceback(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        assert served.chat(served.key).status_code == 200  # it is up
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(10) == 0
        assert "Traceback" not in served.log.read_text()


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ({"PORT": "abc"}, "PORT=abc is not a port number"),
        ({"PORT": "70000"}, "PORT=70000 is not a port number"),
        ({"HOST": "no-such-host.invalid"}, "cannot listen on no-such-host.invalid"),
    ],
)
def test_unusable_address_ends_with_a_sentence(tmp_path: Path, env: dict[str, str], sentence: str) -> None:
    with start(tmp_path, env, stderr=subprocess.PIPE) as process:
        _, error = process.communicate(timeout=20)
    assert process.returncode == 1
    assert error.startswith(sentence)
    assert error.count("\n") == 1


def test_port_in_use_ends_with_a_sentence(tmp_path: Path) -> None:
    with loopback_socket() as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with start(tmp_path, {"PORT": str(port)}, stderr=subprocess.PIPE) as process:
            _, error = process.communicate(timeout=20)
    assert process.returncode == 1
    assert error == f"127.0.0.1:{port} is in use; choose another port: make serve PORT=3041\n"
