"""What refusals of all upstreams have in common."""

from __future__ import annotations

import pytest

from lib.upstreams.refusals import MAX_MESSAGE, challenge, decoded, safe_message


@pytest.mark.parametrize(
    "secret",
    ["Bearer abcdef", "sk-proj-0123456789abcdef", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "AIzaSyA0123456789abcdefgh"],
)
def test_credentials_are_cut_out(secret: str) -> None:
    assert safe_message(f"The key {secret} is odd.") == "The key [removed] is odd."


@pytest.mark.parametrize("message", [None, 5, "", "  "])
def test_no_words_are_none(message: object) -> None:
    assert safe_message(message) is None


def test_messages_are_bounded() -> None:
    assert safe_message("x" * 9999) == "x" * MAX_MESSAGE


@pytest.mark.parametrize(
    ("status", "headers", "text", "is_page", "asked"),
    [
        (403, {}, "<html>Just a moment...", True, "a browser check is required"),
        (503, {}, "<html>turnstile", True, "a turnstile token is required"),
        (200, {"cf-mitigated": "challenge"}, "", False, "it sent a web page in place of an answer"),
        (403, {}, "No.", False, None),
        (503, {}, "captcha service down", False, None),
        (502, {}, "<html>captcha", True, None),
    ],
)
def test_a_challenge_is_told_from_a_failure(
    status: int, headers: dict[str, str], text: str, is_page: bool, asked: str | None
) -> None:
    assert challenge(status, headers, text, is_page=is_page) == asked


def test_what_is_no_json_is_none() -> None:
    assert decoded(b"\xff") is None and decoded(b"[" * 100_000) is None and decoded(b"[1]") == [1]
