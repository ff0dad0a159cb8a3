from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
import pytest

from lib.scoped_keys import Limits, check, mint
from lib.web.auth import Authenticator
from lib.web.gate import Gate
from lib.web.keys import KeysApi
from lib.web.paths import Table
from lib.web.scopes import Scopes
from tests.fakes.serving import serving
from tests.web.scripted import AUTHORIZED, KEY, PREFIX, TOKEN, ask

SECRET = b"minting-secret-canary-of-the-gateway"
NOW = 1_767_225_600
Address = tuple[str, int]


def served(secret: bytes | None) -> Iterator[Address]:
    scopes = None if secret is None else Scopes([secret], [], lambda: NOW)
    auth = Authenticator([KEY], [PREFIX], now=lambda: NOW, scopes=scopes)
    api = KeysApi(secret, auth, now=lambda: NOW)
    with serving(Gate(Table(api.endpoints()), now=time.time), access_log=False) as url:
        yield "127.0.0.1", int(url.rpartition(":")[2])


@pytest.fixture(scope="module")
def keys() -> Iterator[Address]:
    yield from served(SECRET)


def test_a_key_is_made_and_holds(keys: Address) -> None:
    body = {"models": ["gpt-5*"], "endpoints": ["chat"], "days": 1, "label": "phone", "requests_per_minute": 60}
    for path in ("/v1/keys", "/keys"):
        reply = ask(keys, "POST", path, AUTHORIZED, msgspec.json.encode(body))
        answer = reply.json()
        assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
        found = check(answer["key"], [SECRET], NOW)
        assert answer.pop("id") == found.id and found.id.startswith("phone-")
        assert answer.pop("key").startswith("sk-c2a-")
        assert answer == {
            "object": "gateway.key",
            "models": ["gpt-5*"],
            "endpoints": ["chat"],
            "expires_at": NOW + 86_400,
            "not_before": None,
            "label": "phone",
            "requests_per_minute": 60,
        }


@pytest.mark.parametrize(
    "credential", [f"{PREFIX}{TOKEN}", mint(SECRET, "k", Limits()), mint(SECRET, "k", Limits(endpoints=("/v1/keys",)))]
)
def test_only_the_gateways_own_keys_make_keys(keys: Address, credential: str) -> None:
    reply = ask(keys, "POST", "/v1/keys", {"authorization": f"Bearer {credential}"}, b"{}")
    assert (reply.status, reply.error["code"]) == (403, "local_key_required")
    assert ask(keys, "POST", "/v1/keys", {}, b"{}").status == 401


def test_what_cannot_be_meant_is_a_400(keys: Address) -> None:
    for body, param in ((b'{"model": "gpt"}', "model"), (b'{"days": 0}', "days")):
        reply = ask(keys, "POST", "/v1/keys", AUTHORIZED, body)
        assert (reply.status, reply.error["param"]) == (400, param)
    assert ask(keys, "POST", "/v1/keys", AUTHORIZED, b"[]").status == 400
    assert ask(keys, "POST", "/v1/keys", AUTHORIZED, b" " * 20_000).status == 413
    assert ask(keys, "GET", "/v1/keys", AUTHORIZED).status == 405


def test_without_a_secret_the_variable_is_named() -> None:
    for address in served(None):
        reply = ask(address, "POST", "/v1/keys", AUTHORIZED, b"{}")
        assert reply.status == 404
        assert "KEY_SECRET" in reply.error["message"]
