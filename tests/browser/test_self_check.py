"""The self-check on the page: asked for when somebody wants it, drawn by severity, and cheap unless that is said."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.deployments import KEY, deployed
from tests.browser.test_panel import PHONE, WIDE
from tests.browser.visits import Visit
from tests.fakes.codex_backend import CodexBackend
from tests.fakes.tokens import jwt

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

Open = Callable[..., Visit]

CHECKS = [
    {"name": "settings", "status": "ok", "found": "Fine.", "advice": ""},
    {"name": "clock", "status": "unknown", "found": "Nobody said what time it is.", "advice": ""},
    {
        "name": "account a2-0a1b2c",
        "status": "warning",
        "found": "It ends soon.",
        "advice": "Replace it before that.",
    },
    {"name": "streaming", "status": "problem", "found": "<b>All at once</b>", "advice": "Turn buffering off."},
    {"name": "client NextChat", "status": "problem", "found": "GET /v1/models: no list.", "advice": ""},
]


def scripted(page: Page, body: dict[str, Any] | None = None, status: int = 200) -> list[str]:
    """Answers the self-check without a gateway; the list fills with the queries that were asked."""
    asked: list[str] = []

    def answered(route: Route) -> None:
        asked.append(route.request.url.partition("?")[2])
        route.fulfill(status=status, json={"checks": CHECKS} if body is None else body)

    page.route("**/v1/doctor*", answered)
    return asked


@contextlib.contextmanager
def checking(visit: Open, **options: Any) -> Iterator[Visit]:
    """The page while a check runs, of a deployment whose upstream never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base_url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        with deployed(openai_api_key="sk-one", openai_base_url=base_url) as url:
            seen = visit(url, **options)
            seen.page.fill("#key", KEY)
            seen.page.keyboard.press("Enter")
            seen.page.click("#check")
            seen.page.wait_for_selector(".spinner")
            yield seen
            seen.page.click("#check-stop")
            seen.page.wait_for_selector("#findings :text('The check was stopped.')")
            assert seen.page.is_enabled("#check")


def checked(page: Page) -> None:
    page.click("#check")
    page.wait_for_selector(".verdict", timeout=20_000)


def groups(page: Page) -> list[str]:
    return [text.strip() for text in page.locator("#findings summary").all_inner_texts()]


def test_nothing_is_checked_before_somebody_asks_for_it(visit: Open) -> None:
    seen = visit()
    page = seen.sign_in()
    assert page.is_visible("nav a[href='#doctor']")
    assert page.inner_text("#findings") == ""
    assert not [answer for answer in seen.answers if "doctor" in answer.url]


def test_a_whole_deployment_is_checked(visit: Open, accounts: tuple[str, CodexBackend]) -> None:
    url, backend = accounts
    page = visit(url).sign_in()
    before = len(backend.generations)
    checked(page)
    assert page.inner_text(".verdict h3") == "Something has to be mended"
    page.click("details.group.ok summary")
    drawn = page.inner_text("#findings")
    assert all(
        name in drawn
        for name in ("settings", "client Claude Code", "state store", "streaming, as seen from this browser")
    )
    assert "Its token ended on" in page.inner_text("details.group.problem")
    assert "Replace the token" in page.locator("details.group.problem .advice").first.inner_text()
    assert len(backend.generations) == before
    assert "No quota was spent" in page.inner_text(".verdict")


def test_findings_stand_by_severity_with_what_to_do(visit: Open) -> None:
    page = visit().sign_in()
    scripted(page)
    checked(page)
    assert groups(page) == ["2 problems", "1 warning", "1 not known", "2 in order"]
    assert page.locator("details.group").evaluate_all("all => all.map((each) => each.open)") == [
        True,
        True,
        True,
        False,
    ]
    assert page.inner_text("#check-state") == "2 problems, 1 warning, 1 not known, 2 in order"
    assert page.locator(".problem.group strong").all_inner_texts() == ["streaming", "client NextChat"]
    first = page.locator(".problem.group li").first
    assert "<b>All at once</b>" in first.inner_text()
    assert "Turn buffering off." in first.locator(".advice").inner_text()
    assert page.locator(".problem.group .advice").count() == 1


def test_a_severity_is_told_by_shape_and_word_and_not_by_colour_alone(visit: Open) -> None:
    page = visit().sign_in()
    scripted(page)
    checked(page)
    icons = page.locator(".legend .icon").evaluate_all("all => all.map((each) => each.innerHTML)")
    assert len(set(icons[-4:])) == 4
    assert all(text[0].isdigit() for text in page.locator(".verdict .legend li").all_inner_texts())


def test_only_the_second_button_asks_for_answers_that_cost(visit: Open) -> None:
    page = visit().sign_in()
    asked = scripted(page)
    checked(page)
    assert page.is_hidden("#check-live")
    page.click(".live summary")
    assert "spends a little" in page.inner_text(".live .card")
    assert asked == [""]
    page.click("#check-live")
    page.wait_for_selector(".verdict:has-text('with real answers')")
    assert asked == ["", "live=1"]
    checked(page)
    page.wait_for_selector(".verdict:has-text('No quota was spent')")
    assert asked[-1] == ""


def test_the_live_check_reaches_an_account(visit: Open) -> None:
    with CodexBackend() as backend, deployed(chatgpt_access_tokens=jwt("acct-1"), chatgpt_base_url=backend.url) as url:
        page = visit(url).sign_in()
        page.click(".live summary")
        page.click("#check-live")
        page.wait_for_selector(".verdict", timeout=20_000)
        assert len(backend.generations) == 1
        assert "live codex" in page.locator("#findings").evaluate("each => each.textContent")


def test_while_it_runs_that_can_be_seen_and_stopped(visit: Open) -> None:
    with checking(visit) as seen:
        assert seen.page.is_disabled("#check")
        assert seen.page.get_attribute("#findings", "aria-busy") == "true"
        assert seen.page.inner_text("#check-state") == "Checking the deployment"
        seen.until("document.querySelector('[data-since]').textContent.startsWith('1 s')")


@pytest.mark.parametrize(
    ("status", "words"),
    [(500, "The upstream or the gateway failed. It broke."), (401, "The key or an account's token was not taken.")],
)
def test_a_check_that_fails_is_told_in_words(visit: Open, status: int, words: str) -> None:
    seen = visit()
    seen.expected.append("Failed to load resource")
    page = seen.sign_in()
    scripted(page, {"error": {"message": "It broke.", "code": "broken"}}, status)
    page.click("#check")
    page.wait_for_selector("#findings .bad[role=alert]")
    assert words in page.inner_text("#findings")
    page.unroute("**/v1/doctor*")
    checked(page)
    assert page.locator("#findings .bad").count() == 0


def test_a_gateway_that_is_gone_or_answers_something_else_is_no_report(visit: Open) -> None:
    seen = visit()
    seen.expected.append("Failed to load resource")
    page = seen.sign_in()
    page.route("**/v1/doctor", lambda route: route.abort())
    page.click("#check")
    page.wait_for_selector("#findings .bad")
    page.unroute("**/v1/doctor")
    page.route("**/v1/doctor", lambda route: route.fulfill(status=200, body="<html>"))
    page.click("#check")
    page.wait_for_selector("#findings .bad")
    assert "make doctor" in page.inner_text("#findings")
    assert page.is_enabled("#check")


@pytest.mark.parametrize("way", ["aborted", "no event"])
def test_a_stream_that_breaks_off_is_a_finding_beside_the_others(visit: Open, way: str) -> None:
    seen = visit()
    seen.expected.append("Failed to load resource")
    page = seen.sign_in()
    scripted(page)
    page.route(
        "**/v1/doctor/stream",
        lambda route: route.abort() if way == "aborted" else route.fulfill(status=200, body="data: <html>\n\n"),
    )
    checked(page)
    assert groups(page)[0] == "3 problems"
    assert "0 of 5 events arrived." in page.inner_text("details.group.problem")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("".join(f'data: {{"number": {number}, "of": 5}}\n\n' for number in range(1, 6)), "something collects them"),
        ('data: {"number": 1, "of": 5}\n\n', "1 of 5 events arrived."),
    ],
)
def test_a_stream_that_does_not_stream_is_seen_from_here(visit: Open, body: str, told: str) -> None:
    page = visit().sign_in()
    scripted(page, {"checks": []})
    page.route(
        "**/v1/doctor/stream", lambda route: route.fulfill(status=200, content_type="text/event-stream", body=body)
    )
    checked(page)
    assert groups(page) == ["1 problem"]
    assert told in page.inner_text("details.group.problem")


def test_the_report_is_in_the_language_and_fits_a_phone(visit: Open) -> None:
    page = visit(locale="zh-CN", color_scheme="dark", **PHONE).sign_in()
    long = {"name": "x" * 120, "status": "problem", "found": "y" * 300, "advice": "z" * 300}
    scripted(page, {"checks": [*CHECKS, long]})
    checked(page)
    page.click(".live summary")
    assert groups(page)[0] == "3 个问题"
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate(WIDE) == []
    page.click("#language")
    assert groups(page)[0] == "3 problems"


def test_no_motion_for_those_who_want_none(visit: Open) -> None:
    with checking(visit, reduced_motion="reduce") as seen:
        name = seen.page.locator(".spinner").evaluate("each => getComputedStyle(each).animationName")
        assert name == "none"


def test_the_keyboard_is_enough(visit: Open) -> None:
    page = visit().sign_in()
    asked = scripted(page)
    page.focus("#check")
    page.keyboard.press("Enter")
    page.wait_for_selector(".verdict")
    assert page.evaluate("document.activeElement.id") == "check"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.parentElement.className") == "live":
            break
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".verdict:has-text('with real answers')")
    assert asked == ["", "live=1"]
