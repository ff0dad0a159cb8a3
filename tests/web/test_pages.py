from __future__ import annotations

import base64
import hashlib
import re
import secrets

import msgspec
import pytest

from tests.journeys.secrets_kept import leaked
from tests.web.documented import demo
from tests.web.scripted import HttpReply, ask


def hash_of(content: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'".lower()


def inside(page: HttpReply, tag: bytes) -> bytes:
    found = re.search(rb"<%b>(.*)</%b>" % (tag, tag), page.body, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_landing_page_says_little_and_allows_nothing(address: tuple[str, int]) -> None:
    page = ask(address, "GET", "/", {})
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert policy.startswith(f"default-src 'none'; style-src {hash_of(inside(page, b'style'))};")


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_the_documentation_allows_its_own_parts_and_this_gateway(address: tuple[str, int], path: str) -> None:
    page = ask(address, "GET", path, {})
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "style-src": hash_of(inside(page, b"style")),
        "script-src": hash_of(inside(page, b"script")),
        "connect-src": "'self'",
        "img-src": "data:",
        "media-src": "blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def test_the_documentation_names_no_outside_resource(address: tuple[str, int]) -> None:
    page = ask(address, "GET", "/docs", {})
    assert not re.search(rb"https?://|@import|\burl\(|\.innerHTML|document\.write|eval\(", page.body)
    assert b"/openapi.json" in page.body
    assert b"localStorage" not in page.body  # a key stays in the page that it was typed into


def test_the_document_is_made_from_the_table(address: tuple[str, int]) -> None:
    document = ask(address, "GET", "/openapi.json", {}).json()
    assert set(document["paths"]) == {
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1/models",
        "/v1/models/{id}",
        "/v1/accTokens",
        "/ping",
        "/healthz",
    }


def test_the_pages_do_not_depend_on_the_settings() -> None:
    marks = [f"Canary{secrets.token_hex(8)}QxZw" for _ in range(5)]
    settings = {
        "auth_tokens": marks[0],
        "access_token_prefix": marks[1],
        "openai_api_key": marks[2],
        "openai_base_url": f"http://{marks[3].lower()}.example.org/v1",
        "default_model": marks[4],
    }
    with demo() as plain, demo(**settings) as marked:
        for path in ("/", "/docs", "/openapi.json"):
            one, other = plain.http.get(path), marked.http.get(path)
            assert one.content == other.content
            assert not leaked(other.text + str(other.headers), marks)
        assert "demo" not in msgspec.json.encode(plain.document["info"]).decode()
