"""A store in a dictionary that a test can look into, and that fails when it is told to."""

from __future__ import annotations

import time
from collections.abc import Sequence

from lib.errors import StoreError


class PlainStore:
    """`lib.types.Store`; may be shared by instances on several event loops. fails: names of methods that raise."""

    def __init__(self, *, durable: bool = True) -> None:
        self.durable = durable
        self.fails: set[str] = set()
        self.calls: list[str] = []
        self.values: dict[str, tuple[bytes, float]] = {}

    async def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        self._called("get")
        return {key: value for key in keys if (value := self._value(key)) is not None}

    async def put(self, key: str, value: bytes, *, life_s: float) -> None:
        self._called("put")
        self.values[key] = (value, time.monotonic() + life_s)

    async def swap(self, key: str, old: bytes | None, new: bytes, *, life_s: float) -> bool:
        self._called("swap")
        if self._value(key) != old:
            return False
        self.values[key] = (new, time.monotonic() + life_s)
        return True

    async def delete(self, key: str, *, old: bytes | None = None) -> None:
        self._called("delete")
        if old is None or self._value(key) == old:
            self.values.pop(key, None)

    async def aclose(self) -> None:
        """Nothing to close."""

    def locks(self) -> list[str]:
        """The locks that are held."""
        return [key for key in self.values if key.startswith("lock:") and self._value(key) is not None]

    def _value(self, key: str) -> bytes | None:
        value, ends_at = self.values.get(key, (None, 0.0))
        return value if ends_at > time.monotonic() else None

    def _called(self, method: str) -> None:
        self.calls.append(method)
        if method in self.fails:
            raise StoreError("down")
