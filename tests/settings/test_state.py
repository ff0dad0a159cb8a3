from __future__ import annotations

import pytest

from lib.settings import Settings

CANARY = "Zq7vKcanaryLx4Wj"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("redis://localhost", "redis://localhost"),
        ('  "REDIS://:pass@host:6379/2" ', "redis://:pass@host:6379/2"),
        ("rediss://user:p%40ss@host.example:6380/", "rediss://user:p%40ss@host.example:6380/"),
        ("redis://[::1]:6379/15", "redis://[::1]:6379/15"),
        ("dynamodb://state", "dynamodb://state"),
        ("DynamoDB://State_1.x-y/", "dynamodb://State_1.x-y"),
        ("dynamodb://state?region=eu-central-1", "dynamodb://state?region=eu-central-1"),
    ],
)
def test_an_address_is_read_and_kept_secret(given: str, read: str) -> None:
    settings = Settings(_env_file=None, state_url=given)
    assert settings.state_url is not None
    assert settings.state_url.get_secret_value() == read
    assert "host" not in repr(settings)
    assert "stray quotes" in str(settings.problems) or settings.problems == ()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("localhost:6379", "must begin with one of"),
        ("http://host", "must begin with one of"),
        ("redis://", "no valid host"),
        ("redis://host:0", "no valid host"),
        ("redis://host:port", "no valid host"),
        ("redis://:pa/ss@host", "no valid host"),
        ("redis://host/db", "number of a database"),
        ("redis://host/0?ssl=no", "number of a database"),
        ("redis://ho st", "white space"),
        ("dynamodb://", "dynamodb://table"),
        ("dynamodb://a", "dynamodb://table"),
        ("dynamodb://state/more", "dynamodb://table"),
        ("dynamodb://state?region=", "dynamodb://table"),
        ("dynamodb://state?endpoint=http://h", "dynamodb://table"),
    ],
)
def test_an_unusable_address_is_a_problem_and_memory_is_used(given: str, problem: str) -> None:
    settings = Settings(_env_file=None, state_url=given)
    assert settings.state_url is None
    (found,) = settings.problems
    assert found.variable == "STATE_URL"
    assert problem in found.problem


def test_unset_or_blank_is_memory() -> None:
    assert Settings(_env_file=None).state_url is None
    assert Settings(_env_file=None, state_url=" ").state_url is None


def test_a_password_is_in_no_problem() -> None:
    for url in (f"redis://:{CANARY}@host/x", f"redis://:{CANARY}@host:99999", f"redis://:{CANARY} @host", CANARY):
        assert CANARY not in repr(Settings(_env_file=None, state_url=url).problems)
