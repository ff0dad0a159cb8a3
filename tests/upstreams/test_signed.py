from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac

import pytest

from lib import signing
from lib.errors import UpstreamError, Verdict
from lib.types import Lease
from lib.upstreams.http import HttpClients, Timeouts
from lib.upstreams.openai_api import OpenAIApi
from lib.upstreams.signed import NAME, SignedApi, Signer
from tests.fakes.raw_server import RawRequest, RawServer, ok

SECRET = "a-secret-canary-of-the-operator"
LEASE = Lease("a1-abcdef", NAME, {})
BODY = b'{"model":"m"}'


def signer(at: float = 1_767_225_600.9) -> Signer:
    return Signer("team-blue", SECRET, now=lambda: at)


def test_the_headers_are_what_the_specification_says() -> None:
    headers = signer()(LEASE, "POST", "/v1/chat/completions", BODY)
    text = f"POST\n/v1/chat/completions\n\n1767225600\n{hashlib.sha256(BODY).hexdigest()}"
    mac = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()
    credential = f"{base64.b64encode(b'team-blue').decode()}.{base64.b64encode(mac).decode()}"
    assert headers == {"authorization": f"Bearer {credential}", "x-date": "1767225600"}


def test_method_path_query_date_and_body_are_covered() -> None:
    signatures = [
        signer()(LEASE, "POST", "/v1/x", BODY)["authorization"],
        signer()(LEASE, "PUT", "/v1/x", BODY)["authorization"],
        signer()(LEASE, "POST", "/v1/y", BODY)["authorization"],
        signer()(LEASE, "POST", "/v1/x?a=1", BODY)["authorization"],
        signer()(LEASE, "POST", "/v1/x", b"")["authorization"],
        signer(1_767_225_601)(LEASE, "POST", "/v1/x", BODY)["authorization"],
        Signer("team-blue", SECRET + "r", now=lambda: 1_767_225_600)(LEASE, "POST", "/v1/x", BODY)["authorization"],
    ]
    assert len(set(signatures)) == len(signatures)


def test_the_secret_shows_nowhere() -> None:
    headers = signer()(LEASE, "GET", "/v1/models", b"")
    assert repr(signer()) == "Signer('team-blue')"
    assert SECRET not in str(headers)
    assert base64.b64encode(SECRET.encode()).decode() not in str(headers)


def test_what_arrives_is_what_was_signed() -> None:
    async def ask(path: str, content: bytes) -> RawRequest:
        clients = HttpClients(timeouts=Timeouts(2, 2, 2))
        async with RawServer([ok(b"{}")]) as server:
            api = OpenAIApi(
                clients, base_url=f"{server.url}/a%20b/v1", authorize=signer(), user_agent="gw/1", now=lambda: 0.0
            )
            answer = await api.open("POST", path, LEASE, content=content)
            await answer.aclose()
            await clients.aclose()
            return server.requests[0]

    for path in ("/chat/completions", "/models/org%2Fm:1", "/x?b=2&a=caf%C3%A9+y", "/é"):
        request = asyncio.run(ask(path, BODY))
        assert request.headers["user-agent"] == "gw/1"
        assert SECRET not in str(request.headers)
        received = hashlib.sha256(request.body).hexdigest()
        text = signing.string_to_sign(request.method, request.target, request.headers["x-date"], received)
        credential = signing.decode(request.headers["authorization"].removeprefix("Bearer "))
        assert credential == ("team-blue", signing.sign(SECRET.encode(), text))


def refused(status: str, body: bytes) -> UpstreamError:
    async def ask() -> UpstreamError:
        clients = HttpClients(timeouts=Timeouts(2, 2, 2))
        async with RawServer([ok(body, status=status)]) as server:
            api = SignedApi(clients, base_url=f"{server.url}/v1", authorize=signer(), now=lambda: 0.0)
            answer = await api.open("GET", "/models", LEASE)
            error = await api.refusal(answer)
            await clients.aclose()
            return error

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"error":{"message":"The date is off.","code":"invalid_api_key"}}', "request: The date is off."),
        (b'{"error":{"message":"Replace them.","code":"invalid_account_token"}}', "request: Replace them."),
        (b"<html>sign in</html>", "it gives no reason."),
        (b"", "it gives no reason."),
    ],
)
def test_a_401_does_not_count_against_the_key_pair(body: bytes, told: str) -> None:
    error = refused("401 Unauthorized", body)
    assert (error.verdict, error.status, error.code) == (Verdict.REQUEST, 502, "upstream_unauthorized")
    assert error.message.endswith(told)
    assert error.should_retry is False


def test_other_refusals_are_those_of_any_api() -> None:
    error = refused("429 Too Many Requests", b'{"error":{"message":"Slow down.","code":"rate_limit_exceeded"}}')
    assert (error.verdict, error.status, error.message) == (Verdict.LIMIT, 429, "Slow down.")
