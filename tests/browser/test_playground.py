"""The playground talks to the deployment it is on: streamed, with tools, pictures and errors."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.browser.deployments import KEY, deployed
from tests.browser.visits import Visit
from tests.fakes.codex_backend import CodexBackend
from tests.fakes.openai_backend import CHAT, OpenAIBackend
from tests.fakes.openai_chat import chat_stream, chunks
from tests.fakes.tokens import jwt

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., Visit]
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def say(page: Page, text: str) -> None:
    page.fill("#prompt", text)
    page.keyboard.press("Enter")


def told(page: Page) -> None:
    """Waits for the end of the answer."""
    page.wait_for_selector("#stop", state="hidden")
    page.wait_for_selector("#send:visible")


def answers(page: Page) -> list[str]:
    return page.locator(".said.assistant .text").all_inner_texts()


def test_text_appears_while_the_stream_runs(visit: Open) -> None:
    seen = visit()
    page = seen.sign_in()
    say(page, "one two three four five six seven eight nine ten")
    seen.until("document.querySelector('.said.assistant .text')?.textContent.length > 3")
    early = answers(page)[0]
    assert page.is_visible("#stop")
    told(page)
    assert answers(page)[0].startswith(early.rstrip()[:3])
    assert len(answers(page)[0]) > len(early)
    figures = page.inner_text("#figures")
    assert all(word in figures for word in ("First token", "tokens/s", " in, ", "stop"))


def test_a_conversation_goes_on_and_begins_anew(visit: Open) -> None:
    page = visit().sign_in()
    for text in ("first", "second"):
        say(page, text)
        told(page)
    assert page.evaluate("play.messages.map((each) => each.role)") == ["user", "assistant"] * 2
    page.click("#anew")
    assert page.evaluate("play.messages.length") == 0
    assert page.locator(".said").count() == 0


def test_effort_model_and_tools_are_sent_and_stand_in_the_command(visit: Open) -> None:
    seen = visit()
    page = seen.sign_in()
    page.click(".upstream .chip >> nth=1")
    page.select_option("#effort", "high")
    page.check("#tool-search")
    with page.expect_request("**/v1/chat/completions") as asked:
        say(page, "it's late")
    told(page)
    body: Any = asked.value.post_data_json
    assert (body["model"], body["reasoning_effort"], body["tools"]) == ("demo-large", "high", [{"type": "web_search"}])
    assert page.locator(".reasoning").first.inner_text().startswith("Reasoning")
    page.click("#ask summary")
    command = page.inner_text("#curl")
    assert "$KEY" in command and KEY not in command
    assert "it'\\''s late" in command


def test_the_demo_tool_is_called_and_answered(visit: Open) -> None:
    page = visit().sign_in()
    page.check("#tool-time")
    say(page, "what time is it")
    told(page)
    calls = page.locator(".call").all_inner_texts()
    assert "local_time(" in calls[0]
    assert calls[1].startswith("result")
    assert "The tool answered" in answers(page)[-1]


def test_a_picture_is_drawn(visit: Open) -> None:
    page = visit().sign_in()
    page.check("#tool-image")
    say(page, "draw a harbour")
    told(page)
    assert page.locator(".said.assistant img").evaluate("each => each.naturalWidth") > 0


def test_a_conversation_is_followed_to_the_end_of_its_last_picture(visit: Open) -> None:
    seen = visit()
    page = seen.sign_in()
    page.check("#tool-image")
    for text in ("draw a harbour", "draw a boat"):
        say(page, text)
        told(page)
    seen.until("[...document.querySelectorAll('.said img')].every((each) => each.naturalHeight)")
    seen.until("$('log').scrollHeight > $('log').clientHeight && isAtEnd()")


def test_a_question_that_failed_can_be_asked_again(visit: Open) -> None:
    with CodexBackend() as backend:
        backend.blocked = True
        with deployed(chatgpt_access_tokens=jwt("acct-1"), chatgpt_base_url=backend.url) as url:
            seen = visit(url)
            seen.expected.append("Failed to load resource")
            page = seen.page
            page.fill("#key", KEY)
            page.keyboard.press("Enter")
            page.wait_for_selector("#panel:not([hidden])")
            say(page, "are you there")
            page.wait_for_selector("#log [role=alert]")
            told(page)
            assert page.input_value("#prompt") == "are you there"
            assert page.evaluate("play.messages.length") == 0


def test_a_picture_is_sent(visit: Open) -> None:
    page = visit().sign_in()
    page.set_input_files("#image", {"name": "dot.png", "mimeType": "image/png", "buffer": PNG})
    page.wait_for_selector("#thumb img")
    with page.expect_request("**/v1/chat/completions") as asked:
        say(page, "what is this")
    told(page)
    body: Any = asked.value.post_data_json
    assert body["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert page.is_hidden("#thumb")
    page.click("#ask summary")
    assert "data:image/png;base64,…" in page.inner_text("#curl")


def test_an_answer_is_stopped(visit: Open) -> None:
    page = visit().sign_in()
    say(page, " ".join(["word"] * 400))
    page.wait_for_selector(".said.assistant .text > *")
    page.click("#stop")
    page.wait_for_selector("#log > .faint")
    assert page.inner_text("#log > .faint") == "Stopped."
    assert page.is_visible("#send")


def test_an_error_is_told_in_plain_words_and_the_next_question_works(visit: Open) -> None:
    seen = visit()
    seen.expected.append("Failed to load resource")
    page = seen.sign_in()
    page.evaluate("TIME_TOOL.function.parameters = 7")
    page.check("#tool-time")
    say(page, "hello")
    page.wait_for_selector("#log .wrong")
    assert page.inner_text("#log .wrong").startswith("The request was not taken. ")
    page.uncheck("#tool-time")
    say(page, "hello again")
    told(page)
    assert "hello again" in answers(page)[0]


def test_what_a_model_writes_is_never_html_and_fetches_nothing(visit: Open) -> None:
    text = "<img src=x onerror=alert(1)> **bold** ![far](https://far.example/a.png) [on](javascript:alert(1))"
    with OpenAIBackend() as backend:
        backend.script(chat_stream(*chunks(f"{text}\n\n- one\n- two")), path=CHAT)
        with deployed(openai_api_key="sk-test", openai_base_url=backend.url) as url:
            page = visit(url).sign_in()
            page.fill("#model", "gpt-test")
            say(page, "hello")
            told(page)
            said = page.locator(".said.assistant .text")
            assert said.locator("img").count() == 0
            assert "<img src=x onerror=alert(1)>" in said.inner_text()
            assert said.locator("a").evaluate_all("all => all.map((each) => each.href)") == [
                "https://far.example/a.png"
            ]
            assert said.locator("strong").inner_text() == "bold"
            assert said.locator("li").all_inner_texts() == ["one", "two"]
