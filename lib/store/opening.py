"""`STATE_URL` → the store of a deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from lib.store.memory import MemoryStore

if TYPE_CHECKING:
    from lib.store.resilient import ResilientStore


def open_store(url: str | None) -> MemoryStore | ResilientStore:
    """A store that never raises, for an address as `lib.settings.state.state_url` lets it through (None: memory).
    Its `strict` side raises StoreError instead, for what must not go on alone. Opens no connection, and imports no
    client, before the first operation."""
    if url is None:
        return MemoryStore()
    from lib.store.resilient import ResilientStore

    parts = urlsplit(url)
    if parts.scheme == "dynamodb":
        from lib.store.dynamodb import DynamoDBStore

        region = parse_qs(parts.query).get("region", [None])[0]
        return ResilientStore(DynamoDBStore(parts.netloc, region=region))
    from lib.store.redis import RedisStore

    return ResilientStore(RedisStore(url))
