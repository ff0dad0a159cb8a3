from __future__ import annotations

import base64
import hashlib
import re

from tests.web.scripted import ask


def test_the_landing_page_says_little_and_allows_nothing(address: tuple[str, int]) -> None:
    page = ask(address, "GET", "/", {})
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    style = re.search(rb"<style>(.*)</style>", page.body)
    assert style is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert base64.b64encode(hashlib.sha256(style[1]).digest()).decode().lower() in policy


def test_the_documentation_is_made_from_the_table(address: tuple[str, int]) -> None:
    document = ask(address, "GET", "/openapi.json", {}).json()
    page = ask(address, "GET", "/docs/", {})
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
    assert document["paths"]["/v1/models"]["get"]["security"] == [{"gateway key": []}]
    assert "security" not in document["paths"]["/ping"]["get"]
    assert document["paths"]["/v1/models/{id}"]["get"]["operationId"] == "get_v1_models_id"
    assert page.status == 200
    assert b"/openapi.json" in page.body
