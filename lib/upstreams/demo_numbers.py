"""A number inside the bounds of a JSON schema, as near to 1 as they allow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple


def integer(schema: Mapping[str, Any]) -> int:
    """Raises TypeError for a bound that is no number."""
    # The integers among the multiples of p/q in lowest terms are the multiples of p.
    return int(_inside(_bounds(schema), Fraction(max(1, _multiple(schema).numerator))))


def number(schema: Mapping[str, Any]) -> int | float:
    """Raises TypeError for a bound that is no number, OverflowError for one that no float can hold."""
    value = _inside(_bounds(schema), _multiple(schema))
    return int(value) if value.denominator == 1 else float(value)


class _Bounds(NamedTuple):
    low: Fraction | None
    low_open: bool
    high: Fraction | None
    high_open: bool

    def excludes_below(self, value: Fraction) -> bool:
        return self.low is not None and (value <= self.low if self.low_open else value < self.low)

    def excludes_above(self, value: Fraction) -> bool:
        return self.high is not None and (value >= self.high if self.high_open else value > self.high)


def _inside(bounds: _Bounds, step: Fraction) -> Fraction:
    """step: of which the value is a multiple; 0 for any."""
    value = Fraction(1)
    if bounds.excludes_below(value) and bounds.low is not None:
        value = bounds.low
    elif bounds.excludes_above(value) and bounds.high is not None:
        value = bounds.high
    if step:
        value = math.ceil(value / step) * step
        if bounds.excludes_below(value):
            value += step
        return value - step if bounds.excludes_above(value) else value
    if not (bounds.excludes_below(value) or bounds.excludes_above(value)):
        return value
    aside = value + (1 if bounds.excludes_below(value) else -1)
    if bounds.low is None or bounds.high is None or bounds.low < aside < bounds.high:
        return aside
    return (bounds.low + bounds.high) / 2


def _bounds(schema: Mapping[str, Any]) -> _Bounds:
    low, low_open = _bound(schema, "minimum", "exclusiveMinimum", 1)
    high, high_open = _bound(schema, "maximum", "exclusiveMaximum", -1)
    return _Bounds(low, low_open, high, high_open)


def _bound(schema: Mapping[str, Any], name: str, exclusive: str, sign: int) -> tuple[Fraction | None, bool]:
    """The tighter of the two bounds on one side, and whether it is outside itself."""
    closed = None if schema.get(name) is None else _fraction(schema[name])
    opened = schema.get(exclusive)
    if opened is None or isinstance(opened, bool):  # drafts 3 and 4: a flag beside the closed bound
        return closed, bool(opened)
    at = _fraction(opened)
    return (closed, False) if closed is not None and sign * closed > sign * at else (at, True)


def _multiple(schema: Mapping[str, Any]) -> Fraction:
    return abs(_fraction(schema.get("multipleOf") or 0))


def _fraction(value: Any) -> Fraction:
    """Exact, and by a float's decimal spelling: a multiple of 0.1 is one of 1/10."""
    if not isinstance(value, int | float):
        raise TypeError("a bound is a number")
    return Fraction(repr(value)) if isinstance(value, float) else Fraction(value)
