"""The row "Routing" at every endpoint of the gateway. How paths are spelt is tested in `tests/web/test_gate.py`."""

from __future__ import annotations

import pytest

from lib.web.openapi_operations import OPERATIONS
from tests.hostile.asking import AUTHORIZED, Asked, error_of
from tests.web.documented import KEY, max_s

PATHS = sorted({path.replace("{id}", "m") for _, path in OPERATIONS})
LED_ASTRAY = {
    "host": "localhost:4000/#@evil.example",
    "x-forwarded-host": "evil.example",
    "x-forwarded-proto": "gopher",
    "x-forwarded-port": "443,80",
    "x-forwarded-for": "127.0.0.1, ::1\t",
    "x-original-url": "/v1/models",
    "x-rewrite-url": "/v1/models",
    "forwarded": "for=127.0.0.1;host=evil.example",
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "PROPFIND", "get", "CONNECT"])
def test_every_method_is_answered_everywhere(gateway: Asked, method: str, path: str) -> None:
    answer = gateway.send(method, path, max_s=max_s(path))
    assert answer.status in (200, 400, 404, 405)
    if method == "TRACE":
        assert answer.status == 405
    assert KEY.encode() not in answer.body


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["x-http-method-override", "x-http-method", "x-method-override"])
def test_no_header_changes_the_method(gateway: Asked, path: str, name: str) -> None:
    known = {method for method, each in OPERATIONS if each.replace("{id}", "m") == path}
    other = "POST" if "GET" in known else "GET"
    for method in known:
        answer = gateway.send(other, path, headers={**AUTHORIZED, name: method})
        assert answer.status == 405
        assert method.lower() in answer.headers["allow"]


@pytest.mark.parametrize("header", LED_ASTRAY)
def test_no_header_changes_the_path_or_comes_back(gateway: Asked, header: str) -> None:
    found = gateway.send("GET", "/v1/nowhere", headers=[*AUTHORIZED.items(), (header, LED_ASTRAY[header])])
    # Two `host` headers are the server's to refuse.
    assert found.status == 404 or (header == "host" and found.status == 400)
    assert "evil" not in str(found)


@pytest.mark.parametrize(
    "target",
    [
        "/v1/models/../../../etc/passwd",
        "/v1/%2e%2e/%2e%2e/etc/passwd",
        "/v1/models%00.json",
        "/v1/models;x=y",
        "/v1/chat%2fcompletions/x",
        "/V1/CHAT/COMPLETIONS",
        "/%ff%fe%fd",
        "/" + "a/" * 4000,
        "/v1/" + "%41" * 2000,
        "/api/index",
        "/.env",
        "/.git/config",
        "/lib/settings/model.py",
        "//evil.example/%2f..",
        "/\\evil.example",
        "http://evil.example/v1/none",
    ],
    ids=lambda target: target[:32],
)
def test_paths_that_lead_nowhere_are_a_404(gateway: Asked, target: str) -> None:
    answer = gateway.send("GET", target)
    assert answer.status in (400, 404, 414)
    if answer.status == 404:
        assert error_of(target, answer)["code"] in ("not_found", "model_not_found")
    assert "location" not in answer.headers


@pytest.mark.parametrize("name", ["%0d%0aset-cookie:a=b", "..", "%00", "%2e%2e%2f", "<script>", "{id}", "a" * 6000])
def test_names_of_models_in_the_path_are_only_names(gateway: Asked, name: str) -> None:
    answer = gateway.send("GET", f"/v1/models/{name}")
    assert answer.status in (400, 404)
    assert "set-cookie" not in answer.headers
    assert answer.status == 400 or answer.headers["content-type"] == "application/json"


def test_a_request_that_smuggles_another_is_one_request_or_none(gateway: Asked) -> None:
    head = f"POST /v1/embeddings HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n"
    smuggled = "0\r\n\r\nGET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n"
    both = f"{head}content-length: {len(smuggled)}\r\ntransfer-encoding: chunked\r\n\r\n{smuggled}"
    answer = gateway.send_raw(both.encode())
    assert answer.status == 400
    assert b"HTTP/1.1 200" not in answer.body
