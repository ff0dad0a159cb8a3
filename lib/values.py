"""Frozen values that requests are made of: a dozen for each, so that their making counts.

A Struct is made in C. A frozen dataclass sets each member by a call of its own, and took twenty times as long: values
of twenty members were two per cent of what a whole answer costs.
"""

from __future__ import annotations

from collections.abc import Set
from typing import ClassVar

import msgspec
from msgspec.structs import replace

__all__ = ["Value", "replace"]


class Value(msgspec.Struct, frozen=True):
    """A value whose repr leaves out what is secret or long."""

    unshown: ClassVar[Set[str]] = frozenset()
    """Members that stay out of the repr."""

    def __repr__(self) -> str:
        names = (name for name in self.__struct_fields__ if name not in self.unshown)
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"
