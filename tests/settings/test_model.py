from __future__ import annotations

import base64
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from pydantic import ValidationError

from lib.settings import Problem, Settings

SECRETS = [
    "AUTH_TOKENS",
    "ACCESS_TOKEN_PREFIX",
    "ACCESS_TOKEN_PREFIXES",
    "CHATGPT_ACCESS_TOKENS",
    "CHATGPT_ACCOUNTS",
    "PROXY",
    "STATE_URL",
    "VERCEL_CONFIG_FILE",
]
VARIABLES = sorted(name.upper() for name in Settings.model_fields)
CANARY = "Zq7vKcanaryLx4Wj"
ROOT = Path(__file__).parents[2]


def leaks(shown: str) -> bool:
    encoded = base64.b64encode(CANARY.encode()).decode().rstrip("=")
    return any(part in shown for part in (CANARY[:8], CANARY[-4:], encoded))


def shown(settings: Settings) -> str:
    return " ".join(
        [
            repr(settings),
            str(settings),
            repr(settings.problems),
            repr(settings.accounts),
            repr(settings.model_dump()),
            settings.model_dump_json(),
        ]
    )


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Settings()
    assert settings.problems == ()
    assert settings.accounts == ()
    assert settings.gateway_keys == settings.private_prefixes == ()
    assert (settings.chatgpt_base_url, settings.proxy_url) == ("https://chatgpt.com", None)
    assert (settings.log_level, settings.log_format) == ("INFO", "logfmt")
    assert (settings.default_model, settings.codex_client_version) == (None, "0.160.0")
    assert (settings.max_attempts, settings.max_request_bytes, settings.max_event_bytes) == (3, None, 2**26)
    assert settings.strict_parameters is False


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {
        "AUTH_TOKENS": "key-1,key-2",
        "ACCESS_TOKEN_PREFIX": "private-",
        "ACCESS_TOKEN_PREFIXES": "private-two-;private-",
        "PROXY": "http://user:word@proxy:3128",
        "STRICT_PARAMETERS": "true",
        "IDLE_TIMEOUT_S": "2.5",
        "MAX_ATTEMPTS": "5",
        "DEFAULT_MODEL": "gpt-5.5",
    }.items():
        monkeypatch.setenv(variable, value)
    settings = Settings()
    assert settings.problems == ()
    assert settings.gateway_keys == ("key-1", "key-2")
    assert settings.private_prefixes == ("private-two-", "private-")
    assert settings.proxy_url == "http://user:word@proxy:3128"
    assert (settings.strict_parameters, settings.idle_timeout_s, settings.max_attempts) == (True, 2.5, 5)
    assert settings.default_model == "gpt-5.5"


def test_accounts_stand_in_the_order_of_the_variables_each_token_once() -> None:
    settings = Settings(
        chatgpt_access_tokens="at-1,at-2", chatgpt_accounts='[{"access_token": "at-2", "account_id": "a2"}, "at-3"]'
    )
    assert [account.access_token for account in settings.accounts] == ["at-1", "at-2", "at-3"]
    assert settings.accounts[1].account_id == "a2"
    assert settings.problems == (Problem("CHATGPT_ACCOUNTS", "a token that was given before is repeated"),)


def test_a_dotenv_file_stands_between_the_environment_and_the_yaml_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text("log_level: error\nproxy: http://yaml:1\nchatgpt_base_url: http://yaml:1\n")
    (tmp_path / ".env").write_text("\ufeffLOG_LEVEL=warning\nPROXY='http://dotenv:1'\nUNRELATED=1\n", encoding="utf-8")
    monkeypatch.setenv("VERCEL_CONFIG_FILE", "s.yaml")
    monkeypatch.setenv("LOG_LEVEL", "debug")
    settings = Settings()
    assert (settings.log_level, settings.proxy_url, settings.chatgpt_base_url) == (
        "DEBUG",
        "http://dotenv:1",
        "http://yaml:1",
    )
    assert settings.problems == ()
    assert Settings(_env_file=None).proxy_url == "http://yaml:1"


def test_a_dotenv_file_that_is_no_text_is_a_problem_and_no_crash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_bytes(b"LOG_LEVEL=\xff\xfe\n")
    monkeypatch.setenv("MAX_ATTEMPTS", "2")
    settings = Settings(log_level="error")
    assert settings.problems == (Problem(".env", "the file cannot be read as UTF-8 text"),)
    assert (settings.max_attempts, settings.log_level) == (2, "ERROR")


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("AUTH_TOKENS", f'"{CANARY}"', "stray quotes were removed"),
        ("AUTH_TOKENS", f"{CANARY},{CANARY}", "item 2 repeats an earlier one and was dropped"),
        ("CHATGPT_ACCESS_TOKENS", f"{CANARY}\r\n", "carriage returns were removed"),
        ("ACCESS_TOKEN_PREFIX", CANARY[:7], "item 1 is shorter than 8 characters and was refused"),
        ("CHATGPT_ACCOUNTS", f"{{{CANARY}", "is not valid JSON"),
        ("CHATGPT_ACCOUNTS", f"{CANARY}!", "is neither JSON nor base64 of JSON nor a list of tokens"),
        ("PROXY", f"{CANARY}://host", "must begin with one of http://, https://, socks5://, socks5h://"),
        ("CHATGPT_BASE_URL", f"https://{CANARY}@host", "must not hold a user name or password"),
        ("LOG_LEVEL", CANARY, "must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("MAX_ATTEMPTS", CANARY, "must be a whole number"),
        ("IDLE_TIMEOUT_S", CANARY, "must be a number of seconds"),
        ("VERCEL_CONFIG_FILE", CANARY, "the file does not exist"),
    ],
)
def test_a_malformed_value_is_named_but_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(variable, value)
    settings = Settings()
    assert settings.problems == (Problem(variable, problem),)
    assert not leaks(shown(settings))


@pytest.mark.parametrize("variable", ["CHATGPT_BASE_URL", "PROXY"])
def test_an_unusable_way_to_the_upstream_is_not_replaced(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "ftp://host")
    settings = Settings()
    assert list(settings.misdirected.values()) == [settings.problems[0]]
    assert settings.problems[0].variable == variable
    assert settings.chatgpt_base_url == (None if variable == "CHATGPT_BASE_URL" else "https://chatgpt.com")


def test_an_unusable_way_in_the_yaml_file_is_not_replaced_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text("proxy: nowhere\n")
    monkeypatch.setenv("VERCEL_CONFIG_FILE", "s.yaml")
    assert Settings().misdirected["proxy"].variable == "VERCEL_CONFIG_FILE proxy"


def test_a_mended_way_to_the_upstream_is_used() -> None:
    settings = Settings(proxy=" 'http://proxy:1' ", chatgpt_base_url="'http://host/'\r")
    assert settings.problems
    assert not settings.misdirected
    assert (settings.proxy_url, settings.chatgpt_base_url) == ("http://proxy:1", "http://host")


def test_no_secret_is_shown() -> None:
    settings = Settings(
        auth_tokens=CANARY,
        access_token_prefix=CANARY,
        access_token_prefixes=CANARY,
        chatgpt_access_tokens=CANARY,
        chatgpt_accounts=f'{{"access_token": "x{CANARY}", "id_token": "{CANARY}", "email": "{CANARY}",'
        f' "account_id": "{CANARY}", "refresh_token": "{CANARY}", "proxy": "http://{CANARY}@host"}}',
        proxy=f"http://user:{CANARY}@host",
    )
    assert settings.problems == ()
    assert len(settings.accounts) == 2
    assert not leaks(shown(settings))


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().log_level = "DEBUG"


def test_a_misspelt_name_in_code_is_an_error_that_shows_no_value() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(auth_token=CANARY)
    assert not leaks(str(caught.value))


@effort(max_examples=150, deadline=None)
@given(
    st.sampled_from(VARIABLES),
    st.one_of(
        st.text(max_size=60),
        st.text(alphabet="[]{}\"',;:/@.-_aAt0 \n\r\\\ufeff", max_size=40),
        st.sampled_from(["", "[{}]", "{}", "at-", "a.b.c", "eyJ9", "http://", "https://h", "1e999", "-0", "nan"]),
    ),
    st.text(max_size=10),
)
def test_no_text_makes_settings_raise_or_tell(variable: str, before: str, after: str) -> None:
    value = f"{before}{CANARY}{after}"
    for raw in (value, before, base64.b64encode(value.encode("utf-8", "replace")).decode()):
        settings = Settings(_env_file=None, **{variable.lower(): raw})
        assert not leaks(repr(settings.problems))
        assert variable not in SECRETS or not leaks(shown(settings))
        assert math.isfinite(settings.idle_timeout_s)
        assert settings.max_attempts > 0


@effort(max_examples=50, deadline=None)
@example("VERCEL_CONFIG_FILE", b"a\xff\xed")
@given(st.sampled_from(VARIABLES), st.binary(max_size=40).filter(lambda raw: b"\0" not in raw))
def test_no_bytes_in_the_environment_make_settings_raise(variable: str, raw: bytes) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(variable, raw.decode("utf-8", "surrogateescape"))
        settings = Settings(_env_file=None)
    assert repr(settings)
    assert settings.model_dump_json()


def test_every_variable_is_documented_with_its_default() -> None:
    documented = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert (documented.pop("HOST"), documented.pop("PORT")) == ("127.0.0.1", "3040")  # `make serve` reads these
    assert sorted(documented) == VARIABLES
    documented = {name.lower(): value for name, value in documented.items() if value}
    read = Settings(**documented)
    assert read == Settings()
    assert read.problems == ()
    assert {name for name, field in Settings.model_fields.items() if field.default not in (None, ())} == set(documented)


def test_importing_settings_brings_no_yaml() -> None:
    code = "import sys, lib.settings; sys.exit('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(("value", "mode"), [("on", "on"), (" OFF ", "off"), ("", "auto"), ("maybe", "auto")])
def test_renewing_has_three_modes(value: str, mode: str) -> None:
    settings = Settings(token_refresh=value)
    assert settings.token_refresh == mode
    assert bool(settings.problems) == (value == "maybe")


@pytest.mark.parametrize(("value", "input"), [("url", "url"), (" ANY ", "any"), ("", "any"), ("data", "any")])
def test_an_upstream_takes_pictures_in_any_way_or_by_address(value: str, input: str) -> None:
    settings = Settings(openai_image_input=value)
    assert settings.openai_image_input == input
    assert bool(settings.problems) == (value == "data")


def test_refresh_tokens_are_not_sent_to_a_default_in_place_of_what_was_meant() -> None:
    settings = Settings(token_url="auth.example.org")
    assert settings.token_url is None
    assert settings.misdirected["token_url"].variable == "TOKEN_URL"
