"""References against moto's server, and what remains of the failures."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from moto.server import ThreadedMotoServer

from lib.settings import Problem, Settings, vaults
from lib.settings.reading import Unresolved
from tests.fakes.raw_server import End, RawServer, ok
from tests.fakes.serving import loopback_socket

CANARY = "Zq7vKcanaryLx4Wj"
ROOT = Path(__file__).parents[2]
ACCOUNT = {"access_token": f"at-{CANARY}-1", "account_id": "acct-1"}


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        aws_environment(patch, address)
        ssm, manager = boto3.client("ssm"), boto3.client("secretsmanager")
        for name, value in {
            "/keys": f"key-{CANARY}-1,key-{CANARY}-2",
            "/account": msgspec.json.encode(ACCOUNT).decode(),
            "/proxy": f"http://user:{CANARY}@proxy:3128",
            "/prefix": f"private-{CANARY}",
        }.items():
            ssm.put_parameter(Name=name, Value=value, Type="SecureString")
        manager.create_secret(
            Name="app/openai",
            SecretString=msgspec.json.encode({"key": f"sk-{CANARY}", "port": 5, "none": None}).decode(),
        )
        manager.create_secret(Name="plain", SecretString=f"secret-{CANARY}")
        manager.create_secret(Name="binary", SecretBinary=b"\xff")
        for client in (ssm, manager):
            client.close()
    yield address
    server.stop()


def aws_environment(patch: pytest.MonkeyPatch, address: str) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        patch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "AKIACANARY",
        "AWS_SECRET_ACCESS_KEY": f"aws-{CANARY}",
        "AWS_DEFAULT_REGION": "eu-north-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }.items():
        patch.setenv(name, value)


@pytest.fixture
def aws(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    aws_environment(monkeypatch, moto)


def problem_of(**given: Any) -> str:
    """The one problem of the settings."""
    settings = Settings(_env_file=None, **given)
    [problem] = settings.problems
    [variable] = given
    assert problem.variable == variable.upper()
    assert CANARY not in repr(settings) + repr(settings.problems)
    assert all(part not in problem.problem for part in ("/keys", "app/openai", "plain", "ssm:/", "manager:"))
    return problem.problem


def test_references_stand_for_secrets(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_TOKENS", "key-0,ssm:/keys")
    monkeypatch.setenv("ACCESS_TOKEN_PREFIX", "ssm:/prefix")
    monkeypatch.setenv("CHATGPT_ACCOUNTS", "ssm:/account, at-bare")
    monkeypatch.setenv("OPENAI_API_KEY", "secretsmanager:app/openai#key")
    monkeypatch.setenv("KEY_B", "secretsmanager:plain")
    monkeypatch.setenv("PROXY", "ssm:/proxy")
    settings = Settings(_env_file=None)
    assert settings.problems == ()
    assert settings.gateway_keys == ("key-0", f"key-{CANARY}-1", f"key-{CANARY}-2")
    assert settings.private_prefixes == (f"private-{CANARY}",)
    assert [each.access_token for each in settings.accounts] == [ACCOUNT["access_token"], "at-bare"]
    assert settings.accounts[0].account_id == "acct-1"
    assert settings.openai_api_key[0].get_secret_value() == f"sk-{CANARY}"
    assert settings.key_b is not None
    assert settings.key_b.get_secret_value() == f"secret-{CANARY}"
    assert settings.proxy_url == f"http://user:{CANARY}@proxy:3128"
    assert CANARY not in repr(settings)


def test_references_in_the_file_are_resolved(aws: None, bare_environment: Path) -> None:
    file = bare_environment / "chat.yml"
    file.write_text("auth:\n  access_tokens: [ssm:/keys]\nchatgpts:\n  - ssm:/account\n  - access_token: at-2\n")
    settings = Settings(_env_file=None, vercel_config_file=str(file))
    assert settings.problems == ()
    assert settings.gateway_keys == (f"key-{CANARY}-1", f"key-{CANARY}-2")
    assert [each.access_token for each in settings.accounts] == [ACCOUNT["access_token"], "at-2"]


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("ssm:/absent", "there is no such parameter"),
        ("ssm:", "could not be resolved"),
        ("secretsmanager:absent#key", "there is no such secret"),
        ("secretsmanager:app/openai#absent", "a key that the secret does not have"),
        ("secretsmanager:app/openai#none", "a key that the secret does not have"),
        ("secretsmanager:plain#key", "the secret is not JSON"),
        ("secretsmanager:binary", "binary"),
        ("secretsmanager:", "could not be resolved"),
    ],
)
def test_a_failure_is_a_problem_and_the_variable_counts_as_unset(aws: None, reference: str, reason: str) -> None:
    assert reason in problem_of(auth_tokens=reference)
    assert Settings(_env_file=None, auth_tokens=reference).gateway_keys == ()


def test_a_proxy_that_is_unknown_stops_requests(aws: None) -> None:
    assert Settings(_env_file=None, proxy="ssm:/absent").misdirected["proxy"].variable == "PROXY"


def test_an_item_that_fails_is_dropped_alone(aws: None) -> None:
    settings = Settings(_env_file=None, auth_tokens="key-0,ssm:/absent,ssm:/keys")
    assert len(settings.gateway_keys) == 3
    assert [problem.variable for problem in settings.problems] == ["AUTH_TOKENS"]


def test_an_account_that_cannot_be_read_is_dropped_alone(aws: None) -> None:
    settings = Settings(_env_file=None, chatgpt_accounts="secretsmanager:plain,ssm:/account")
    assert [each.access_token for each in settings.accounts] == [ACCOUNT["access_token"]]
    assert [problem.variable for problem in settings.problems] == ["CHATGPT_ACCOUNTS"]
    assert CANARY not in repr(settings.problems)


def test_a_member_that_is_no_text_is_its_json(aws: None) -> None:
    assert vaults.fetch({"secretsmanager:app/openai#port"}) == {"secretsmanager:app/openai#port": "5"}


def test_without_credentials_the_problem_says_so(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "no AWS credentials" in problem_of(auth_tokens="ssm:/keys")


def test_without_a_region_the_problem_says_so(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert "set AWS_REGION" in problem_of(auth_tokens="ssm:/keys")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert Settings(_env_file=None, auth_tokens="ssm:/keys").problems == ()


def test_a_service_that_is_silent_costs_the_limit_and_no_more(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with loopback_socket() as silent:
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        vaults.fetch({"ssm:/warm"}, limit_s=0.01)  # boto3 and its models are not part of the limit
        start = time.monotonic()
        found = vaults.fetch({f"ssm:/{number}" for number in range(40)}, limit_s=0.2)
        assert time.monotonic() - start < 4  # and not 40 times the limit
    assert set(found.values()) == {Unresolved("is a reference that could not be resolved within 0.2 s")}


def test_references_are_resolved_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    slow: list[bytes | float | End] = [
        0.2,
        ok(b'{"Parameter":{"Value":"v"}}', "content-type: application/x-amz-json-1.1"),
    ]

    async def scenario() -> None:
        async with RawServer(slow) as server:
            aws_environment(monkeypatch, server.url)
            await asyncio.to_thread(vaults.fetch, {"ssm:/warm"})
            start = time.monotonic()
            found = await asyncio.to_thread(vaults.fetch, {f"ssm:/{number}" for number in range(10)})
            assert set(found.values()) == {"v"}
            assert time.monotonic() - start < 10 * 0.2

    asyncio.run(scenario())


def test_no_secret_gets_into_a_log(aws: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    Settings(_env_file=None, auth_tokens="ssm:/keys", key_b="secretsmanager:plain")
    encoded = base64.b64encode(CANARY.encode()).decode().rstrip("=")
    assert not [record for record in caplog.records if CANARY in record.getMessage() or encoded in record.getMessage()]


def test_without_a_reference_boto3_is_not_imported() -> None:
    code = (
        "import sys; from lib.settings import Settings; Settings(_env_file=None, auth_tokens='key', proxy='http://x');"
        "sys.exit(any(name in sys.modules for name in ('boto3', 'botocore', 'lib.settings.vaults')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_reference_that_nothing_resolves_is_told_without_boto3() -> None:
    code = (
        "import sys; sys.modules['boto3'] = None; from lib.settings import Settings;"
        "print(Settings(_env_file=None, auth_tokens='ssm:/keys').problems)"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    problem = "is a reference, and the package boto3 that resolves it is not installed"
    assert told.strip() == repr((Problem("AUTH_TOKENS", problem),))
