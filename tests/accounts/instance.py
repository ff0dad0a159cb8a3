"""One instance of a gateway's pool as a process of its own, without its web half.

    python -m tests.accounts.instance BACKEND_URL STATE_URL TOKEN…

Each line on stdin, `shared N` or `alone N`, makes N requests of one conversation, one after the other, through the pool
that has the store or through one that has none. The answer is one line: how many requests succeeded, and the
milliseconds of the slowest lease.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Collection

from lib.accounts.account import Account
from lib.accounts.pool import AccountPool
from lib.accounts.shared import SharedPool
from lib.canonical.request import CanonicalRequest
from lib.failover import Budget, Failover
from lib.settings import AccountConfig
from lib.store.opening import open_store
from lib.types import Credentials, Lease, Outcome, Route, Trace
from lib.upstreams.codex import CodexUpstream
from lib.upstreams.codex_api import CodexApi
from lib.upstreams.http import HttpClients, Timeouts

MESSAGE = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
REQUEST = CanonicalRequest(model="gpt-5.5", input=[MESSAGE], affinity="one conversation")


class Timed:
    """Credentials that measure how long a lease takes."""

    def __init__(self, inner: Credentials) -> None:
        self._inner = inner
        self.slowest_s = 0.0

    async def lease(self, *, affinity: str, model: str | None, tried: Collection[str]) -> Lease:
        began = time.perf_counter()
        try:
            return await self._inner.lease(affinity=affinity, model=model, tried=tried)
        finally:
            self.slowest_s = max(self.slowest_s, time.perf_counter() - began)

    async def report(self, lease: Lease, outcome: Outcome, model: str | None) -> None:
        await self._inner.report(lease, outcome, model)


async def main(backend: str, state_url: str, tokens: list[str]) -> None:
    accounts = [Account.from_config(AccountConfig(token), slot) for slot, token in enumerate(tokens, 1)]
    store, clients = open_store(state_url), HttpClients(timeouts=Timeouts(5, 5, 5))
    api = CodexApi(clients, base_url=backend, client_version="0.160.0", now=time.time)
    upstream, failover = CodexUpstream(api, max_event_bytes=2**20), Failover(Budget(), now=time.time)
    alone, shared = (AccountPool(accounts, upstream="codex", now=time.time) for _ in range(2))
    pools = {"alone": Timed(alone), "shared": Timed(SharedPool(shared, store.strict, scope="codex", now=time.time))}
    try:
        while words := (await asyncio.to_thread(sys.stdin.readline)).split():
            credentials, good = pools[words[0]], 0
            credentials.slowest_s = 0.0
            for _ in range(int(words[1])):
                trace = Trace(request_id="r", started_at=time.time())
                async for batch in failover.stream(REQUEST, Route(upstream, credentials, "gpt-5.5"), trace):
                    good += any(event.type == "response.completed" for event in batch)
            sys.stdout.write(f"{good} {credentials.slowest_s * 1000:.2f}\n")
            sys.stdout.flush()
    finally:
        await store.aclose()
        await clients.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
