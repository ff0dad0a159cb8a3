"""Which item of a stream is which item of the list at its end.

Events tell items apart by output index, the list of the terminal response has none, and a stream may leave indices out.
Ids decide where both sides have them; else items of a kind keep their order.
"""

from __future__ import annotations

from collections.abc import Mapping


class Places:
    """The output indices of one answer."""

    def __init__(self) -> None:
        self._kinds: dict[int, str] = {}
        self._named: dict[str, int] = {}
        self._next = 0

    def note(self, index: int, kind: str, name: str | None = None) -> None:
        """An item of this type (and id, if it is known) stands at this index."""
        self._kinds.setdefault(index, kind)
        self.skip(index)
        if name:
            self._named[name] = index

    def skip(self, index: int) -> None:
        """An item that needs no match stands at this index."""
        self._next = max(self._next, index + 1)

    def find(self, name: str | None) -> int | None:
        """The index of an item by its id."""
        return self._named.get(name) if name else None

    def next(self) -> int:
        """An index that no item has."""
        return self._next

    def match(self, items: Mapping[int, tuple[str, str | None]]) -> dict[int, int]:
        """Position in the list → output index, for items given as (type, id); indices of new items are noted."""
        found: dict[int, int] = {}
        taken: set[int] = set()
        rest: dict[str, list[int]] = {}
        for position, (kind, name) in items.items():
            index = self.find(name)
            if index is None or index in taken:
                rest.setdefault(kind, []).append(position)
            else:
                found[position] = index
                taken.add(index)
        free: dict[str, list[int]] = {kind: [] for kind in rest}
        for index, kind in sorted(self._kinds.items()):
            if kind in free and index not in taken:
                free[kind].append(index)
        for kind, positions in rest.items():
            if len(free[kind]) == len(positions):
                found.update(zip(positions, free[kind], strict=True))
            else:  # some of them were never streamed: the position is the best guess
                found.update((position, position) for position in set(positions).intersection(free[kind]))
        for position, (kind, name) in items.items():
            if position not in found:
                found[position] = self._next
                self.note(self._next, kind, name)
        return found
