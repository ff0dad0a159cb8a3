from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import msgspec
import pytest

from lib.accounts.oauth import CLIENT_ID, RefreshError, TokenEndpoint, Tokens
from lib.errors import UpstreamError, Verdict
from lib.upstreams.http import HttpClients, Timeouts
from tests.fakes.codex_backend import TOKEN, CodexBackend
from tests.fakes.codex_behaviours import Http

URL = "https://auth.example.org/oauth/token"
CANARY = "Zq7vKcanaryLx4Wj"
OLD = Tokens(f"access-{CANARY}", f"rt.1.{CANARY}", f"id-{CANARY}")
NEW = {"access_token": "access-2", "refresh_token": "rt.2", "id_token": "id-2", "token_type": "Bearer", "expires_in": 9}


class Wire:
    """Answers as told and keeps what was sent."""

    def __init__(self, status: int, body: object) -> None:
        self.answer = (status, body if isinstance(body, bytes) else msgspec.json.encode(body))
        self.sent: list[tuple[str, Mapping[str, str], bytes, str | None]] = []

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes, proxy: str | None) -> tuple[int, bytes]:
        self.sent.append((url, headers, body, proxy))
        return self.answer


def refresh(wire: Wire) -> Tokens:
    return asyncio.run(TokenEndpoint(wire, url=URL).refresh(OLD, "http://proxy:1"))


def refused(status: int, body: object) -> RefreshError:
    with pytest.raises(RefreshError) as caught:
        refresh(Wire(status, body))
    assert CANARY not in repr(caught.value)
    return caught.value


def test_the_request_is_that_of_a_public_client() -> None:
    wire = Wire(200, NEW)
    assert refresh(wire) == Tokens("access-2", "rt.2", "id-2")
    [(url, headers, body, proxy)] = wire.sent
    assert (url, proxy) == (URL, "http://proxy:1")
    assert headers == {"content-type": "application/json", "accept": "application/json"}
    assert msgspec.json.decode(body) == {
        "client_id": CLIENT_ID,
        "grant_type": "refresh_token",
        "refresh_token": OLD.refresh_token,
        "scope": "openid profile email",
    }


@pytest.mark.parametrize("left_out", ["refresh_token", "id_token"])
@pytest.mark.parametrize("way", ["absent", "null"])
def test_what_the_answer_leaves_out_stays(left_out: str, way: str) -> None:
    body = {**NEW, left_out: None} if way == "null" else {k: v for k, v in NEW.items() if k != left_out}
    assert getattr(refresh(Wire(200, body)), left_out) == getattr(OLD, left_out)


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("code", ["refresh_token_reused", "refresh_token_expired", "refresh_token_invalidated"])
def test_a_refresh_token_may_be_refused_for_good(status: int, code: str) -> None:
    error = refused(status, {"error": {"code": code, "message": CANARY, "type": None, "param": None}})
    assert (error.code, error.is_final) == (code, True)


def test_the_flat_form_of_a_refusal_is_known() -> None:
    error = refused(400, {"error": "invalid_grant", "error_description": CANARY})
    assert (error.code, error.is_final) == ("invalid_grant", True)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, b"<html>refresh_token_reused</html>"),
        (429, {"error": {"code": "refresh_token_reused"}}),
        (500, b""),
        (503, {"error": "invalid_grant"}),
        (400, {"error": {"code": CANARY}}),
        (401, b"[" * 100_000),
        (401, {"error": 5}),
        (302, b""),
        (201, NEW),
    ],
)
def test_everything_else_may_pass(status: int, body: object) -> None:
    error = refused(status, body)
    assert (error.code, error.is_final) == (f"http_{status}", False)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", {}, {**NEW, "access_token": ""}, {**NEW, "access_token": 5}, {**NEW, "refresh_token": 5}]
    + [{**NEW, "access_token": f"{CANARY}{bad}"} for bad in (" x", "\r\nx: y", "é", "\x7f")],
)
def test_an_answer_that_cannot_be_used_is_a_failure(body: object) -> None:
    error = refused(200, body)
    assert (error.code, error.is_final) == ("bad_answer", False)


def test_a_silent_endpoint_is_given_up() -> None:
    async def silent(*_: object) -> tuple[int, bytes]:
        await asyncio.sleep(60)
        raise AssertionError

    with pytest.raises(RefreshError, match="upstream_timeout"):
        asyncio.run(TokenEndpoint(silent, url=URL, timeout_s=0.01).refresh(OLD, None))


def test_an_answer_that_came_while_the_process_was_frozen_is_taken() -> None:
    """The refresh token is used up: nobody gets these tokens a second time."""
    limit_s = 0.2

    async def scenario() -> Tokens:
        clients = HttpClients(timeouts=Timeouts(1, 1, 1))

        async def post(url: str, headers: Mapping[str, str], body: bytes, proxy: str | None) -> tuple[int, bytes]:
            answer = await clients.open("POST", url, headers=headers, content=body, first_byte_s=limit_s)
            return answer.status, await answer.read(100_000)

        old = Tokens("access-1", backend.authority.issue("acct-1"))
        asyncio.get_running_loop().call_later(limit_s / 4, time.sleep, limit_s)
        try:
            return await TokenEndpoint(post, url=backend.url + TOKEN, timeout_s=limit_s).refresh(old, None)
        finally:
            await clients.aclose()

    with CodexBackend() as backend:
        backend.script(Http(200, msgspec.json.encode(NEW), delay_s=limit_s / 2), path=TOKEN)
        assert asyncio.run(scenario()).refresh_token == NEW["refresh_token"]


def test_an_endpoint_out_of_reach_is_no_refusal() -> None:
    async def unreachable(*_: object) -> tuple[int, bytes]:
        raise UpstreamError("x", verdict=Verdict.UNREACHABLE, code="upstream_unreachable")

    with pytest.raises(RefreshError, match="upstream_unreachable") as caught:
        asyncio.run(TokenEndpoint(unreachable, url=URL).refresh(OLD, None))
    assert not caught.value.is_final


def test_tokens_do_not_show() -> None:
    assert CANARY not in repr(OLD)
