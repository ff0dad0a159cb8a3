from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any

import pytest

from lib.doctor.finding import Finding
from lib.doctor.upstreams import Answering, Measured, account_findings, clock_finding, note_date, upstream_findings
from lib.errors import UpstreamError, Verdict
from lib.settings import Settings
from lib.types import Outcome
from lib.wired_upstreams import Upstreams
from tests.fakes.codex_backend import RESPONSES, USAGE, CodexBackend
from tests.fakes.codex_behaviours import challenge, http_error
from tests.fakes.openai_backend import OpenAIBackend
from tests.fakes.tokens import at_token, jwt
from tests.journeys.secrets_kept import account_jwt, leaked

TOKENS = [account_jwt(f"acct-{number}") for number in (1, 2, 3, 4)]


def asked(measured: Measured | None = None, **given: Any) -> Sequence[Finding]:
    """What the upstreams of a deployment are found to be."""

    async def main() -> Sequence[Finding]:
        upstreams = Upstreams(Settings(**{"_env_file": None, **given}), time.time)
        answering = Answering(
            upstreams.targets(), upstreams.pools, upstreams.codex_api, upstreams.chatgpt.see, time.time
        )
        try:
            return await upstream_findings(answering, measured or Measured())
        finally:
            await upstreams.aclose()

    return asyncio.run(main())


def accounts(now: float, *, refused: bool = False, **given: Any) -> list[Finding]:
    """What is told of the accounts."""

    async def main() -> list[Finding]:
        settings = Settings(**{"_env_file": None, **given})
        upstreams = Upstreams(settings, lambda: now)
        targets, pool = upstreams.targets(), upstreams.pools["codex"]
        if refused:
            lease = await pool.lease(affinity="", model=None, tried=[])
            await pool.report(lease, Outcome(UpstreamError("no", verdict=Verdict.ACCOUNT)), None)
        answering = Answering(targets, upstreams.pools, upstreams.codex_api, upstreams.chatgpt.see, lambda: now)
        try:
            return account_findings(answering, settings)
        finally:
            await upstreams.aclose()

    return asyncio.run(main())


def test_accounts_are_asked_for_their_usage_and_for_nothing_that_costs() -> None:
    with CodexBackend() as backend:
        found = asked(chatgpt_access_tokens=",".join(TOKENS), chatgpt_base_url=backend.url)
        paths = [request.path for request in backend.requests]
    assert [each.status for each in found] == ["ok"] * 3, found
    assert found[0].name.startswith("upstream codex a1-") and "used to" in found[0].found
    assert paths == [USAGE] * 3 and RESPONSES not in paths


def test_what_accounts_say_of_their_usage_is_known_to_the_pool() -> None:
    async def main() -> list[float]:
        given = {"chatgpt_access_tokens": ",".join(TOKENS[:2]), "chatgpt_base_url": backend.url}
        upstreams = Upstreams(Settings(**{"_env_file": None, **given}), time.time)
        see = upstreams.chatgpt.see
        answering = Answering(upstreams.targets(), upstreams.pools, upstreams.codex_api, see, time.time)
        try:
            await upstream_findings(answering, Measured())
        finally:
            await upstreams.aclose()
        return [window.used_percent for status in upstreams.pools["codex"].status() for window in status.windows]

    with CodexBackend() as backend:
        backend.accounts["acct-1"].primary_percent = 96
        assert asyncio.run(main()) == [96, 12, 29, 12]


def test_a_window_that_is_nearly_full_is_a_warning() -> None:
    body = {"rate_limit": {"primary_window": {"used_percent": 95, "limit_window_seconds": 18_000}}}
    with CodexBackend() as backend:
        backend.always(http_error(200, body), path=USAGE)
        [found] = asked(chatgpt_access_tokens=TOKENS[0], chatgpt_base_url=backend.url)
    assert (found.status, "codex of 5 hours used to 95 %" in found.found) == ("warning", True)


def test_an_upstream_that_refuses_or_is_not_there_is_a_problem_with_advice() -> None:
    with CodexBackend() as backend:
        backend.always(challenge(), path=USAGE)
        [blocked] = asked(chatgpt_access_tokens=TOKENS[0], chatgpt_base_url=backend.url)
    [gone] = asked(chatgpt_access_tokens=TOKENS[0], chatgpt_base_url="http://127.0.0.1:1")
    [unusable] = asked(chatgpt_access_tokens=TOKENS[0], chatgpt_base_url="nowhere")
    for found in (blocked, gone, unusable):
        assert found.status == "problem" and found.advice
        assert not leaked(str(found), TOKENS)
    assert "upstream_challenge" in blocked.found and "<" not in blocked.found
    assert unusable.advice == "Mend the variable."


def test_a_compatible_upstream_is_asked_for_its_models_once_for_each_key() -> None:
    with OpenAIBackend(keys=("sk-one-canary", "sk-two-canary")) as backend:
        found = asked(openai_api_key="sk-one-canary,sk-bad-canary", openai_base_url=backend.url)
        paths = {request.path for request in backend.requests}
    assert [each.status for each in found] == ["ok", "problem"], found
    assert "models" in found[0].found and found[1].advice == "Replace the token or key."
    assert paths == {"/models"} and "canary" not in str(found)


def test_the_demo_upstream_is_told_from_a_pool_for_callers_of_their_own() -> None:
    [demo] = asked()
    assert (demo.name, demo.status) == ("upstream demo", "warning")
    [own] = asked(access_token_prefix="prefix-12345")
    assert (own.name, own.status) == ("upstream codex", "ok")


def test_a_pool_without_a_usable_account_is_a_problem() -> None:
    expired = jwt("acct-1", now=time.time() - 1e6, expires_in_s=10)
    [found] = asked(chatgpt_access_tokens=expired, chatgpt_base_url="http://127.0.0.1:1")
    assert (found.name, found.status) == ("upstream codex", "problem")


DAY = 86_400.0


@pytest.mark.parametrize(
    ("left_s", "renewed", "status"),
    [
        (30 * DAY, False, "ok"),
        (DAY, False, "warning"),
        (DAY, True, "ok"),
        (-10.0, False, "warning"),  # clocks may differ
        (-DAY, False, "problem"),
        (-DAY, True, "warning"),
    ],
)
def test_the_end_of_a_token_is_told_for_its_slot(left_s: float, renewed: bool, status: str) -> None:
    token = jwt("acct-1", now=1_800_000_000.0, expires_in_s=1000)
    account = {"access_token": token, **({"refresh_token": "rt-canary"} if renewed else {})}
    [found] = accounts(1_800_001_000.0 - left_s, chatgpt_accounts=[account], token_refresh="on")
    assert found.name.startswith("account a1-") and found.status == status, found
    assert "2027-01-15" in found.found and "canary" not in str(found)


def test_tokens_that_do_not_end_and_tokens_that_are_refused() -> None:
    [opaque] = accounts(0.0, chatgpt_access_tokens=at_token())
    [refused] = accounts(0.0, refused=True, chatgpt_access_tokens=at_token())
    assert (opaque.status, refused.status) == ("ok", "problem")


@pytest.mark.parametrize(
    ("ahead_s", "status", "words"),
    [(0.4, "ok", "Within"), (-120, "warning", "behind"), (90, "warning", "ahead of"), (4000, "problem", "ahead of")],
)
def test_the_clock_is_held_against_that_of_others(ahead_s: float, status: str, words: str) -> None:
    measured = Measured()
    note_date(measured, formatdate(1_800_000_000, usegmt=True), 1_800_000_000 + ahead_s)
    note_date(measured, formatdate(1_800_000_000, usegmt=True), 1_800_000_000 + 9 * ahead_s)
    found = clock_finding(measured)
    assert (found.status, words in found.found) == (status, True)


def test_a_date_that_cannot_be_read_says_nothing() -> None:
    measured = Measured()
    for date in (None, "", "tomorrow", "Sun, 99 Nov 2026 99:99:99 GMT"):
        note_date(measured, date, 0.0)
    assert clock_finding(measured).status == "unknown"
