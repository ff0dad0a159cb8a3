"""Tokens that are renewed unseen: whole gateways, a token endpoint that refuses reuse, a shared Redis."""

from __future__ import annotations

import concurrent.futures
import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest
import redis

from lib.accounts.rotated import key_of
from lib.settings import Settings
from lib.web.app import create_app
from tests.fakes import tokens
from tests.fakes.codex_backend import TOKEN, CodexBackend
from tests.fakes.codex_behaviours import http_error
from tests.fakes.serving import loopback_socket, serving, wait_until
from tests.journeys.conftest import Start
from tests.journeys.gateway import KEY, Gateway
from tests.journeys.secrets_kept import leaked
from tests.journeys.seen import PATHS, body_of


def login(backend: CodexBackend, *, ends_in_s: float = 864_000, account: str = "acct-1") -> dict[str, str]:
    return {
        "access_token": tokens.jwt(account, expires_in_s=ends_in_s, jti=f"configured-{account}"),
        "refresh_token": backend.authority.issue(account),
    }


def settings_of(backend: CodexBackend, *logins: dict[str, str], **more: Any) -> dict[str, Any]:
    fixed = {"chatgpt_access_tokens": "", "chatgpt_accounts": msgspec.json.encode(logins).decode()}
    return {**fixed, "token_refresh": "on", "token_url": backend.url + TOKEN, **more}


def asked(backend: CodexBackend) -> int:
    """How many requests the token endpoint has seen."""
    return sum(request.path == TOKEN for request in backend.requests)


@pytest.fixture
def backend() -> Iterator[CodexBackend]:
    with CodexBackend() as found:
        yield found


def started(start: Start, backend: CodexBackend, *logins: dict[str, str], **more: Any) -> Gateway:
    secrets = tuple(value for each in logins for value in each.values())
    return start(backend=backend, secrets=secrets, **settings_of(backend, *logins, **more))


def ask(gateway: Gateway, *, stream: bool = False) -> httpx.Response:
    return gateway.send("POST", PATHS["chat"], json=body_of("chat", stream=stream))


@pytest.mark.parametrize("stream", [True, False])
def test_a_refused_token_is_renewed_and_the_caller_sees_nothing(
    start: Start, backend: CodexBackend, stream: bool
) -> None:
    own = login(backend)
    backend.accounts.revoked[own["access_token"]] = "token_invalidated"
    gateway = started(start, backend, own)
    for _ in range(2):
        assert ask(gateway, stream=stream).status_code == 200
    assert (asked(backend), [request.status for request in backend.generations]) == (1, [401, 200, 200])
    assert "token.renewed" in gateway.log


def test_an_expired_token_is_renewed_before_it_is_used(start: Start, backend: CodexBackend) -> None:
    gateway = started(start, backend, login(backend, ends_in_s=-5000))
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert {answer.status_code for answer in threads.map(lambda _: ask(gateway), range(8))} == {200}
    assert asked(backend) == 1
    assert {request.status for request in backend.generations} == {200}


def test_a_token_that_ends_soon_is_renewed_beside_the_request(start: Start, backend: CodexBackend) -> None:
    own = login(backend, ends_in_s=120)
    gateway = started(start, backend, own)
    for _ in range(2):
        assert ask(gateway).status_code == 200
    first, second = backend.generations
    assert first.token == own["access_token"] != second.token
    assert asked(backend) == 1


def test_other_accounts_serve_while_renewing_fails(start: Start, backend: CodexBackend) -> None:
    gone, good = login(backend, ends_in_s=-5000), login(backend, account="acct-2")
    backend.authority.kill(gone["refresh_token"])
    gateway = started(start, backend, gone, good)
    for _ in range(3):
        assert ask(gateway).status_code == 200
    assert gateway.accounts() == ["acct-2"] * 3
    assert asked(backend) == 1
    assert "token.renewal_refused level=warning" in gateway.log
    assert "reason=refresh_token_expired" in gateway.log


def test_the_caller_learns_that_renewing_may_still_work(start: Start, backend: CodexBackend) -> None:
    backend.always(http_error(503, {}), path=TOKEN)
    gateway = started(start, backend, login(backend, ends_in_s=-5000))
    for _ in range(2):
        answer = ask(gateway)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "token_renewal_failed")
        assert float(answer.headers["retry-after"]) <= 60
    assert asked(backend) == 1


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models"])
def test_so_does_the_caller_whose_request_found_the_token_refused(
    start: Start, backend: CodexBackend, path: str
) -> None:
    own = login(backend)
    backend.accounts.revoked[own["access_token"]] = "token_invalidated"
    backend.always(http_error(503, {}), path=TOKEN)
    gateway = started(start, backend, own)
    for _ in range(2):
        answer = gateway.send("GET", path) if path == "/v1/models" else ask(gateway, stream=True)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "token_renewal_failed")
        assert answer.headers["x-should-retry"] == "true"


def test_a_login_that_can_not_be_renewed_has_to_be_replaced(start: Start, backend: CodexBackend) -> None:
    own = login(backend)
    backend.accounts.revoked[own["access_token"]] = "token_invalidated"
    backend.authority.kill(own["refresh_token"])
    gateway = started(start, backend, own)
    for _ in range(2):
        answer = ask(gateway)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_account_token")
    assert asked(backend) == 1


@pytest.mark.parametrize("settings", [{"token_refresh": "off"}, {"token_refresh": "auto"}, {"token_url": "nowhere"}])
def test_renewing_is_off_when_it_cannot_be_kept_or_is_not_wanted(
    start: Start, backend: CodexBackend, settings: dict[str, str]
) -> None:
    gateway = started(start, backend, login(backend, ends_in_s=-5000), **settings)
    assert ask(gateway).json()["error"]["code"] == "token_expired"
    assert asked(backend) == 0


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server")
    with loopback_socket() as bound:
        port = bound.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        with contextlib.closing(loopback_socket()) as probe:
            assert wait_until(lambda: probe.connect_ex(("127.0.0.1", port)) == 0, 5)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(5)


@pytest.fixture
def shared(backend: CodexBackend, redis_url: str) -> Iterator[Callable[[dict[str, str]], str]]:
    """Starts gateways that share the store."""
    fixed = {"auth_tokens": KEY, "chatgpt_base_url": backend.url, "state_url": redis_url, "token_refresh": "auto"}
    with contextlib.closing(redis.Redis.from_url(redis_url)) as client:
        client.flushall()  # each backend counts its refresh tokens from one
    with contextlib.ExitStack() as stack:

        def started(own: dict[str, str]) -> str:
            settings = Settings(_env_file=None, **settings_of(backend, own, **fixed))
            return stack.enter_context(serving(create_app(settings), lifespan="on"))

        yield started


def once(url: str) -> int:
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(trust_env=False, verify=False) as client:
        return client.post(url + PATHS["chat"], headers=headers, json=body_of("chat", stream=False)).status_code


def test_gateways_with_one_store_renew_once(
    backend: CodexBackend, shared: Callable[[dict[str, str]], str], capfd: pytest.CaptureFixture[str]
) -> None:
    own = login(backend, ends_in_s=-5000)
    urls = [shared(own), shared(own)]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert set(threads.map(once, urls * 4)) == {200}
    assert asked(backend) == 1
    assert once(shared(own)) == 200  # a cold start goes on with what was kept
    assert asked(backend) == 1
    assert len({request.token for request in backend.generations}) == 1
    said = capfd.readouterr().err
    assert said.count("token.renewed") == 1
    assert not leaked(said, own.values())


def test_a_lock_of_a_process_that_ended_holds_no_request_up(
    backend: CodexBackend, shared: Callable[[dict[str, str]], str], redis_url: str
) -> None:
    own = login(backend, ends_in_s=120)
    url = shared(own)
    with contextlib.closing(redis.Redis.from_url(redis_url)) as client:
        client.set(f"chat2api:lock:{key_of(own['refresh_token'])}", "somebody")
    assert [once(url), once(url)] == [200, 200]
    assert asked(backend) == 0
    assert {request.token for request in backend.generations} == {own["access_token"]}
