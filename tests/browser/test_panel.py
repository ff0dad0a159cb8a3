"""What the panel shows and how: states, masks, languages, themes, widths, keyboards."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lib.scoped_keys import read
from tests.browser.deployments import KEY, deployed
from tests.browser.visits import Visit
from tests.fakes.codex_backend import CodexBackend
from tests.fakes.openai_backend import OpenAIBackend
from tests.fakes.tokens import jwt
from tests.journeys.secrets_kept import account_jwt, leaked

Open = Callable[..., Visit]
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
WIDE = """[...document.querySelectorAll("body *")].filter((each) => each.getBoundingClientRect().right > innerWidth + 1
    && !each.closest("nav, pre, .log")).map((each) => each.outerHTML.slice(0, 80))"""

OPEN = "all => all.forEach((each) => { each.open = true; })"
NAMELESS = """[...document.querySelectorAll("input, select, textarea, button")].filter((each) =>
    !(each.labels && each.labels.length) && !each.getAttribute("aria-label") && !each.textContent.trim())
    .map((each) => each.outerHTML.slice(0, 80))"""


def test_every_account_is_drawn_in_its_state(visit: Open, accounts: tuple[str, CodexBackend]) -> None:
    page = visit(accounts[0]).sign_in()
    page.click("#measure")
    page.wait_for_selector(".account.resting .meter")
    drawn = page.eval_on_selector_all(".account", "all => all.map((each) => each.className.split(' ').pop())")
    assert drawn == ["ready", "resting", "refused", "expired", "ready"]
    first = page.locator(".account").first
    widths = first.locator(".meter span").evaluate_all("all => all.map((each) => each.style.width)")
    assert widths == ["37%", "12%"]
    assert "plus" in first.inner_text()
    assert page.locator(".account.resting .state").inner_text().startswith("resting for 1 h")
    assert page.locator(".account.refused .facts").inner_text().endswith("token_invalidated")
    assert page.inner_text("#headline") == "Some accounts are away"
    assert page.locator("#fleet .piece").count() == 5


def test_a_countdown_runs(visit: Open) -> None:
    seen = visit()
    page = seen.sign_in()
    page.evaluate("document.body.append(countdown('for_time', gatewayNow() + 59))")
    before = page.inner_text("body > [data-until]")
    seen.until(f"document.querySelector('body > [data-until]').textContent !== '{before}'")


def test_problems_name_the_variable_and_the_instance_says_what_it_is(visit: Open) -> None:
    with deployed(log_level="LOUD") as url:
        page = visit(url).sign_in()
        assert "LOG_LEVEL" in page.inner_text("#problems")
        row = page.locator("#variables tr", has_text="LOG_LEVEL").inner_text()
        assert [word in row for word in ("default", "INFO", "must be one of DEBUG")] == [True] * 3
        assert "this page changes nothing" in page.inner_text("#settings-note").lower()
        tiles = page.inner_text("#tiles")
        assert all(word in tiles for word in ("Requests since start", "Cold start", "ms", "MB", "Server", "Python"))


def test_settings_stand_there_as_they_are_written(visit: Open) -> None:
    with deployed(read_urls="on", user_agent="team/2", chatgpt_base_url="nowhere", max_duration_s="90") as url:
        page = visit(url).sign_in()
        drawn = {
            each.locator("th").inner_text(): each.locator("td").all_inner_texts()
            for each in page.locator("#variables > .card tr").all()
        }
        assert [mark for mark, _ in drawn.values()] == ["set", "unusable", "set", "set", "set"]
        assert drawn["READ_URLS"][1] == "on"
        assert drawn["USER_AGENT"][1] == "team/2"
        assert drawn["MAX_DURATION_S"][1].split() == ["90", "=", "1", "min", "30", "s"]
        assert "must begin with" in drawn["CHATGPT_BASE_URL"][1]
        page.click("#variables summary >> nth=0")
        assert page.inner_text("tr:has-text('IMAGE_MODEL')").split() == ["IMAGE_MODEL", "default", "gpt-image-2"]
        page.click("#refresh")
        seen = page.locator("#variables details").first
        assert seen.evaluate("each => each.open")
        page.click("#variables summary >> nth=1")
        assert "KEY_SECRET" in page.locator("#variables .chip").all_inner_texts()


def test_what_was_seen_stays_when_nothing_new_can_be_seen(visit: Open) -> None:
    seen = visit()
    seen.expected.append("Failed to load resource")
    page = seen.sign_in()
    page.route("**/admin/status", lambda route: route.abort())
    page.focus("#refresh")
    page.keyboard.press("Enter")
    page.wait_for_selector("#refresh-error:not(:empty)")
    assert page.inner_text("#headline") == "The demo is ready"
    assert page.evaluate("document.activeElement.id") == "refresh"


def test_a_rest_that_is_over_ends_by_itself(visit: Open, accounts: tuple[str, CodexBackend]) -> None:
    page = visit(accounts[0]).sign_in()
    page.evaluate("Object.assign(session.report.accounts[0], { state: 'resting', resting_until: gatewayNow() + 1.2 })")
    page.evaluate("drawStatus()")
    assert page.locator(".account").first.get_attribute("class") == "card account resting"
    page.wait_for_selector(".account.ready >> nth=0")
    page.wait_for_selector(".account >> nth=0 >> .state strong.ready")


def test_the_section_that_is_read_is_marked(visit: Open) -> None:
    seen = visit(**PHONE)
    page = seen.sign_in()
    seen.until("document.querySelector('nav [aria-current]')?.hash === '#overview'")
    page.evaluate("document.querySelector('#models').scrollIntoView()")
    seen.until("document.querySelector('nav [aria-current]')?.hash === '#models'")
    box = page.locator("nav [aria-current]").bounding_box()
    assert box is not None and 0 <= box["x"] < 360 - box["width"]


def test_no_secret_is_in_the_page_an_answer_or_the_console(visit: Open) -> None:
    hidden = {
        "access_token_prefix": "PrefixCanary0123-QrTy",
        "key_secret": "KeySecretCanary0123456789012345678-GhTz",
        "key_pairs": "sender:PairCanary0123456789-LkJh",
        "key_a": "sender",
        "key_b": "KeyCanary0123456789-PoIu",
        "default_model": "sk-ModelCanary0123-TgBn",
    }
    token, key, proxied = account_jwt("acct-1"), "sk-OpenaiCanary0123456789-MnBv", account_jwt("acct-2")
    with CodexBackend() as codex, OpenAIBackend(keys=(key,)) as compatible:
        account = f'[{{"access_token": "{proxied}", "account_id": "acct-2", "email": "EmailCanary@one.example"}}]'
        with deployed(
            chatgpt_access_tokens=token,
            chatgpt_accounts=account,
            chatgpt_base_url=codex.url,
            openai_api_key=key,
            openai_base_url=compatible.url,
            signed_base_url="http://127.0.0.1:9/SignedCanary0123456789-WsXc",
            **hidden,
        ) as url:
            seen = visit(url)
            page = seen.sign_in()
            page.click("#measure")
            page.wait_for_selector(".account .meter")
            page.locator("#variables details").evaluate_all(OPEN)
            page.click("#check")
            page.wait_for_selector(".verdict", timeout=20_000)
            bodies = [answer.text() + str(answer.headers) for answer in seen.answers if "/v1/setup" not in answer.url]
            shown = "\n".join([page.content(), page.inner_text("body"), *seen.console, *bodies])
    marks = [mark for value in hidden.values() for mark in value.replace(":", "=").split("=") if "Canary" in mark]
    assert not leaked(
        shown, [KEY, token, proxied, key, *marks, "SignedCanary0123456789-WsXc", "EmailCanary@one.example"]
    )


@pytest.mark.parametrize(("locale", "headline"), [("zh-CN", "演示模式可用"), ("en-GB", "The demo is ready")])
def test_the_language_is_the_browsers_until_it_is_changed(visit: Open, locale: str, headline: str) -> None:
    page = visit(locale=locale).sign_in()
    assert page.inner_text("#headline") == headline
    page.click("#language")
    assert page.inner_text("#headline") != headline
    assert page.evaluate("document.documentElement.lang") == {"zh-CN": "en", "en-GB": "zh-CN"}[locale]
    page.click("#language")
    assert page.inner_text("#headline") == headline


@pytest.mark.parametrize(("scheme", "other"), [("dark", "light"), ("light", "dark")])
def test_the_theme_is_the_browsers_until_it_is_changed(visit: Open, scheme: str, other: str) -> None:
    page = visit(color_scheme=scheme).page
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == other
    assert page.evaluate(ground) != before


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_a_phone_needs_no_sideways_scrolling(visit: Open, accounts: tuple[str, CodexBackend], locale: str) -> None:
    page = visit(accounts[0], locale=locale, **PHONE).sign_in()
    page.click("#measure")
    page.wait_for_selector(".account .meter")
    page.click("#check")
    page.wait_for_selector(".verdict", timeout=20_000)
    page.locator("#panel details").evaluate_all(OPEN)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate(WIDE) == []


def test_the_keyboard_reaches_everything(visit: Open) -> None:
    page = visit().page
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    page.wait_for_selector(".upstream .chip")
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    wanted = ["refresh", "model", "effort", "tool-search", "prompt", "image", "send", "SUMMARY", "log"]
    assert [each for each in wanted if each in reached] == wanted
    assert page.evaluate("document.activeElement !== document.body")


def test_every_field_and_button_has_a_name(visit: Open) -> None:
    page = visit().sign_in()
    assert page.evaluate(NAMELESS) == []


def test_accounts_that_were_rejected_still_leave_a_whole_page(visit: Open) -> None:
    with CodexBackend() as backend:
        backend.blocked = True
        with deployed(chatgpt_access_tokens=jwt("acct-1"), chatgpt_base_url=backend.url) as url:
            seen = visit(url)
            seen.expected.append("Failed to load resource")
            seen.page.fill("#key", KEY)
            seen.page.keyboard.press("Enter")
            seen.page.wait_for_selector("#upstreams .wrong")
            assert seen.page.is_visible(".account.ready")


def test_a_key_with_limits_is_made_and_a_client_is_set_up(visit: Open) -> None:
    with deployed(key_secret="0123456789" * 4) as url:
        page = visit(url).sign_in()
        page.click("#client-names button >> nth=0")
        page.wait_for_selector("#client pre")
        assert url in page.inner_text("#client")
        page.fill("#mint-label", "laptop")
        page.fill("#mint-models", "demo-*, gpt-5.5")
        page.click("#mint button")
        page.wait_for_selector("#minted pre")
        minted = page.inner_text("#minted pre")
        assert read(minted).id in page.inner_text("#minted p >> nth=-1")
    assert minted.startswith("sk-c2a-")


def test_what_is_not_offered_is_not_shown(visit: Open) -> None:
    page = visit().sign_in()
    assert page.is_hidden("#keys")
    assert page.is_hidden("nav a[href='#keys']")
