"""Calls to an OpenAI-compatible API: addresses, credentials, refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from lib.errors import UpstreamError, Verdict
from lib.types import Lease
from lib.upstreams.http import HttpClients
from lib.upstreams.openai_api import api_key, authorize_for, bearer
from tests.fakes.codex_behaviours import http_error
from tests.fakes.openai_backend import MODELS, OpenAIBackend
from tests.upstreams.openai_asking import LEASE, TIMEOUTS, api


def call(base_url: str | None, path: str = "/models", *, lease: Lease = LEASE, **more: Any) -> tuple[int, bytes]:
    """(status, body). Raises UpstreamError for a refusal."""

    async def main() -> tuple[int, bytes]:
        clients = HttpClients(timeouts=TIMEOUTS)
        try:
            made = api(clients, base_url, **more)
            answer = await made.open("GET", path, lease)
            if answer.status != 200:
                raise await made.refusal(answer)
            return answer.status, await answer.read(1 << 16)
        finally:
            await clients.aclose()

    return asyncio.run(main())


def test_the_signer_sees_what_is_sent() -> None:
    seen: list[tuple[str, str, bytes]] = []

    def sign(lease: Lease, method: str, path: str, body: bytes) -> Mapping[str, str]:
        seen.append((method, path, body))
        return lease.headers

    with OpenAIBackend(base="/deep/v1") as backend:
        assert call(backend.url + "/", authorize=sign, user_agent="me/1")[0] == 200
        assert backend.requests[-1].headers["user-agent"] == "me/1"
    assert seen == [("GET", "/deep/v1/models", b"")]


@pytest.mark.parametrize("given", [{"base_url": None}, {"base_url": "http://x", "misdirected": "OPENAI_BASE_URL: bad"}])
def test_a_misdirected_upstream_sends_nothing(given: dict[str, Any]) -> None:
    with pytest.raises(UpstreamError) as caught:
        call(**given)
    assert (caught.value.status, caught.value.code, caught.value.verdict) == (503, "misconfigured", Verdict.REQUEST)


@pytest.mark.parametrize(
    "host", ["me.openai.azure.com", "me.cognitiveservices.azure.com", "me.services.ai.azure.com", "ME.openai.azure.com"]
)
def test_azure_gets_the_key_in_its_own_header_too(host: str) -> None:
    authorize = authorize_for(f"https://{host}/openai/v1")
    assert authorize(LEASE, "GET", "/", b"") == {"authorization": "Bearer sk-test", "api-key": "sk-test"}


@pytest.mark.parametrize("base_url", [None, "https://api.openai.com/v1", "https://openai.azure.com.example/v1"])
def test_all_others_get_the_lease_s_own_headers(base_url: str | None) -> None:
    assert authorize_for(base_url) is bearer
    assert bearer(LEASE, "GET", "/", b"") == LEASE.headers


def test_a_lease_without_a_bearer_has_no_key_to_repeat() -> None:
    assert api_key(Lease("a", "u", {"x": "y"}), "GET", "/", b"") == {"x": "y"}


def test_an_endless_refusal_is_judged_by_its_status() -> None:
    with OpenAIBackend() as backend:
        backend.script(http_error(429, b"x" * 200_000), path=MODELS)
        with pytest.raises(UpstreamError) as caught:
            call(backend.url)
    assert caught.value.verdict is Verdict.LIMIT
