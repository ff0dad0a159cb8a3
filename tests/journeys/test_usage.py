"""Usage that is asked for beside the requests: it steers them, and no request suffers from it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.fakes.codex_backend import USAGE, CodexBackend
from tests.fakes.codex_behaviours import (
    Behaviour,
    Drop,
    Never,
    challenge,
    http_error,
    rate_limited,
    raw,
    token_refused,
    usage_limit,
)
from tests.fakes.redis_server import redis_server
from tests.fakes.serving import wait_until
from tests.journeys.conftest import Start
from tests.journeys.gateway import ACCOUNTS, TOKENS, Gateway

QUESTION = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hello"}]}
READ = {"usage_max_age_s": "900", "first_byte_timeout_s": "1"}

SAID = ("x-codex-primary-used-percent", "x-codex-secondary-used-percent")

TROUBLES: dict[str, Behaviour] = {
    "silence": Never(),
    "500": http_error(500, {"error": {"message": "no"}}),
    "401": token_refused(),
    "402": http_error(402, {"detail": {"code": "deactivated_workspace"}}),
    "403": challenge(),
    "404": http_error(404, {"detail": "Not Found"}),
    "429": http_error(429, {"error": {"code": "connector_rate_limit", "message": "Slow down"}}),
    "429 limit": usage_limit(3600),
    "429 short": rate_limited(),
    "garbage": raw(b"<html>marked"),
    "not a report": http_error(200, ["marked"]),
    "reset": Drop(),
}


def report(percent: Any) -> Behaviour:
    window = {"used_percent": percent, "limit_window_seconds": 18_000, "reset_at": int(time.time()) + 3600}
    return http_error(200, {"rate_limit": {"primary_window": window, "secondary_window": None}})


def ask(gateway: Gateway) -> str | None:
    """The account that answered."""
    answer = gateway.send("POST", "/v1/chat/completions", json=QUESTION)
    assert answer.status_code == 200, answer.text
    return gateway.accounts()[-1]


def readings(backend: CodexBackend) -> list[str]:
    return sorted(str(request.account) for request in backend.requests if request.path == USAGE and request.status)


def test_requests_soon_go_to_the_account_that_has_more_left(start: Start) -> None:
    with CodexBackend() as backend:
        tokens = ",".join(TOKENS[:2])
        usual = ask(start(backend=backend, chatgpt_access_tokens=tokens))
        for account in ACCOUNTS:  # answers tell nothing, so that only readings can
            backend.accounts[account].headers |= dict.fromkeys(SAID, "")
        backend.always(report(5), path=USAGE)
        backend.always(report(99), account=usual, path=USAGE)
        gateway = start(backend=backend, chatgpt_access_tokens=tokens, **READ)
        assert ask(gateway) == usual  # nobody knows better yet, and nobody waits
        assert wait_until(lambda: ask(gateway) != usual)
        assert ask(gateway) != usual
        assert readings(backend) == list(ACCOUNTS[:2])
    assert "usage.unread" not in gateway.log


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_a_reading_that_fails_is_no_requests_business(start: Start, trouble: Behaviour) -> None:
    gateway = start(**READ)
    gateway.backend.always(trouble, path=USAGE)
    began = time.monotonic()
    served = {ask(gateway) for _ in range(3)}
    assert time.monotonic() - began < 1  # as long as a reading may take
    assert wait_until(lambda: gateway.log.count("usage.unread ") == 3)
    served.add(ask(gateway))
    assert (len(served), gateway.usable()) == (1, 3)
    assert {line["attempts"] for line in gateway.lines() if "completions" in line["path"]} == {"1"}
    assert "marked" not in gateway.log


def test_what_the_store_knows_is_not_asked_for(start: Start) -> None:
    with redis_server() as server, CodexBackend() as backend:
        backend.accounts["acct-2"].primary_percent = 99
        first = start(backend=backend, state_url=server.url, **READ)
        ask(first)
        assert wait_until(lambda: readings(backend) == list(ACCOUNTS))
        ask(first)
        second = start(backend=backend, state_url=server.url, **READ)
        assert {ask(second) for _ in range(3)} <= {"acct-1", "acct-3"}
        time.sleep(0.4)
        assert len(readings(backend)) == 3
