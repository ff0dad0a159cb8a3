"""A real browser: Debian's Chromium, driven by Playwright. Without one of the two, these tests are skipped."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.deployments import deployed, with_accounts
from tests.browser.visits import Visit
from tests.fakes.codex_backend import CodexBackend

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (pip install playwright)")
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("there is no Chromium here (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def demo() -> Iterator[str]:
    """A deployment with nothing configured but a key."""
    with deployed() as url:
        yield url


@pytest.fixture(scope="package")
def accounts() -> Iterator[tuple[str, CodexBackend]]:
    """A deployment with accounts in every state."""
    with with_accounts() as found:
        yield found


@pytest.fixture
def visit(browser: Browser, demo: str) -> Iterator[Callable[..., Visit]]:
    """Opens the page in a browser context of its own; afterwards nothing may have gone wrong in any of them."""
    with contextlib.ExitStack() as stack:

        def opened(url: str = demo, **options: Any) -> Visit:
            return stack.enter_context(Visit.opened(browser, url, **options))

        yield opened
