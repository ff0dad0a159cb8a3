"""One visit to the page, and all that the browser did meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.browser.deployments import KEY

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Response


class Visit:
    """The page, and what was said and asked for. expected: console errors that belong to the test."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.console: list[str] = []
        self.errors: list[str] = []
        self.expected: list[str] = []
        self.hosts: set[str] = set()
        self.answers: list[Response] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))
        page.on("response", lambda response: self.answers.append(response))

    @classmethod
    @contextlib.contextmanager
    def opened(cls, browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
        """The page before signing in. options: of the browser context. Leaving it checks that nothing went wrong."""
        context = browser.new_context(**{"locale": "en-US", "viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(10_000)
        try:
            visit = cls(context.new_page(), url)
            visit.page.goto(f"{url}/admin")
            yield visit
            visit.check()
        finally:
            context.close()

    def sign_in(self, key: str = KEY) -> Page:
        """Types the key and waits for the panel and its models."""
        self.page.fill("#key", key)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector("#panel:not([hidden])")
        self.page.wait_for_selector(".upstream .chip")
        return self.page

    def until(self, expression: str) -> None:
        """Waits until it is true in the page. Playwright's own way to wait is an `eval`, which the page forbids."""
        for _ in range(500):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(20)
        raise AssertionError(f"never true: {expression}")

    def check(self) -> None:
        """Nothing was asked of another host, and the browser found nothing wrong."""
        assert self.hosts <= {urlsplit(self.url).netloc}
        unexpected = [line for line in self.errors if not any(known in line for known in self.expected)]
        assert unexpected == []

    def _heard(self, message: ConsoleMessage) -> None:
        self.console.append(message.text)
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob"):
            self.hosts.add(parts.netloc)
