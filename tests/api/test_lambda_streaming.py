"""The function as AWS starts it: `bootstrap` in a process of its own, the real gateway, an emulated Runtime API."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.codex_backend import CodexBackend
from tests.fakes.codex_behaviours import stream
from tests.fakes.lambda_events import FRONT_DOORS, EventMaker, Seen, function_url, seen_by_client
from tests.fakes.lambda_streams import Streamed, seen_through_url
from tests.fakes.runtime_api import MAX_ANSWER_BYTES, ROOT, Posted, RuntimeApi, streaming_runtime
from tests.fakes.tokens import jwt

KEY = "sk-runtime-test"
AUTHORIZED = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
DOORS = pytest.mark.parametrize(("door", "event"), FRONT_DOORS.items())


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeApi]:
    env = {"AUTH_TOKENS": KEY}
    with RuntimeApi() as api, streaming_runtime(api, cwd=tmp_path_factory.mktemp("lambda"), env=env):
        yield api
        assert api.refusals == []
        assert api.init_error is None


def seen(posted: Posted, door: str = "function_url") -> Seen | Streamed:
    return seen_through_url(posted) if posted.is_streamed else seen_by_client(door, json.loads(posted.body))


def chat(event: EventMaker = function_url, *, body: str | bytes | None = None, **members: Any) -> dict[str, Any]:
    """A chat request, to the demo upstream unless there are accounts."""
    asked = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Grüße!"}], **members})
    return event("POST", "/v1/chat/completions", headers=AUTHORIZED, body=asked if body is None else body)


@DOORS
def test_chat_is_answered_whole_and_streamed(api: RuntimeApi, door: str, event: EventMaker) -> None:
    whole = seen(api.invoke(chat(event)), door)
    assert (whole.status, whole.headers["content-type"]) == (200, "application/json")
    streamed = seen(api.invoke(chat(event, stream=True)), door)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    frames = [frame for frame in streamed.body.decode().split("\n\n") if frame.startswith("data: ")]
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-1]]
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert (frames[-1], text) == ("data: [DONE]", whole.json()["choices"][0]["message"]["content"])


@DOORS
def test_small_requests_and_refusals_are_answered(api: RuntimeApi, door: str, event: EventMaker) -> None:
    assert seen(api.invoke(event("GET", "/ping")), door).json() == {"message": "pong"}
    assert seen(api.invoke(event("HEAD", "/ping")), door).body == b""
    assert seen(api.invoke(event("OPTIONS", "/v1/models", headers={"origin": "https://a"})), door).status == 200
    refused = seen(api.invoke(event("POST", "/v1/chat/completions", body="{}")), door)
    assert (refused.status, refused.json()["error"]["code"]) == (401, "invalid_api_key")


@DOORS
def test_damaged_requests_are_answered_in_the_openai_shape(api: RuntimeApi, door: str, event: EventMaker) -> None:
    for damage in ({"body": "%%%", "isBase64Encoded": True}, {"body": "\ud800"}):
        answer = seen(api.invoke(event("POST", "/v1/responses") | damage), door)
        assert (answer.status, answer.json()["error"]["code"]) == (400, "invalid_body")


def test_request_over_the_limit_is_a_413(api: RuntimeApi) -> None:
    answer = seen(api.invoke(chat(body="x" * 5_950_000)))
    assert (answer.status, answer.json()["error"]["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize("event", [{}, {"source": "aws.events"}, "ping"], ids=str)
def test_event_that_is_not_http_gets_a_small_answer(api: RuntimeApi, event: Any) -> None:
    posted = api.invoke(event)
    assert (posted.kind, seen(posted).status) == ("response", 400)
    assert len(posted.body) < 1000


def test_long_answer_is_streamed_and_refused_in_one_piece(tmp_path: Path) -> None:
    with CodexBackend() as backend, RuntimeApi() as api:
        env = {"AUTH_TOKENS": KEY, "CHATGPT_ACCESS_TOKENS": jwt(), "CHATGPT_BASE_URL": backend.url}
        with streaming_runtime(api, cwd=tmp_path, env=env):
            backend.always(stream(huge_bytes=MAX_ANSWER_BYTES))
            assert len(seen(api.invoke(chat(model="gpt-5.5"))).body) > MAX_ANSWER_BYTES
            refused = seen(api.invoke(chat(FRONT_DOORS["http_api"], model="gpt-5.5")))
            assert (refused.status, refused.json()["error"]["code"]) == (413, "response_too_large")
        assert api.refusals == []


@pytest.mark.parametrize(
    "command",
    [
        [ROOT / "bootstrap", sys.executable, "/var/runtime/bootstrap.py"],
        [ROOT / "bootstrap"],
        [ROOT / "bootstrap", "/var/runtime/bootstrap"],
        [sys.executable, "-m", "api.aws_lambda"],
        [sys.executable, "-c", "from api.aws_lambda import main; main()"],
    ],
    ids=["wrapper", "custom runtime", "unknown command", "module", "function"],
)
def test_every_way_to_start_it_serves_and_ends_at_sigterm(tmp_path: Path, command: list[Any]) -> None:
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with RuntimeApi() as api, streaming_runtime(api, cwd=tmp_path, env=env, command=list(map(str, command))) as process:
        assert seen(api.invoke(function_url("GET", "/ping"))).status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        log = (tmp_path / "lambda.log").read_text()
        assert "Traceback" not in log


def test_bootstrap_is_found_beside_the_code_and_can_be_run() -> None:
    assert os.access(ROOT / "bootstrap", os.X_OK)
    assert b"\r" not in (ROOT / "bootstrap").read_bytes()


def test_stream_that_is_cut_by_sigterm_lets_go_of_the_upstream(tmp_path: Path) -> None:
    with CodexBackend() as backend, RuntimeApi() as api:
        env = {"AUTH_TOKENS": KEY, "CHATGPT_ACCESS_TOKENS": jwt(), "CHATGPT_BASE_URL": backend.url}
        with streaming_runtime(api, cwd=tmp_path, env=env) as process:
            backend.always(stream("text", stall_after=8))
            api.begin(chat(model="gpt-5.5", stream=True))
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert backend.wait_closed()


@pytest.mark.parametrize("broken", ["api/index.py", "lib/lambda_adapter.py", "lib/errors.py"])
@pytest.mark.parametrize("text", ["import no_such_module\n", "raise ValueError('secret')\n"])
def test_start_that_fails_is_reported_and_ends_the_process(tmp_path: Path, broken: str, text: str) -> None:
    for folder in ("api", "lib"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / broken).write_text(text)
    shutil.copy(ROOT / "bootstrap", tmp_path)
    env = {"LAMBDA_TASK_ROOT": str(tmp_path), "PYTHONPATH": ""}
    command = [str(tmp_path / "bootstrap"), sys.executable]
    with RuntimeApi() as api, streaming_runtime(api, cwd=tmp_path, env=env, command=command) as process:
        assert process.wait(20) == 1
        assert api.init_error is not None
        kind = "Runtime.ImportModuleError" if "import" in text else "Runtime.ValueError"
        assert api.init_error["errorType"] == kind
        assert "secret" not in str(api.init_error) + (tmp_path / "lambda.log").read_text()


def test_process_ends_when_the_runtime_api_does(tmp_path: Path) -> None:
    with RuntimeApi() as api, streaming_runtime(api, cwd=tmp_path) as process:
        api.invoke(function_url("GET", "/ping"))
        api.end()
        assert process.wait(20) == 1
        assert (tmp_path / "lambda.log").read_text().endswith("lambda.runtime_api_gone call=next: 500\n")


AUDITED = """
import os, sys

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
           "os.utime", "shutil.copyfile", "tempfile.mkstemp", "tempfile.mkdtemp", "sqlite3.connect"}

def audit(event, args):
    is_write = event == "open" and (isinstance(args[2], int) and args[2] & WRITES or set(args[1] or "r") & set("wax+"))
    if (is_write and args[0] != os.devnull) or event in CHANGES:
        sys.stderr.write(f"WRITE {event} {args}\\n")
        os._exit(70)

sys.addaudithook(audit)
from api.aws_lambda import main
main()
"""


def test_nothing_is_written_to_disk(tmp_path: Path) -> None:
    with CodexBackend() as backend, RuntimeApi() as api:
        env = {"AUTH_TOKENS": KEY, "CHATGPT_ACCESS_TOKENS": jwt(), "CHATGPT_BASE_URL": backend.url}
        command = [sys.executable, "-B", "-c", AUDITED]
        with streaming_runtime(api, cwd=tmp_path, env=env, command=command) as process:
            for event in FRONT_DOORS.values():
                for model, streamed in (("gpt-5.5", True), ("gpt-5.5", False), ("no-such-model", False)):
                    api.invoke(chat(event, model=model, stream=streamed))
                for path in ("/v1/models", "/docs", "/openapi.json", "/", "/nowhere"):
                    api.invoke(event("GET", path, headers=AUTHORIZED))
                api.invoke(event("POST", "/v1/messages", headers=AUTHORIZED, body=MESSAGES))
                api.invoke(event("POST", "/v1/responses", headers=AUTHORIZED, body="{"))
            assert process.poll() is None, (tmp_path / "lambda.log").read_text()
        assert api.refusals == []


MESSAGES = json.dumps({"model": "gpt-5.5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]})


def test_audit_would_see_a_write(tmp_path: Path) -> None:
    script = AUDITED.replace("from api.aws_lambda import main\nmain()", "open('x', 'w')")
    assert (
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=False).returncode == 70
    )


def test_frozen_sandbox_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with RuntimeApi() as api, streaming_runtime(api, cwd=tmp_path) as process:
        api.freezes = process.pid
        for _ in range(3):
            assert seen(api.invoke(function_url("GET", "/ping"))).status == 200
            assert stopped(process.pid)
        assert api.refusals == []


def stopped(pid: int) -> bool:
    """Whether the process is stopped, or becomes so within a second."""
    end = time.monotonic() + 1
    while time.monotonic() < end:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
            return True
        time.sleep(0.005)
    return False
