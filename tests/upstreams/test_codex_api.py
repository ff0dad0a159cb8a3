"""The Codex backend's address and the headers that name us, over real sockets."""

from __future__ import annotations

import asyncio

from lib.errors import Verdict
from lib.types import Lease
from lib.upstreams.codex_api import CodexApi
from lib.upstreams.http import HttpClients, Timeouts
from tests.fakes.codex_backend import CodexBackend
from tests.fakes.tokens import jwt


def test_a_request_names_its_sender_and_a_refusal_is_read() -> None:
    async def main(url: str) -> None:
        clients = HttpClients(timeouts=Timeouts(2, 2, 0.5))
        api = CodexApi(clients, base_url=f"{url}/", client_version="0.160.0", now=lambda: 1000.0)
        lease = Lease("a1", "codex", {"authorization": f"Bearer {jwt('acct-1')}", "chatgpt-account-id": "acct-1"})
        try:
            answer = await api.open("GET", "/nowhere", lease, accept="application/json", headers={"x-more": "1"})
            error = await api.refusal(answer)
            assert (error.status, error.code, error.verdict) == (404, "model_not_found", Verdict.REQUEST)
        finally:
            await clients.aclose()

    with CodexBackend() as backend:
        asyncio.run(main(backend.url))
        (seen,) = backend.requests
    assert seen.path == "/backend-api/codex/nowhere"
    names = ("user-agent", "originator", "version", "accept", "x-more", "content-type")
    assert [seen.headers.get(name) for name in names] == [
        *("chat2api/0.160.0", "chat2api", "0.160.0", "application/json", "1", None),
    ]
