"""The files that platforms read, checked for the mistakes that they would not report."""

from __future__ import annotations

import json
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from lib.settings import Settings

ROOT = Path(__file__).parents[1]


def test_vercel_makes_one_function_and_rewrites_nothing() -> None:
    config = json.loads((ROOT / "vercel.json").read_text())
    assert config.keys() == {"$schema", "framework", "functions"}  # with rewrites every path would be /api/index
    assert config["framework"] == "fastapi"
    assert list(config["functions"]) == ["api/index.py"]


def test_vercel_bundle_keeps_what_runs_and_leaves_the_rest() -> None:
    glob = json.loads((ROOT / "vercel.json").read_text())["functions"]["api/index.py"]["excludeFiles"]
    assert len(glob) <= 256  # the builder's limit
    patterns = glob.strip("{}").split(",")

    def excluded(name: str) -> bool:
        return any(fnmatch(name, pattern) for pattern in patterns)

    assert all(map(excluded, [".env", ".env.local", "tests/fakes/tokens.py", "bench/relay.py", "serverless.yml"]))
    assert not any(map(excluded, ["api/index.py", "lib/web/app.py", "requirements.txt", "vercel.json"]))


def test_nothing_takes_precedence_over_requirements_and_entry_point() -> None:
    traps = ["pyproject.toml", "Pipfile", "uv.lock"]
    traps += [f"{name}.py" for name in ("app", "index", "server", "main", "wsgi", "asgi")]
    traps += [f"api/{name}.py" for name in ("app",)]
    assert [name for name in traps if (ROOT / name).exists()] == []


def test_lambda_url_is_buffered_as_long_as_the_handler_is() -> None:
    config = yaml.safe_load((ROOT / "serverless.yml").read_text())
    assert config["functions"]["api"] == {"handler": "api.aws_lambda.handler", "url": {"invokeMode": "BUFFERED"}}
    assert "AWS_LAMBDA_EXEC_WRAPPER" not in config["provider"]["environment"]


def test_lambda_gets_every_setting_from_the_shell() -> None:
    environment = yaml.safe_load((ROOT / "serverless.yml").read_text())["provider"]["environment"]
    names = {name.upper() for name in Settings.model_fields}
    assert environment == {name: f"${{env:{name}, ''}}" for name in names}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-vercel.txt"])
def test_every_requirement_is_pinned_with_hashes(name: str) -> None:
    entries = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n?", "", (ROOT / name).read_text()).strip())
    assert len(entries) > 20
    assert [entry for entry in entries if not re.match(r"[a-z0-9.-]+(\[[a-z,]+\])?==\S+ [^\n]*\\\n", entry)] == []
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("minor", ["11", "99"])
def test_interpreter_is_found_or_its_lack_is_named(minor: str) -> None:
    done = subprocess.run([ROOT / "tools" / "find-python", minor], capture_output=True, text=True, check=False)
    if minor == "99":
        assert done.returncode == 1
        assert "no Python 3.99" in done.stderr
    else:
        version = subprocess.run([done.stdout.strip(), "--version"], capture_output=True, text=True, check=True)
        assert version.stdout.startswith("Python 3.")
