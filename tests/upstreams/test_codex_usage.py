"""The usage report of an account: read from the fake backend, and in every shape that it may have."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from lib.errors import UpstreamError, Verdict
from lib.types import Lease, Window
from lib.upstreams.codex_api import CodexApi
from lib.upstreams.codex_usage import parse, usage
from lib.upstreams.http import HttpClients, Timeouts
from tests.fakes.codex_backend import USAGE, CodexBackend
from tests.fakes.tokens import jwt

NOW = 1000.0


def asked(url: str) -> list[Window]:
    async def main() -> list[Window]:
        clients = HttpClients(timeouts=Timeouts(2, 2, 0.5))
        api = CodexApi(clients, base_url=url, client_version="0.160.0", now=lambda: NOW)
        lease = Lease("a1", "codex", {"authorization": f"Bearer {jwt('acct-1')}", "chatgpt-account-id": "acct-1"})
        try:
            return list(await usage(api, lease, timeout_s=2))
        finally:
            await clients.aclose()

    return asyncio.run(main())


def test_the_windows_are_those_of_the_headers() -> None:
    with CodexBackend() as backend:
        backend.accounts["acct-1"].primary_percent = 92.5
        windows = asked(backend.url)
        (seen,) = backend.requests
    assert (seen.path, seen.headers["accept"]) == (USAGE, "application/json")
    assert [(window.bucket, window.used_percent, window.window_minutes) for window in windows] == [
        ("codex", 92.5, 300),
        ("codex", 12.0, 10_080),
    ]
    assert all(window.reset_at is not None for window in windows)


def test_a_refusal_has_its_verdict() -> None:
    with CodexBackend() as backend:
        backend.blocked = True
        with pytest.raises(UpstreamError) as caught:
            asked(backend.url)
    assert caught.value.verdict is Verdict.CHALLENGE


def test_every_limit_is_read_and_keeps_its_bucket() -> None:
    window = {"used_percent": 5, "limit_window_seconds": 18_000, "reset_after_seconds": 60, "reset_at": None}
    report = {
        "rate_limit": {"primary_window": window, "secondary_window": None},
        "code_review_rate_limit": {"primary_window": window | {"reset_at": 9000}},
        "additional_rate_limits": [
            {"metered_feature": "codex_bengalfox", "rate_limit": {"secondary_window": window}},
            {"limit_name": "Other", "rate_limit": None},
            {"rate_limit": {"primary_window": window}},
            7,
        ],
    }
    assert parse(msgspec.json.encode(report), NOW) == [
        Window("codex", 5.0, 300, 1060.0),
        Window("code-review", 5.0, 300, 9000.0),
        Window("codex-bengalfox", 5.0, 300, 1060.0),
    ]


@pytest.mark.parametrize(
    "limit",
    [
        None,
        7,
        {"primary_window": 7},
        {"primary_window": {"used_percent": "5"}},
        {"primary_window": {"used_percent": True}},
    ],
)
def test_what_says_nothing_is_no_window(limit: object) -> None:
    assert parse(msgspec.json.encode({"rate_limit": limit, "additional_rate_limits": 7}), NOW) == []


def test_a_window_without_length_and_reset_is_one() -> None:
    body = msgspec.json.encode({"rate_limit": {"primary_window": {"used_percent": 1}}})
    assert parse(body, NOW) == [Window("codex", 1.0, None, None)]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b"\xff", b"[" * 100_000])
def test_what_is_no_report_is_an_error(body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        parse(body, NOW)
    assert caught.value.code == "upstream_bad_response"


@pytest.mark.parametrize(
    ("credits", "expected"),
    [({"has_credits": True, "unlimited": False, "balance": "5"}, True), ({"unlimited": True}, True), (None, False)],
)
def test_credits_go_with_every_window(credits: object, expected: bool) -> None:
    window = {"used_percent": 100, "limit_window_seconds": 18_000, "reset_at": 9000}
    body = msgspec.json.encode({"rate_limit": {"primary_window": window}, "credits": credits})
    assert parse(body, NOW) == [Window("codex", 100.0, 300, 9000.0, expected)]
