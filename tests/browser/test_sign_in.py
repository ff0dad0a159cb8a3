"""Signing in: who gets in, who does not, and where the key is not kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.deployments import KEY, PREFIX, deployed
from tests.browser.visits import Visit

Open = Callable[..., Visit]


def test_a_local_key_opens_the_panel(visit: Open) -> None:
    page = visit().sign_in()
    assert page.inner_text("#headline") == "The demo is ready"
    assert page.is_hidden("#sign-in")


def test_a_wrong_key_is_told_in_words(visit: Open) -> None:
    seen = visit()
    seen.expected.append("401 (Unauthorized)")
    seen.page.fill("#key", "sk-wrong")
    seen.page.click("#sign-in-button")
    seen.page.wait_for_selector("#sign-in-error:not(:empty)")
    assert "This key is not right" in seen.page.inner_text("[role=alert]")
    assert seen.page.is_hidden("#panel")
    assert seen.page.evaluate("document.activeElement.id") == "key"


def test_a_passthrough_token_is_not_enough(visit: Open) -> None:
    with deployed(access_token_prefix=PREFIX) as url:
        seen = visit(url)
        seen.expected.append("403 (Forbidden)")
        seen.page.fill("#key", f"{PREFIX}at-made-up")
        seen.page.keyboard.press("Enter")
        seen.page.wait_for_selector("#sign-in-error:not(:empty)")
        assert "AUTH_TOKENS" in seen.page.inner_text("#sign-in-error")
        assert seen.page.is_hidden("#panel")


@pytest.mark.parametrize("typed", ["a key", "schlüssel"])
def test_what_cannot_be_a_key_is_not_sent(visit: Open, typed: str) -> None:
    seen = visit()
    seen.page.fill("#key", typed)
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector("#sign-in-error:not(:empty)")
    assert not [answer for answer in seen.answers if "/status" in answer.url]


def test_the_key_is_in_memory_alone_and_gone_after_a_reload(visit: Open) -> None:
    seen = visit()
    page = seen.sign_in()
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
    assert page.evaluate("document.cookie + location.search + location.hash") == ""
    assert page.context.cookies() == []
    assert KEY not in page.content() + page.url
    assert page.input_value("#key") == ""
    page.reload()
    assert page.is_visible("#sign-in")
    assert page.is_hidden("#panel")


def test_signing_out_forgets_it_all(visit: Open) -> None:
    page = visit().sign_in()
    page.click("#sign-out")
    page.wait_for_selector("#sign-in:not([hidden])")
    assert page.is_hidden("#panel")
    assert page.inner_text("#variables") == ""
