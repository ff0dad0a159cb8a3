"""Rotated tokens in the shared store, and the lock under which one instance at a time renews an account.

An account is found by a hash of the refresh token that it was configured with. All instances of a deployment share
that one, however often it has rotated since, and an operator who configures a new login starts afresh with it.

The tokens stand in the store as they are: Python's standard library has no cipher, and one of our own would promise
what it cannot keep. Who may read the store may use the accounts, so it wants the care of the environment variables:
encryption at rest and in transit, and a role of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from hashlib import sha256

import msgspec

from lib.accounts.oauth import Tokens
from lib.keeping import Store

LIFE_S = 400 * 86_400.0
"""How long rotated tokens are kept: longer than any refresh token was seen to live."""
LOCK_LIFE_S = 30.0
"""More than asking and keeping take. It ends the lock of an instance that was stopped in the middle of it."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """The tokens of an account after a number of renewals."""

    number: int
    """How often they have been renewed; 0 as configured."""
    tokens: Tokens = field(repr=False)
    resting_until: float = 0.0
    """Epoch seconds: the token endpoint has refused this refresh token for good, and nobody asks again before."""


def key_of(refresh_token: str) -> str:
    """The store's key for the account that was configured with this refresh token."""
    return f"tokens:{sha256(refresh_token.encode('utf-8', 'surrogatepass')).hexdigest()}"


class RotatedTokens:
    """What the store knows of renewals. Every method raises StoreError when the store does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def durable(self) -> bool:
        """Whether what is kept outlives this process."""
        return self._store.durable

    async def read(self, keys: Collection[str]) -> dict[str, Rotation]:
        """The rotations that are there; one that cannot be read counts as absent."""
        values = await self._store.get(list(keys))
        found = {key: _decoded(value) for key, value in values.items()}
        return {key: rotation for key, rotation in found.items() if rotation is not None}

    async def keep(self, key: str, rotation: Rotation) -> None:
        """Keep new tokens. The lock has to be held."""
        await self._store.put(key, msgspec.json.encode(rotation), life_s=LIFE_S)

    async def rest(self, key: str, rotation: Rotation, until: float) -> None:
        """Note that this rotation's refresh token was refused, unless there are newer ones by now."""
        value = (await self._store.get([key])).get(key)
        known = _decoded(value) if value is not None else None
        if known is None or known.number <= rotation.number:
            await self._store.swap(
                key, value, msgspec.json.encode(replace(rotation, resting_until=until)), life_s=LIFE_S
            )

    async def lock(self, key: str) -> bytes | None:
        """What to unlock with, or None: somebody else is renewing this account."""
        owner = secrets.token_hex(16).encode()
        return owner if await self._store.swap(_lock_of(key), None, owner, life_s=LOCK_LIFE_S) else None

    async def unlock(self, key: str, owner: bytes) -> None:
        """Let go of the lock, if it is still ours."""
        await self._store.delete(_lock_of(key), old=owner)


def _lock_of(key: str) -> str:
    return f"lock:{key}"


def _decoded(value: bytes) -> Rotation | None:
    try:
        return msgspec.json.decode(value, type=Rotation)
    except (msgspec.DecodeError, RecursionError):
        return None
