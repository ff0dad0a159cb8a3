"""Other names for models: patterns → the names that upstreams know."""

from __future__ import annotations

from collections.abc import Iterable

ModelMap = Iterable[tuple[str, str]]
"""(pattern, name): a model that matches the pattern is the model of that name. `*` in a pattern stands for anything;
the pattern that says most about a name wins."""


class ModelNames:
    """A model map, ready for look-ups."""

    def __init__(self, model_map: ModelMap) -> None:
        rows = sorted(model_map, key=lambda row: ("*" not in row[0], len(row[0].replace("*", ""))), reverse=True)
        self._rows = [(row[0].split("*"), row[1]) for row in rows]

    def find(self, model: str) -> str | None:
        """The name to use instead; None when no pattern matches."""
        for parts, name in self._rows:
            if _matches(parts, model):
                return name
        return None


def matches(pattern: str, name: str) -> bool:
    """Whether a name matches a pattern, in which `*` stands for anything."""
    return _matches(pattern.split("*"), name)


def _matches(parts: list[str], name: str) -> bool:
    """Whether a name consists of these parts, in order, with anything between them."""
    first, *others = parts
    if not others:
        return name == first
    last = others.pop()
    if not name.startswith(first) or len(name) < len(first) + len(last) or not name.endswith(last):
        return False
    start, end = len(first), len(name) - len(last)
    for part in others:
        start = name.find(part, start, end)
        if start < 0:
            return False
        start += len(part)
    return True
