"""Members of nested request objects: those that have no effect are named, like unknown top-level fields."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from lib.dialects.fields import MAX_NAME, NAME_CHARS, ask, shown
from lib.errors import InvalidRequest

MAX_UNKNOWN_MEMBERS = 10


def name_unknown(holder: Mapping[str, Any], known: Container[str], param: str, asked: dict[str, str]) -> None:
    """Note in `asked` each member of `holder` that is not `known`, as `param.member`: no upstream accepts that name.

    Raises InvalidRequest when there are too many, or one whose name is no name: they are told in a header.
    """
    unknown = [name for name, value in holder.items() if name not in known and value is not None]
    if len(unknown) > MAX_UNKNOWN_MEMBERS:
        raise InvalidRequest(
            f"'{param}' has {len(unknown)} unknown members; at most {MAX_UNKNOWN_MEMBERS} are ignored.",
            param=param,
            code="unknown_parameter",
        )
    for name in unknown:
        if not 0 < len(name) <= MAX_NAME or not NAME_CHARS.issuperset(name):
            raise InvalidRequest(f"Unknown member of '{param}': {shown(name)}.", param=param, code="unknown_parameter")
        ask(asked, f"{param}.{name}", f"{param}.{name}")
