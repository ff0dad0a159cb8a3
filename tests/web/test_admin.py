"""The operator's page and its endpoint: who may see what, and what the page is allowed to do."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lib import signing
from lib.web.admin import AdminApi
from lib.web.auth import Authenticator
from lib.web.gate import Gate
from lib.web.instance import Instance
from lib.web.paths import Table
from tests.fakes.serving import serving
from tests.web.scripted import AUTHORIZED, KEY, PREFIX, TOKEN, ask

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "lib/web/admin_page"
PAIR = ("sender", "0123456789abcdef")
MAX_BYTES = 100_000


class ScriptedStatus:
    def __init__(self) -> None:
        self.measured = 0

    def report(self) -> dict[str, Any]:
        return {"now": 1.0, "measured": self.measured}

    async def measure(self) -> None:
        self.measured += 1


@pytest.fixture(scope="module")
def admin() -> Iterator[tuple[str, int]]:
    status, instance = ScriptedStatus(), Instance()
    auth = Authenticator([KEY], [PREFIX], pairs=[PAIR])
    api = AdminApi(lambda: status, auth, instance, offers=["/v1/setup"])
    with serving(Gate(Table(api.endpoints()), now=time.time, instance=instance), access_log=False) as url:
        yield "127.0.0.1", int(url.rpartition(":")[2])


def signed() -> dict[str, str]:
    """The headers of a good signed request for the status."""
    date = str(int(time.time()))
    message = signing.string_to_sign("GET", "/admin/status", date, hashlib.sha256(b"").hexdigest())
    credential = signing.Credential(PAIR[0], signing.sign(PAIR[1].encode(), message))
    return {"x-date": date, "authorization": f"Bearer {signing.encode(credential)}"}


def test_a_local_key_sees_the_status(admin: tuple[str, int]) -> None:
    found = ask(admin, "GET", "/admin/status", AUTHORIZED)
    assert (found.status, found.headers["cache-control"]) == (200, "no-store")
    assert found.json()["endpoints"] == ["/v1/setup"]
    before = found.json()["instance"]["requests"].get("200", 0)
    assert ask(admin, "GET", "/admin/status", AUTHORIZED).json()["instance"]["requests"]["200"] == before + 1


def test_usage_is_asked_for_only_on_demand(admin: tuple[str, int]) -> None:
    before = ask(admin, "GET", "/admin/status", AUTHORIZED).json()["measured"]
    for query in ("", "?usage=0", "?other=1"):
        assert ask(admin, "GET", f"/admin/status{query}", AUTHORIZED).json()["measured"] == before
    assert ask(admin, "GET", "/admin/status?usage=1", AUTHORIZED).json()["measured"] == before + 1


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": f"Bearer {TOKEN}"}])
def test_without_a_key_there_is_nothing_to_see(admin: tuple[str, int], headers: dict[str, str]) -> None:
    assert ask(admin, "GET", "/admin/status", headers).status == 401


def test_a_caller_with_a_token_or_a_signature_does_not_see_it(admin: tuple[str, int]) -> None:
    for headers in ({"authorization": f"Bearer {PREFIX}{TOKEN}"}, signed()):
        found = ask(admin, "GET", "/admin/status", headers)
        assert (found.status, found.json()["error"]["code"]) == (403, "local_key_required")


def test_the_page_is_for_everybody_and_allows_itself_alone(admin: tuple[str, int]) -> None:
    for path in ("/admin", "/admin/"):
        page = ask(admin, "GET", path, {})
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
        assert {name: value for name, value in policy.items() if name not in ("style-src", "script-src")} == {
            "default-src": "'none'",
            "connect-src": "'self'",
            "img-src": "'self' data: blob:",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
        }
        assert (page.headers["x-content-type-options"], page.headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert len(page.body) < MAX_BYTES


def test_the_page_stores_nothing_and_makes_no_html_of_text(admin: tuple[str, int]) -> None:
    page = ask(admin, "GET", "/admin", {}).body
    assert not re.search(rb"localStorage|sessionStorage|indexedDB|document\.cookie|pushState|replaceState", page)
    assert not re.search(rb"\.(?:inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\(|@import|\burl\(", page)
    places = set(re.findall(rb"https?://[\w.-]+", page))
    assert places <= {b"http://www.w3.org"}  # a name space, not an address


def test_both_languages_have_every_text_that_is_used() -> None:
    english, chinese = (FOLDER / "texts.js").read_text("utf-8").split("\n  zh: {")
    names = [set(re.findall(r"^    (\w+):", part, re.MULTILINE)) for part in (english, chinese)]
    assert names[0] == names[1]
    sources = "".join(path.read_text("utf-8") for path in FOLDER.iterdir() if path.name != "texts.js")
    used = set(re.findall(r'data-t(?:-label|-placeholder)?="(\w+)"', sources))
    used |= set(re.findall(r'\bt(?:\(|: )"(\w+)"', sources))
    assert used <= names[0]


def test_nothing_of_it_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys; from lib.settings import Settings; from lib.web.app import create_app; "
        "create_app(Settings(_env_file=None, auth_tokens='sk-1')); "
        "print([name for name in sys.modules if name in "
        "('lib.status', 'lib.masked_settings', 'lib.upstreams.codex_usage')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert found.stdout.strip() == "[]", found.stderr[-2000:]


def test_the_report_is_json_that_the_page_can_read(admin: tuple[str, int]) -> None:
    body = ask(admin, "GET", "/admin/status", AUTHORIZED).body
    assert set(msgspec.json.decode(body)) == {"now", "measured", "instance", "endpoints"}
