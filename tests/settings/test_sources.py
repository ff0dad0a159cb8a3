from __future__ import annotations

import os
from pathlib import Path

import pytest

from lib.settings import Problem, Settings
from lib.settings.sources import MAX_FILE_BYTES

FILE = """
log_level: debug
auth:
  access_tokens: [012345, key-b]
  access_token_prefix: "private-"
proxy: socks5://user:word@host:1080
chatgpt_base_url: http://127.0.0.1:9
defaults: &defaults
  proxy: null
  type: codex
chatgpts:
  - <<: *defaults
    access_token: at-1
    account_id: 7
    expired: 2026-08-30T12:00:00Z
  - {access_token: at-2, account_id: "acct-2"}
  - {email: nobody@example.org}
"""


def read(monkeypatch: pytest.MonkeyPatch, directory: Path, content: str | bytes) -> Settings:
    path = directory / "settings.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    monkeypatch.setenv("VERCEL_CONFIG_FILE", str(path))
    return Settings()


def test_the_file_holds_the_settings_as_they_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = read(monkeypatch, tmp_path, FILE)
    assert settings.log_level == "DEBUG"
    assert settings.gateway_keys == ("012345", "key-b")
    assert settings.private_prefixes == ("private-",)
    assert settings.proxy_url == "socks5://user:word@host:1080"
    assert settings.chatgpt_base_url == "http://127.0.0.1:9"
    first, second = settings.accounts
    assert (first.access_token, first.account_id, first.proxy) == ("at-1", "7", None)
    assert (first.expired, first.type) == ("2026-08-30T12:00:00Z", "codex")
    assert (second.access_token, second.account_id) == ("at-2", "acct-2")


def test_problems_name_the_place_in_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read(monkeypatch, tmp_path, FILE).problems == (
        Problem("VERCEL_CONFIG_FILE", "the file has entries that are not known"),
        Problem("VERCEL_CONFIG_FILE chatgpts", "account 3 was dropped: it has no access_token"),
    )


def test_the_environment_wins_over_the_file_field_by_field(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOG_LEVEL", "error")
    monkeypatch.setenv("ACCESS_TOKEN_PREFIXES", "another-")
    monkeypatch.setenv("CHATGPT_ACCESS_TOKENS", "at-0")
    settings = read(monkeypatch, tmp_path, FILE)
    assert settings.log_level == "ERROR"
    assert settings.private_prefixes == ("another-",)
    assert settings.gateway_keys == ("012345", "key-b")
    assert [account.access_token for account in settings.accounts] == ["at-0", "at-1", "at-2"]


def test_an_empty_variable_leaves_the_files_value_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTH_TOKENS", "")
    assert read(monkeypatch, tmp_path, FILE).gateway_keys == ("012345", "key-b")


def test_a_list_of_prefixes_is_taken_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = read(monkeypatch, tmp_path, "auth: {access_token_prefix: [private-, private-two-]}")
    assert settings.private_prefixes == ("private-two-", "private-")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a: CANARY\n b: [", "the file is not valid YAML (line 2)"),
        ("a: !!python/object/apply:os.system [CANARY]", "the file has entries that are not known"),
        ("log_level: !!timestamp CANARY", "must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("- CANARY", "the file must hold a mapping"),
        ("CANARY", "the file must hold a mapping"),
        ("auth: CANARY", "the file has entries that are not known"),
        ("? [CANARY]\n: 1", "the file is not valid YAML (line 1)"),
        ("? {CANARY: 1}\n: 1", "the file is not valid YAML (line 1)"),
        (b"\xff\xfeC\x00\x00", "the file is not valid YAML"),
        (b"a: \x00CANARY", "the file is not valid YAML"),
        ("[" * 5_000, "the file is not valid YAML"),
        (b"#" * (MAX_FILE_BYTES + 1), "the file is too large"),
    ],
)
def test_a_malformed_file_is_a_problem_and_no_crash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | bytes, problem: str
) -> None:
    settings = read(monkeypatch, tmp_path, content)
    assert [entry.problem for entry in settings.problems] == [problem]
    assert "CANARY" not in repr(settings.problems)


@pytest.mark.parametrize("path", ["/nowhere/settings.yaml", "/", "n\u00f6where", "x" * 5000])
def test_a_missing_file_is_a_problem_and_no_crash(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("VERCEL_CONFIG_FILE", path)
    assert Settings().problems == (Problem("VERCEL_CONFIG_FILE", "the file does not exist"),)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file_is_a_problem_and_no_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "locked.yaml"
    path.write_text("{}")
    path.chmod(0)
    monkeypatch.setenv("VERCEL_CONFIG_FILE", str(path))
    assert Settings().problems == (Problem("VERCEL_CONFIG_FILE", "the file cannot be read"),)


@pytest.mark.parametrize("content", ["", "# nothing\n", "null", "{}", "chatgpts:\nauth:\n"])
def test_an_empty_file_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str) -> None:
    assert read(monkeypatch, tmp_path, content).problems == ()


def test_the_file_may_be_named_in_a_dotenv_file(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("log_level: error")
    (tmp_path / ".env").write_text("VERCEL_CONFIG_FILE=settings.yaml\n")
    assert Settings().log_level == "ERROR"
