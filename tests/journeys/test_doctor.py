"""The self-check of a whole gateway in front of a fake backend, and what answers say of where they come from."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.fakes.codex_backend import USAGE
from tests.fakes.codex_behaviours import stream, token_refused, usage_limit
from tests.journeys.conftest import Start
from tests.journeys.gateway import ACCOUNTS, KEY, TOKENS, Gateway
from tests.journeys.secrets_kept import leaked

CHAT = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hello"}]}
ACCOUNT = r"a[123]-[0-9a-f]{6}"


def checks(gateway: Gateway, query: str = "") -> dict[str, dict[str, Any]]:
    report = gateway.send("GET", f"/v1/doctor{query}").json()
    assert report["ok"] is all(check["status"] != "problem" for check in report["checks"])
    return {check["name"]: check for check in report["checks"]}


def test_a_sound_deployment_has_no_problem_and_spends_nothing(gateway: Gateway) -> None:
    before = len(gateway.backend.generations)
    found = checks(gateway)
    assert {name: check for name, check in found.items() if check["status"] in ("problem", "warning")} == {}
    accounts = [name for name in found if re.fullmatch(f"account {ACCOUNT}", name)]
    reached = [name for name in found if re.fullmatch(f"upstream codex {ACCOUNT}", name)]
    assert (len(accounts), len(reached)) == (3, 3)
    assert found["streaming"]["status"] == found["browsers (CORS)"]["status"] == "ok"
    assert {"settings", "keys", "body limit", "deadline", "state store", "client Claude Code"} <= set(found)
    assert len(gateway.backend.generations) == before


def test_only_the_requests_that_came_in_are_in_the_log(gateway: Gateway) -> None:
    checks(gateway)
    gateway.last_line("/v1/doctor")
    assert {line.get("upstream") for line in gateway.lines() if "doctor" in line["path"]} == {None}
    assert not [line for line in gateway.lines() if line.get("upstream") == "demo"]


def test_a_little_quota_is_spent_when_that_is_wanted(gateway: Gateway) -> None:
    before = len(gateway.backend.generations)
    assert checks(gateway, "?live=1")["live codex"]["status"] == "ok"
    assert len(gateway.backend.generations) == before + 1
    assert gateway.backend.generations[-1].json["reasoning"]["effort"] == "low"


@pytest.mark.parametrize("streamed", [False, True])
def test_answers_say_where_they_come_from(gateway: Gateway, streamed: bool) -> None:
    reply = gateway.send("POST", "/v1/chat/completions", json={**CHAT, "stream": streamed})
    told = reply.headers
    assert (told["x-gateway-upstream"], told["x-gateway-attempts"]) == ("codex", "1")
    assert re.fullmatch(ACCOUNT, told["x-gateway-account"])
    assert re.fullmatch(r"gateway;dur=\d+, upstream;desc=codex;dur=\d+, total;dur=\d+", told["server-timing"])
    assert 0 <= int(told["x-gateway-ttfb-ms"]) < 5000
    assert gateway.last_line("/chat/completions")["accounts"] == told["x-gateway-account"]
    assert not leaked(str(told), gateway.secrets)


@pytest.mark.parametrize("form", ["json", "text", "html"])
def test_secrets_are_in_no_form_of_the_report(start: Start, form: str) -> None:
    gateway = start(
        auth_tokens=f'"{KEY}",{KEY},short-canary',
        proxy="canary-proxy:secret-Password-wXyZ@nowhere",
        openai_base_url="canary://secret-Address-wXyZ",
        state_url="redis://:secret-Store-wXyZ@127.0.0.1:1/0",
        secrets=("secret-Password-wXyZ", "secret-Address-wXyZ", "secret-Store-wXyZ", "short-canary"),
    )
    reply = gateway.send("GET", f"/v1/doctor?format={form}")
    assert reply.status_code == 200 and "PROXY" in reply.text and "AUTH_TOKENS" in reply.text
    assert not leaked(reply.text + str(reply.headers), gateway.secrets)
    assert "canary" not in reply.text and all(token not in reply.text for token in TOKENS)


def test_strictness_that_breaks_clients_is_a_problem_of_these_clients(start: Start) -> None:
    found = checks(start(strict_parameters=True))
    nextchat = found["client NextChat"]
    assert nextchat["status"] == "problem" and "Unsupported parameter" in nextchat["found"]
    assert "STRICT_PARAMETERS" in nextchat["advice"]
    assert found["client Chatbox"]["status"] == "ok"


def test_an_account_that_is_refused_is_told_without_its_token(start: Start) -> None:
    gateway = start()
    gateway.backend.always(token_refused(), account=ACCOUNTS[0], path=USAGE)
    found = checks(gateway)
    refused = [check for name, check in found.items() if name.startswith("upstream codex a1-")]
    assert [(check["status"], check["advice"]) for check in refused] == [("problem", "Replace the token or key.")]
    assert not leaked(str(found), gateway.secrets)


def test_the_account_that_took_over_is_told_with_the_attempts(start: Start) -> None:
    gateway = start()
    gateway.backend.script(usage_limit(60), stream())
    told = gateway.send("POST", "/v1/chat/completions", json={**CHAT, "stream": True}).headers
    assert told["x-gateway-attempts"] == "2"
    assert gateway.last_line()["accounts"].strip('"').split(",")[-1] == told["x-gateway-account"]


def test_a_stream_that_begins_late_has_no_time_to_first_byte(start: Start) -> None:
    gateway = start(commit_wait_s=0.05)
    gateway.backend.script(stream(pause_s=0.1))
    told = gateway.send("POST", "/v1/chat/completions", json={**CHAT, "stream": True}).headers
    assert told["x-gateway-attempts"] == "1"
    assert "x-gateway-ttfb-ms" not in told and "upstream;desc=codex;dur=" in told["server-timing"]
