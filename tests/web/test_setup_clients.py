from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest
import yaml

from lib.web.setup import exports, filled
from lib.web.setup_clients import CLIENTS

PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
LINES = {line.strip() for line in PAGE.splitlines()}
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
    for name in ("openai-python", "openai-agents", "langchain", "anthropic-python"):
        compile(content(name), name, "exec")
