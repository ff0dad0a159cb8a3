"""The rows "Authorization", "Prefix passthrough" and "Other credential headers" at every endpoint that needs a key:
none of them is more permissive than another. What each form means is tested in `tests/web/test_auth.py`."""

from __future__ import annotations

import msgspec
import pytest

from tests.hostile.asking import AUTHORIZED, BODIES, FORMS, GETS, Asked, error_of
from tests.web.documented import KEY
from tests.web.scripted import Pairs

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"
ENDPOINTS = [*(("GET", path) for path in GETS), *(("POST", path) for path in [*BODIES, *FORMS[:2]])]
REFUSED: dict[str, Pairs] = {
    "absent": {},
    "empty": {"authorization": ""},
    "scheme alone": {"authorization": "Bearer"},
    "double space": {"authorization": f"Bearer  {KEY}"},
    "tab": {"authorization": f"Bearer\t{KEY}"},
    "twice": [("authorization", f"Bearer {KEY}"), ("authorization", f"Bearer {KEY}")],
    "joined": {"authorization": f"Bearer {KEY}, Bearer {KEY}"},
    "basic": {"authorization": f"Basic {KEY}"},
    "doubled": {"authorization": f"Bearer Bearer {KEY}"},
    "other case": {"authorization": f"Bearer {KEY.upper()}"},
    "long": {"authorization": "Bearer " + "x" * 60_000},
    "no ASCII": [("authorization", f"Bearer {KEY}".encode() + b"\xc3\xa9")],
    "SQL": {"authorization": "Bearer ' OR '1'='1"},
    "JWT": {"authorization": f"Bearer {JWT}"},
    "bearer in x-api-key": {"x-api-key": f"Bearer {KEY}"},
    "wrong x-api-key": {"x-api-key": "wrong"},
    "wrong api-key": {"api-key": "wrong"},
    "contradiction": {"authorization": f"Bearer {KEY}", "x-api-key": "other"},
    "prefix that nobody set": {"authorization": f"Bearer private-prefix-{JWT}"},
    "cookie": {"cookie": f"authorization=Bearer {KEY}; key={KEY}"},
    "proxy": {"proxy-authorization": f"Bearer {KEY}"},
    "forwarded": {"x-forwarded-authorization": f"Bearer {KEY}", "x-original-authorization": f"Bearer {KEY}"},
}


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
@pytest.mark.parametrize("how", REFUSED)
def test_no_endpoint_is_open(gateway: Asked, method: str, path: str, how: str) -> None:
    body = msgspec.json.encode(BODIES.get(path, {})) if method == "POST" else b""
    answer = gateway.send(method, f"{path}?key={KEY}&api_key={KEY}&access_token={KEY}", body, REFUSED[how])
    assert answer.status == 401
    assert "API key" in error_of(path, answer)["message"] or "credential" in error_of(path, answer)["message"]


@pytest.mark.parametrize("size", [70_000, 100_000])
@pytest.mark.parametrize("junk", [b"x", b"\x00", b"\r\nx: y\r\n", b"\xff"])
def test_bytes_that_are_no_header_are_refused_by_somebody(gateway: Asked, size: int, junk: bytes) -> None:
    head = b"GET /v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer " + junk * (
        size // len(junk)
    )
    assert gateway.send_raw(head + b"\r\n\r\n").status in (400, 401, 431)


def test_a_key_is_asked_for_before_the_body_is_read(gateway: Asked) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 1000000000\r\n\r\n"
    assert gateway.send_raw(head).status == 401


@pytest.mark.parametrize("path", ["/ping", "/healthz", "/", "/docs", "/openapi.json"])
def test_pages_without_a_key_take_no_notice_of_one(gateway: Asked, path: str) -> None:
    gateway.send("GET", "/openapi.json", max_s=10)  # the document is made with the first request for it
    for headers in ({}, AUTHORIZED, {"authorization": "Basic x"}):
        assert gateway.send("GET", path, headers=headers).status == 200
