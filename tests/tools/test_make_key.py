from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lib.scoped_keys import Limits, check, mint
from tools.make_key import main

ROOT = Path(__file__).parents[2]
SECRET = "minting-secret-canary-of-the-gateway"
NOW = 1_767_225_600
PHONE = ["--models", "gpt-5*,o3", "--endpoints", "chat, responses", "--days", "30", "--label", "phone", "--rpm", "60"]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("KEY_SECRET", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_key_is_printed_and_what_it_allows_beside_it(
    bare_environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bare_environment / ".env").write_text(f"KEY_SECRET={SECRET}\n")
    assert main(PHONE, now=lambda: NOW) == 0
    shown = capsys.readouterr()
    key = check(shown.out.strip(), [SECRET.encode()], NOW)
    assert key.models == (("gpt-5*", "o3"),)
    assert key.endpoints == (("chat", "responses"),)
    assert (key.expires_at, key.label) == (NOW + 30 * 86_400, "phone")
    assert [rate for _, rate in key.rates] == [60]
    assert "2026-01-31 00:00+00:00" in shown.err and key.id in shown.err
    assert SECRET not in shown.out + shown.err


def test_a_key_is_narrowed_without_the_secret(capsys: pytest.CaptureFixture[str]) -> None:
    key = mint(SECRET.encode(), "phone-1", Limits(models=("gpt-5*",)))
    assert main(["--narrow", key, "--models", "gpt-5.5", "--days", "1"], now=lambda: NOW) == 0
    shown = capsys.readouterr()
    assert check(shown.out.strip(), [SECRET.encode()], NOW).models == (("gpt-5*",), ("gpt-5.5",))
    assert "gpt-5*, and of these only gpt-5.5" in shown.err


def test_a_key_that_ends_after_all_calendars_is_narrowed_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    key = mint(SECRET.encode(), "phone-1", Limits(expires_at=2**48))
    assert main(["--narrow", key, "--models", "gpt-5.5"], now=lambda: NOW) == 0
    shown = capsys.readouterr()
    assert check(shown.out.strip(), [SECRET.encode()], NOW).models == (("gpt-5.5",),)
    assert f"{2**48} seconds after 1970" in shown.err


@pytest.mark.parametrize(
    ("secret", "arguments", "told"),
    [
        (None, PHONE, "KEY_SECRET is not set"),
        ("short", PHONE, "shorter than 32"),
        (SECRET, ["--endpoints", "chats"], "--endpoints must hold"),
        (SECRET, ["--rpm", "0"], "--rpm must be"),
        (SECRET, ["--models", ","], "--models must be"),
        (SECRET, ["--models", ",".join(f"{number:0199}" for number in range(20))], "2048"),
        (None, ["--narrow", "sk-other"], "no scoped key"),
    ],
)
def test_a_sentence_says_why_there_is_no_key(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    secret: str | None,
    arguments: list[str],
    told: str,
) -> None:
    if secret is not None:
        monkeypatch.setenv("KEY_SECRET", secret)
    assert main(arguments, now=lambda: NOW) == 1
    shown = capsys.readouterr()
    assert shown.out == "" and told in shown.err and "canary" not in shown.err


def test_a_key_cannot_be_narrowed_without_end(capsys: pytest.CaptureFixture[str]) -> None:
    key = mint(SECRET.encode(), "phone-1", Limits())
    for _ in range(15):
        assert main(["--narrow", key, "--rpm", "5"]) == 0
        key = capsys.readouterr().out.strip()
    assert main(["--narrow", key, "--rpm", "5"]) == 1
    assert "15 times" in capsys.readouterr().err


def test_the_command_runs_as_the_makefile_says() -> None:
    recipe = re.search(
        r"^key: .*\n\t@\$\(BIN\)/python (-m \S+) \$\(ARGS\)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert recipe is not None
    command = [sys.executable, *recipe[1].split(), *PHONE]
    done = subprocess.run(
        command, cwd=ROOT, env={"KEY_SECRET": SECRET}, capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.startswith("sk-c2a-")
