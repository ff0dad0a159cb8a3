"""Marked credentials in every secret setting: they may stand in no reply, header, log line, message or repr."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from lib.settings import Settings
from tests.fakes.codex_behaviours import (
    Behaviour,
    Drop,
    bad_gateway,
    challenge,
    http_error,
    raw,
    redirect,
    stream,
    token_refused,
    usage_limit,
)
from tests.fakes.codex_errors import error_body
from tests.fakes.serving import loopback_socket
from tests.fakes.tokens import jwt
from tests.journeys.conftest import Start
from tests.journeys.gateway import KEY, Gateway
from tests.journeys.secrets_kept import account_jwt, at_token, leaked
from tests.journeys.seen import PATHS, body_of

OWN, OPAQUE, CALLERS = account_jwt("acct-1"), at_token("acct-2"), account_jwt("acct-9")
ID_TOKEN = jwt("acct-1", now=1_790_000_000, expires_in_s=1e9, email="canary-claim@example.org")
PREFIX, PREFIXES = "private-canary-prefix-KqWv", "wnother-canary-prefix-JxZh"
REFRESH, EMAIL = "rt.1.canary-refresh-token-XyQj", "canary-mail@example.org"
LOGIN, OWN_LOGIN = "canary-user:canary-password-ZkQx", "canary-own-user:canary-own-password-WvXz"
API_KEYS = ("sk-or-canary-first-0a1b2c-HqZv", "gsk_canary-second-3d4e5f-WjXk")
SIGNING, PAIRED, ISSUING = (
    "canary-key-b-0123456789-QvZj",
    "canary-pair-0123456789-KxJw",
    "canary-issuer-0123456789-ZvXq",
)
STORE_WORD, BUCKET_WORD, SESSION_WORD = "canary-redis-word-VkQz", "canary-aws-secret-JzXw", "canary-aws-session-QkZj"
SECRETS = (
    *(*API_KEYS, SIGNING, PAIRED, ISSUING, STORE_WORD, BUCKET_WORD, SESSION_WORD),
    *(KEY, OWN, OPAQUE, CALLERS, ID_TOKEN, PREFIX, PREFIXES, REFRESH, EMAIL, "canary-claim@example.org"),
    *(LOGIN, OWN_LOGIN, LOGIN.split(":")[1], OWN_LOGIN.split(":")[1]),
)
FAULTS: dict[str, Behaviour] = {
    "good": stream(),
    "401": token_refused(),
    "403": http_error(403, {"detail": "No."}),
    "429": usage_limit(600),
    "502": bad_gateway(),
    "challenge": challenge(),
    "redirect": redirect(f"http://{LOGIN}@127.0.0.1:9/?token={OWN}"),
    "html": raw(b"<html></html>"),
    "garbage": raw(b"data: {\n\n"),
    "reset": Drop(),
    "midstream": stream("failed_midstream", pause_s=0.01),
    "reasoning": http_error(400, error_body("Not yours.", code="invalid_encrypted_content")),
}


def everything(**settings: Any) -> dict[str, Any]:
    """Every secret setting, marked."""
    account = {"access_token": OWN, "id_token": ID_TOKEN, "refresh_token": REFRESH, "email": EMAIL}
    return {
        "access_token_prefix": PREFIX,
        "access_token_prefixes": PREFIXES,
        "chatgpt_access_tokens": OPAQUE,
        "chatgpt_accounts": msgspec.json.encode([{**account, "account_id": "acct-1"}]).decode(),
        "openai_api_key": ",".join(API_KEYS),
        "openai_base_url": "http://127.0.0.1:1/v1",
        "openai_wire": "chat",
        "key_a": "team",
        "key_b": SIGNING,
        "signed_base_url": "http://127.0.0.1:1/v1",
        "key_pairs": f"team:{PAIRED}",
        "key_secret": ISSUING,
        "state_url": f"redis://:{STORE_WORD}@127.0.0.1:1/0",
        "log_level": "DEBUG",
        "secrets": SECRETS,
        **settings,
    }


@pytest.fixture(autouse=True)
def verbose(caplog: pytest.LogCaptureFixture) -> None:
    """Libraries say all that they have to say."""
    caplog.set_level(logging.DEBUG)


def everything_said(
    gateway: Gateway, answers: list[httpx.Response], caplog: pytest.LogCaptureFixture, capfd: Any
) -> Iterator[str]:
    for answer in answers:
        yield f"{answer.headers}\n{answer.text}"
    yield gateway.log
    yield from capfd.readouterr()
    # What the test's own client logs is no concern of the gateway.
    yield "\n".join(record.getMessage() for record in caplog.records if record.threadName != "MainThread")
    yield f"{gateway.settings!r} {gateway.settings} {gateway.settings.model_dump()} {gateway.settings.problems}"
    ours = [each for each in gc.get_objects() if str(type(each).__module__).startswith("lib.")]
    assert len(ours) > 10
    yield "\n".join(map(repr, ours))


def assert_kept(gateway: Gateway, answers: list[httpx.Response], caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    found = [(leaked(text, SECRETS), text) for text in everything_said(gateway, answers, caplog, capfd)]
    assert not any(forms for forms, _ in found), [(forms, text[:2000]) for forms, text in found if forms]


def ask_all(gateway: Gateway) -> list[httpx.Response]:
    """Both dialects, streamed and whole, with the gateway's key and with a caller's own token."""
    return [
        gateway.send("POST", PATHS[dialect], key=key, json=body_of(dialect, stream=streamed))
        for dialect in PATHS
        for streamed in (True, False)
        for key in (KEY, f"{PREFIX}{CALLERS}", f"{PREFIXES}{CALLERS},acct-9")
    ]


def test_every_secret_setting_is_marked() -> None:
    """A new one belongs into `everything`. A proxy has tests of its own, because it would change every other."""
    secret = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert secret | {"chatgpt_accounts"} <= {"auth_tokens", "proxy", *everything()}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_keep_secrets(start: Start, fault: str, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    gateway = start(**everything())
    gateway.backend.always(FAULTS[fault])
    assert_kept(gateway, ask_all(gateway), caplog, capfd)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_unreachable_proxies_keep_secrets(
    start: Start, scheme: str, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    with loopback_socket() as bound:
        port = bound.getsockname()[1]
        own = {"access_token": OWN, "proxy": f"{scheme}://{OWN_LOGIN}@127.0.0.1:{port}"}
        gateway = start(
            **everything(
                proxy=f"{scheme}://{LOGIN}@127.0.0.1:{port}", chatgpt_accounts=msgspec.json.encode([own]).decode()
            )
        )
        assert_kept(gateway, ask_all(gateway), caplog, capfd)


def test_small_endpoints_keep_secrets(start: Start, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    gateway = start(**everything())
    paths = ("/", "/ping", "/healthz", "/v1/models", "/v1/models/none", "/v1/accTokens", "/v1/nowhere", "/openapi.json")
    answers = [gateway.send("GET", path) for path in paths]
    assert_kept(gateway, answers, caplog, capfd)


@pytest.mark.parametrize(
    "key",
    [KEY[:-1], KEY + "x", OWN, OPAQUE, PREFIX, f"{PREFIX}{CALLERS},", f"{PREFIX}{CALLERS},a b", f"{PREFIX}{PREFIX}x"],
    ids=["cut", "longer", "JWT", "opaque", "prefix", "comma", "account id", "doubled"],
)
def test_refused_credentials_are_not_repeated(
    start: Start, key: str, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    gateway = start(**everything())
    answers = [gateway.send(method, path, key=key) for method, path in (("GET", "/v1/models"), ("POST", PATHS["chat"]))]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert_kept(gateway, answers, caplog, capfd)


@pytest.mark.parametrize(
    "settings",
    [
        {"chatgpt_accounts": f'[{{"access_token": "{OWN}", }}, "{OPAQUE}" "'},
        {"chatgpt_accounts": msgspec.json.encode([{"access_token": f"{OWN} x"}]).decode()},
        {"chatgpt_accounts": msgspec.json.encode([{"access_token": OWN, "proxy": LOGIN}]).decode()},
        {"proxy": f"ftp://{LOGIN}@x"},
        {"proxy": f"http://{LOGIN}@:bad"},
        {"chatgpt_base_url": f"https://{LOGIN}@example.org"},
        {"access_token_prefix": "KqWv"},
        {"chatgpt_access_tokens": f"{OPAQUE},{OPAQUE},\u00e9{OWN}"},
    ],
    ids=["json", "space", "proxy", "scheme", "port", "base url", "short", "repeated"],
)
def test_malformed_settings_keep_secrets(
    start: Start, settings: dict[str, str], caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    gateway = start(**everything(**settings))
    assert gateway.settings.problems
    assert_kept(gateway, ask_all(gateway), caplog, capfd)


@pytest.mark.parametrize(
    "behaviour",
    [
        http_error(400, error_body(f"Bad credentials: Bearer {OWN}")),
        http_error(401, error_body(f"Bad token {OPAQUE}", code="token_invalidated")),
        raw(b'data: {"type":"error","error":{"code":"server_error","message":"for %b"}}\n\n' % CALLERS.encode()),
    ],
    ids=["400", "401", "event"],
)
def test_upstream_that_repeats_credentials(
    start: Start, behaviour: Behaviour, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    """Some debugging proxies answer with the headers that they were sent."""
    gateway = start(**everything())
    gateway.backend.always(behaviour)
    assert_kept(gateway, ask_all(gateway), caplog, capfd)
