from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from lib.web.setup import exports, filled
from lib.web.setup_clients import CLIENTS
from tests.web.documented import KEY, demo

PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
LINES = {line.strip() for line in PAGE.splitlines()}
ODD_NAMES = ("1e3", "true", "a:")
OWN = {"curl": 3, "anthropic-python": 1}
"""How many lines of a client the page has not: there is no section for curl, and an import is left out there."""


@pytest.mark.parametrize("name", CLIENTS)
def test_every_line_stands_in_the_page_of_clients(name: str) -> None:
    found = filled(CLIENTS[name], "https://gateway.example.org", "gpt-5.5", "sk-key")
    files = [line.strip() for content in found.files.values() for line in content.splitlines() if line]
    unknown = [line for line in files if line not in LINES]
    assert len(unknown) == OWN.get(name, 0), unknown
    for line in exports(found.environment).splitlines():
        assert line.removeprefix("export ") in PAGE, line


@pytest.mark.parametrize("name", ["cherry-studio", "chatbox"])
def test_what_is_set_by_hand_is_said_as_the_page_says_it(name: str) -> None:
    [note] = filled(CLIENTS[name], "https://gateway.example.org", "gpt-5.5", "sk-key").notes
    assert note in PAGE


@pytest.mark.parametrize("name", CLIENTS)
def test_no_mark_is_left_and_every_client_is_told_the_address(name: str) -> None:
    found = filled(CLIENTS[name], "http://10.0.0.1:3040", "org/model-1", "sk-own")
    told = "\n".join([*found.files, *found.files.values(), *found.environment.values(), *found.notes])
    assert not re.search(r"@(V1|ROOT|KEY|MODEL)@", told)
    assert "http://10.0.0.1:3040" in told
    assert "gateway.example.org" not in told and "sk-key" not in told


_READERS: dict[str, Callable[[str], Any]] = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}


def parsed(path: str, content: str) -> None:
    """Raises what the language's own parser does with what is wrong."""
    kind = path.rpartition(".")[2]
    if kind == "py":
        compile(content, path, "exec")
    elif kind == "sh":
        subprocess.run(["bash", "-n"], input=content, text=True, check=True)
    elif kind == "ts":  # without a single type in it, so that JavaScript's parser knows whether it is sound
        subprocess.run(["node", "--input-type=module", "--check"], input=content, text=True, check=True)
    else:
        assert _READERS[kind](content)


@pytest.mark.parametrize("name", CLIENTS)
def test_everything_is_valid_in_its_language(name: str) -> None:
    for model in ("gpt-5.5", *ODD_NAMES):
        found = filled(CLIENTS[name], "http://[::1]:3040", model)
        for path, content in {**found.files, "environment.sh": exports(found.environment)}.items():
            if path.endswith(".ts") and shutil.which("node") is None:
                pytest.skip("there is no Node.js here")
            parsed(path, content)


@pytest.mark.parametrize(("path", "content"), [("a.py", "f(messages=[…])"), ("a.sh", "curl -d '"), ("a.json", "{,}")])
def test_what_is_not_valid_would_be_seen(path: str, content: str) -> None:
    with pytest.raises((SyntaxError, ValueError, subprocess.CalledProcessError)):
        parsed(path, content)


@pytest.mark.parametrize("model", ODD_NAMES)
def test_a_model_is_a_text_whatever_its_name(model: str) -> None:
    [content] = filled(CLIENTS["llm"], "https://gateway.example.org", model).files.values()
    assert yaml.safe_load(content)[0]["model_name"] == model


@pytest.mark.parametrize("name", ["openai-python", "anthropic-python", "curl"])
def test_an_example_runs_as_it_is_written(name: str) -> None:
    with demo() as gateway:
        [(path, content)] = filled(CLIENTS[name], gateway.url, "demo-mini", KEY).files.items()
        command = {"py": [sys.executable, "-"], "sh": ["bash"]}[path.rpartition(".")[2]]
        environment = {"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1"}
        done = subprocess.run(command, input=content, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert name != "curl" or done.stdout.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_that_names_no_model_needs_none(name: str) -> None:
    one, other = (filled(CLIENTS[name], "https://gateway.example.org", model) for model in ("gpt-a", "gpt-b"))
    assert CLIENTS[name].names_model == (one != other)
    assert not CLIENTS["claude-code"].names_model


def test_files_are_of_their_kind() -> None:
    def content(name: str) -> str:
        [text] = filled(CLIENTS[name], "https://gateway.example.org/v1", "gpt-5.5").files.values()
        return text

    assert (
        tomllib.loads(content("codex"))["model_providers"]["chat2api"]["base_url"] == "https://gateway.example.org/v1"
    )
    options = msgspec.json.decode(content("opencode"))["provider"]["chat2api"]["options"]
    assert options == {"baseURL": "https://gateway.example.org/v1", "apiKey": "<your key>"}
    assert yaml.safe_load(content("llm"))[0]["api_base"] == "https://gateway.example.org/v1"
