"""The socket of what is kept between instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

MAX_STORED_BYTES = 350_000  # DynamoDB takes items of 400 KB


class Store(Protocol):
    """Where things survive an instance and are shared: values of at most MAX_STORED_BYTES, each with an end.
    Raises StoreError when it is down, slow or full; whoever uses it must be able to go on without it."""

    durable: bool
    """Whether a value outlives this process."""

    async def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The values that are there, read in one go."""

    async def put(self, key: str, value: bytes, *, life_s: float) -> None:
        """Keep a value, whatever was there before."""

    async def swap(self, key: str, old: bytes | None, new: bytes, *, life_s: float) -> bool:
        """Keep a value if what is there is still `old` (None: nothing); whether it was."""

    async def delete(self, key: str, *, old: bytes | None = None) -> None:
        """Forget a value, if it is still `old` (None: whatever it is)."""

    async def aclose(self) -> None: ...
