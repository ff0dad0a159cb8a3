"""The bundle for Lambda, built as `make package` does, for the Python and the machine that run this test."""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools.package import EXECUTABLES, MAX_ZIP_BYTES, find_python

ROOT = Path(__file__).parents[2]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
ARCH = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")

# A whole answer of the demo upstream, with nothing on the path but the bundle and the standard library.
ANSWER = """
import asyncio, os, sys
sys.path.insert(0, os.getcwd())
from api.index import app

async def main():
    sent, body = [], b'{"messages": [{"role": "user", "content": "Hello"}]}'
    headers = [(b"authorization", b"Bearer sk-package"), (b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers, "query_string": b""}
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}
    async def send(message):
        sent.append(message)
    await app(scope, receive, send)
    assert sent[0]["status"] == 200, sent
    assert b"chat.completion" in sent[1]["body"], sent

asyncio.run(main())
import fastapi, jsonschema, mangum, multipart, selectolax.lexbor, socksio, yaml
outside = [m.__file__ for m in sys.modules.values() if "site-packages" in (getattr(m, "__file__", None) or "")]
assert not outside, outside
print("answered")
"""


def build(into: Path) -> tuple[Path, str]:
    """(the zip, what was printed)"""
    command = [sys.executable, "-m", "tools.package", "--python", PYTHON, "--arch", ARCH, "--into", str(into)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return into / "lambda.zip", done.stdout


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("first"))[0]


def test_the_same_sources_give_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    again, printed = build(tmp_path)
    assert again.read_bytes() == bundle.read_bytes()
    assert re.search(r"^sha256 [0-9a-f]{64}$", printed, re.MULTILINE)


def test_nothing_is_in_it_but_what_runs(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as packed:
        names = packed.namelist()
        modes = {name: packed.getinfo(name).external_attr >> 16 for name in names}
    names.remove("bundle.txt")  # the digest that the status page shows
    unwanted = re.compile(
        r"dist-info|(^|/)tests?/|^(bench|docs|tools|boto|uvicorn|uvloop|pip)|\.(pyi|c|pyx|md|txt)$|\.env"
    )
    assert [name for name in names if unwanted.search(name)] == []
    sources = {name for name in names if name.endswith(".py")}
    own = [name for name in names if name.endswith(".pyc") and name.startswith(("api/", "lib/"))]
    assert sources == {re.sub(r"__pycache__/(.+)\.cpython-\d+\.pyc$", r"\1.py", name) for name in own}
    assert {"api/aws_lambda.py", "lib/relay.py", "httpx/__init__.pyc", "multipart.pyc"} <= set(names)
    assert {name for name, mode in modes.items() if mode & stat.S_IXUSR} == EXECUTABLES
    assert bundle.stat().st_size < MAX_ZIP_BYTES


def test_bytecode_is_taken_without_a_look_at_the_sources(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as packed:
        flags = {packed.read(name)[4:8] for name in packed.namelist() if name.endswith(".pyc")}
    assert flags == {b"\x01\x00\x00\x00"}, "PEP 552: a hash that is not checked"


def test_it_answers_from_a_folder_that_cannot_be_written(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as packed:
        packed.extractall(tmp_path / "task")
    before = sorted((tmp_path / "task").rglob("*"))
    for path in (tmp_path / "task", *before):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        done = subprocess.run(
            [*_powerless(), os.path.realpath(sys.executable), "-I", "-S", "-c", ANSWER],
            cwd=tmp_path / "task",
            env={"PATH": os.environ["PATH"], "AUTH_TOKENS": "sk-package"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout == "answered\n", done.stderr
        assert sorted((tmp_path / "task").rglob("*")) == before
    finally:
        for path in (tmp_path / "task", *before):
            path.chmod(0o755)


def _powerless() -> list[str]:
    """Before a command: no file may grow, and for root no power over the modes of files either."""
    limited = ["sh", "-c", 'ulimit -f 0 && exec "$@"', "sh"]
    if os.geteuid() == 0 and shutil.which("setpriv"):
        limited += ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    return limited


def test_the_powerless_cannot_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        done = subprocess.run([*_powerless(), "sh", "-c", "echo x > file"], cwd=tmp_path, capture_output=True)
        assert done.returncode != 0
    finally:
        tmp_path.chmod(0o755)


def test_another_python_than_asked_for_is_not_taken() -> None:
    assert find_python(PYTHON)
    with pytest.raises(SystemExit, match="LAMBDA_PYTHON"):
        find_python("3.99")
