from __future__ import annotations

from typing import Any

import pytest

from lib.doctor.configuration import Platform, platform_findings, settings_findings
from lib.doctor.finding import Finding
from lib.settings import Settings
from tests.fakes.tokens import jwt
from tests.journeys.secrets_kept import leaked

KEY = "sk-canary-0123456789-wXyZ"
SERVER = Platform("server", 32_000_000, 32_000_000)


def findings(**given: Any) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for each in settings_findings(Settings(**{"_env_file": None, "auth_tokens": KEY, **given})):
        found.setdefault(each.name, []).append(each)
    return found


def test_good_settings_are_said_to_be_good() -> None:
    found = findings()
    assert [each.status for each in found["settings"] + found["keys"]] == ["ok", "ok"]
    assert "token renewal" not in found


def test_every_problem_is_named_by_its_variable_and_never_by_its_value() -> None:
    found = findings(chatgpt_base_url="canary://x", keep_alive_s="canary", auth_tokens=f'"{KEY}","{KEY}",')
    by_variable = {each.found.partition(":")[0]: each.status for each in found["settings"]}
    assert by_variable == {"CHATGPT_BASE_URL": "problem", "KEEP_ALIVE_S": "warning", "AUTH_TOKENS": "warning"}
    shown = str(found)
    assert "canary" not in shown and not leaked(shown, [KEY])


def test_short_keys_are_counted_and_not_shown() -> None:
    [found] = findings(auth_tokens="sk-qwerty,long-enough-0123456789")["keys"]
    assert found.status == "warning" and found.found.startswith("1 of the 2")
    assert "qwerty" not in str(found)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"token_refresh": "on"}, "problem"),
        ({"token_refresh": "auto"}, "warning"),
        ({"token_refresh": "off"}, "ok"),
        ({"token_refresh": "on", "state_url": "redis://127.0.0.1:1"}, "ok"),
    ],
)
def test_renewal_without_a_durable_store_is_told(given: dict[str, str], status: str) -> None:
    account = {"access_token": jwt("acct-1"), "refresh_token": "rt-canary"}
    [found] = findings(chatgpt_accounts=[account], **given)["token renewal"]
    assert found.status == status
    assert (found.advice == "") is (status == "ok")
    assert "rt-canary" not in str(found)


@pytest.mark.parametrize(
    ("platform", "status"),
    [
        (SERVER, "ok"),
        (Platform("server", 32_000_000, 64_000_000), "ok"),
        (Platform("vercel", 4_400_000, 4_400_000, 4_400_000), "ok"),
        (Platform("lambda", 5_900_000, 10_000_000), "problem"),
    ],
)
def test_a_limit_above_the_platforms_is_a_problem(platform: Platform, status: str) -> None:
    assert platform_findings(platform, None, 0.0)[0].status == status


@pytest.mark.parametrize(
    ("platform", "deadline_at", "status"),
    [
        ("server", None, "ok"),
        ("lambda", None, "unknown"),
        ("vercel", 1297.0, "ok"),
        ("server", 1025.0, "warning"),
        ("lambda", 900.0, "warning"),
    ],
)
def test_the_deadline_is_what_the_platform_says(platform: str, deadline_at: float | None, status: str) -> None:
    found = platform_findings(Platform(platform, 1, 1), deadline_at, 1000.0)[1]
    assert (found.name, found.status) == ("deadline", status)
