from __future__ import annotations

import time

import pytest

from lib.web.asgi import OPENAI, ApiFamily, Receive, Scope, Send
from lib.web.paths import Endpoint, Table


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotImplementedError


PATHS = ["/v1/chat/completions", "/v1/responses", "/v1/models", "/v1/models/{id}", "/v1/accTokens", "/ping"]
TABLE = Table(
    [
        *(Endpoint(path, {"GET": app}, "") for path in PATHS),
        Endpoint("/", {"GET": app}, "", shown=False),
    ]
)


def found(path: str) -> tuple[str, str | None] | None:
    match = TABLE.find(path)
    return None if match is None else (match[0].path, match[1].get("id"))


@pytest.mark.parametrize(
    "path",
    ["/v1/models", "/models", "//v1/models", "/v1//models/", "/v1/models//", "/models/", "///models"],
)
def test_slashes_and_the_version_are_forgiven(path: str) -> None:
    assert found(path) == ("/v1/models", None)


def test_the_root_is_found() -> None:
    assert found("/") == found("//") == ("/", None)


def test_a_model_id_is_the_rest_of_the_path() -> None:
    assert found("/v1/models/gpt-a") == ("/v1/models/{id}", "gpt-a")
    assert found("/models/org/gpt b/") == ("/v1/models/{id}", "org/gpt b")


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/V1/models",
        "/v1/../models",
        "/v1/models/..",
        "/v1/./models",
        "/v1/models\x00",
        "/v1/models/a\x00",
        "/v1/models/a\nb",
        "/v1/models/\udc80",
        "/v1/ping",
        "/v1/models?x",
        "http://evil/v1/models",
    ],
)
def test_other_paths_are_not_found(path: str) -> None:
    assert found(path) is None


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("/v1/chat/completions/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/models", "/v1/models"),
        ("/api/v1/responses/", "/v1/responses"),
        ("/V1/Models", "/v1/models"),
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/chat/completons", "/v1/chat/completions"),
        ("/v1/acctokens", "/v1/accTokens"),
    ],
)
def test_an_unknown_path_is_told_the_nearest(path: str, nearest: str) -> None:
    assert TABLE.hint(path).endswith(f"Did you mean {nearest}?")


def test_a_path_like_no_other_is_told_them_all() -> None:
    hint = TABLE.hint("/zzz\r\n\u2028" + "x" * 1000)
    assert "/v1/chat/completions, /v1/responses" in hint
    assert hint.isprintable()
    assert len(hint) < 300


def test_a_hint_for_a_huge_path_is_cheap() -> None:
    started = time.perf_counter()
    TABLE.hint("/v1/chat/" + "completions" * 6000)
    assert time.perf_counter() - started < 2


def test_a_family_is_that_of_its_endpoints_and_of_all_below_them() -> None:
    other = ApiFamily(lambda error, request_id: {}, (b"request-id",))
    table = Table([Endpoint("/v1/models", {"GET": app}, ""), Endpoint("/v1/things", {"POST": app}, "", family=other)])
    for path in ["/v1/things", "/things", "//v1//things/", "/v1/things/a/b", "/v1/things/../x", "/things/\x00"]:
        assert table.family(path) is other, path
    for path in ["/v1/thingsx", "/v2/things", "/v1/models/things", "/v1", "/", "", "/x/v1/things"]:
        assert table.family(path) is OPENAI, path
