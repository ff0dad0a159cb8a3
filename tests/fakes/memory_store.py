"""A store in a dictionary that can be down, and whose clock the test moves."""

from __future__ import annotations

from collections.abc import Sequence

from lib.errors import StoreError
from lib.keeping import MAX_STORED_BYTES


class FakeStore:
    """`values` holds what is kept, `reads` the keys of each `get`. `down`: the operations that fail."""

    durable = True

    def __init__(self) -> None:
        self.now = 0.0
        self.down: set[str] = set()
        self.values: dict[str, tuple[bytes, float]] = {}
        self.reads: list[list[str]] = []

    async def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        self._check("get")
        self.reads.append(list(keys))
        return {key: self.values[key][0] for key in keys if key in self.values and self.values[key][1] > self.now}

    async def put(self, key: str, value: bytes, *, life_s: float) -> None:
        self._check("put")
        assert len(value) <= MAX_STORED_BYTES
        self.values[key] = (value, self.now + life_s)

    async def swap(self, key: str, old: bytes | None, new: bytes, *, life_s: float) -> bool:
        self._check("swap")
        if (await self.get([key])).get(key) != old:
            return False
        self.values[key] = (new, self.now + life_s)
        return True

    async def delete(self, key: str, *, old: bytes | None = None) -> None:
        self._check("delete")
        if old is None or (await self.get([key])).get(key) == old:
            self.values.pop(key, None)

    async def aclose(self) -> None:
        pass

    def _check(self, operation: str) -> None:
        if operation in self.down:
            raise StoreError("the store is down")
