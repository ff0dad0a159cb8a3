"""The store of one process: what there is without another one, and while another one is down."""

from __future__ import annotations

import time
from collections.abc import Sequence

from lib.errors import StoreError
from lib.keeping import MAX_STORED_BYTES
from lib.types import Clock

MAX_BYTES = 16 * 1024 * 1024
_ENTRY_BYTES = 200
"""What an entry costs beside its key and value."""


class MemoryStore:
    """`lib.types.Store` in a dictionary. max_bytes: when there is more, the quarter that would end first is dropped."""

    durable = False

    def __init__(self, *, now: Clock = time.time, max_bytes: int = MAX_BYTES) -> None:
        self._now = now
        self._max_bytes = max_bytes
        self._bytes = 0
        self._values: dict[str, tuple[bytes, float]] = {}
        """Key → value and its end, epoch seconds."""

    @property
    def strict(self) -> MemoryStore:
        """The same: there is no failure to keep from anybody."""
        return self

    async def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        return {key: value for key in keys if (value := self._value(key)) is not None}

    async def put(self, key: str, value: bytes, *, life_s: float) -> None:
        if len(value) > MAX_STORED_BYTES:
            raise StoreError("the value is too large")
        self._drop(key)
        self._values[key] = (value, self._now() + life_s)
        self._bytes += _cost(key, value)
        if self._bytes > self._max_bytes:
            self._make_room()

    async def swap(self, key: str, old: bytes | None, new: bytes, *, life_s: float) -> bool:
        if self._value(key) != old:
            return False
        await self.put(key, new, life_s=life_s)
        return True

    async def delete(self, key: str, *, old: bytes | None = None) -> None:
        if old is None or self._value(key) == old:
            self._drop(key)

    async def aclose(self) -> None:
        """Nothing to close, and nothing is forgotten."""

    def __len__(self) -> int:
        """How many values there are, those that are over included."""
        return len(self._values)

    def pop(self) -> tuple[str, bytes, float]:
        """Takes any value out: key, value, seconds to its end (negative when it is over). Raises KeyError when there
        is none."""
        key, (value, ends_at) = self._values.popitem()
        self._bytes -= _cost(key, value)
        return key, value, ends_at - self._now()

    def _value(self, key: str) -> bytes | None:
        value, ends_at = self._values.get(key, (None, 0.0))
        if value is not None and ends_at <= self._now():
            self._drop(key)
            return None
        return value

    def _drop(self, key: str) -> None:
        value, _ = self._values.pop(key, (None, 0.0))
        if value is not None:
            self._bytes -= _cost(key, value)

    def _make_room(self) -> None:
        for key in sorted(self._values, key=lambda key: self._values[key][1]):
            if self._bytes <= self._max_bytes * 3 // 4:
                break
            self._drop(key)


def _cost(key: str, value: bytes) -> int:
    return len(key) + len(value) + _ENTRY_BYTES
