"""One pass over the raw values of all sources: what is usable is taken, what is wrong is gathered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lib.settings.values import Parser, Problem, Unusable


class Placed(NamedTuple):
    """A raw value that does not come from the variable of its field, with the place to name in a problem."""

    value: Any
    place: str


class Unresolved(NamedTuple):
    """In place of a raw value that could not be had."""

    reason: str
    """Reads on from the name of the variable. Safe to log."""


class Reading:
    """Takes raw values apart. A source may leave a Problem of its own among them, under any name."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.problems = [value for value in raw.values() if isinstance(value, Problem)]
        self.unusable: dict[str, Problem] = {}
        """Field → why its value could not be used at all."""
        self._raw = {name: value for name, value in raw.items() if not isinstance(value, Problem)}

    def take(self, name: str, parser: Parser) -> Any:
        """The parsed value of a field; None when it is absent, blank or unusable."""
        raw = self._raw.pop(name, None)
        value, place = raw if isinstance(raw, Placed) else (raw, name.upper())
        if value is None:
            return None
        try:
            if isinstance(value, Unresolved):
                raise Unusable(value.reason)
            return parser(value, lambda text: self.add(place, text))
        except Unusable as reason:
            self.unusable[name] = self.add(place, str(reason))
            return None

    def rest(self) -> dict[str, Any]:
        """The values that no one took."""
        return dict(self._raw)

    def add(self, place: str, text: str) -> Problem:
        """Record a problem, once."""
        problem = Problem(place, text)
        if problem not in self.problems:
            self.problems.append(problem)
        return problem
