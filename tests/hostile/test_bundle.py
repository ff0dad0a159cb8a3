"""The row "Bundle": what is imported opens no connection and looks nothing up, watched from inside of the interpreter.
Writing, and the pins of what is installed, are tested in `tests/api`, `tests/tools` and `tests/test_deployment.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WATCHED = """
import sys
def watch(event, arguments):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        raise PermissionError(event)
sys.addaudithook(watch)
"""
ALL = """
import importlib, pkgutil, lib, api
for package in (lib, api):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(found.name)
"""
CONFIGURED = {
    "AUTH_TOKENS": "sk-local-0123456789",
    "CHATGPT_ACCESS_TOKENS": "at-0123456789",
    "OPENAI_API_KEY": "sk-0123456789",
    "OPENAI_BASE_URL": "https://upstream.example.org/v1",
    "PROXY": "http://proxy.example.org:3128",
    "IMAGE_BUCKET": "s3://some-bucket/pictures",
}


def run(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WATCHED + code]
    env = {"PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("code", ["import api.index", "import api.aws_lambda", ALL], ids=["index", "lambda", "all"])
@pytest.mark.parametrize("environment", [{}, CONFIGURED], ids=["bare", "configured"])
def test_no_import_touches_the_network(tmp_path: Path, code: str, environment: dict[str, str]) -> None:
    done = run(code, tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    assert "PermissionError" not in done.stderr


def test_the_watch_would_see_a_connection(tmp_path: Path) -> None:
    code = "import socket; socket.create_connection(('127.0.0.1', 9))"
    assert "PermissionError: socket." in run(code, tmp_path).stderr
