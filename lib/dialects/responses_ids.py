"""Item ids of one Responses stream: an item has the same one in every event and in the list at the end.

Clients join events by these ids, and some upstreams leave them out, or give an item another one half-way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lib.canonical.request import Item
from lib.dialects.places import Places


class ItemIds:
    """`make`: (item type, output index) → an id that is unique in the answer."""

    def __init__(self, make: Callable[[str, int], str]) -> None:
        self._make = make
        self._told: dict[int, str] = {}
        """Output index → the id that the client was told first."""
        self._renamed: dict[str, str] = {}
        """The upstream's ids of items that were told under another one."""
        self._made = Places()
        """Where the items stand whose id was made here."""

    def of(self, fields: Mapping[str, Any], item: Item) -> str:
        """For the item that an event with these members carries."""
        index, own = fields.get("output_index"), item.get("id")
        if type(index) is not int:
            return own if isinstance(own, str) else self.at(0, _type_of(item))
        if not isinstance(own, str):
            return self.at(index, _type_of(item))
        self._made.skip(index)
        told = self._told.setdefault(index, own)
        if told != own:
            self._renamed[own] = told
        return told

    def at(self, index: int, kind: str) -> str:
        """For an item of this type that has no id of its own."""
        if index not in self._told:
            self._told[index] = self._make(kind, index)
            self._made.note(index, kind)
        return self._told[index]

    def identified(self, output: Any) -> Any:
        """The list at the end, each item with the id that the client knows it by."""
        if not isinstance(output, list):
            return output
        found = list(output)
        nameless: dict[int, tuple[str, None]] = {}
        for position, item in enumerate(output):
            if not isinstance(item, dict):
                continue
            own = item.get("id")
            if not isinstance(own, str):
                nameless[position] = (_type_of(item), None)
            elif own in self._renamed:
                found[position] = {**item, "id": self._renamed[own]}
        for position, index in self._made.match(nameless).items():
            found[position] = {**output[position], "id": self.at(index, nameless[position][0])}
        return found


def _type_of(item: Item) -> str:
    kind = item.get("type")
    return kind if isinstance(kind, str) else ""
