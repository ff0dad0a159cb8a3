"""The format of an answer: what Chat Completions and Responses say about it in different places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib.dialects.fields import Check, boolean, identifier, object_, one_of, string

FORMAT = one_of("text", "json_object", "json_schema")

SCHEMA_MEMBERS: Mapping[str, Check] = {
    "name": identifier(64, min_length=1),
    "schema": object_,
    "description": string,
    "strict": boolean,
}


def schema_format(shape: Mapping[str, Any], param: str) -> dict[str, Any]:
    """A Responses `json_schema` format of the members of `shape` that belong to it, checked and without nulls."""
    found: dict[str, Any] = {"type": "json_schema"}
    for name, check in SCHEMA_MEMBERS.items():
        if shape.get(name) is not None:
            found[name] = check(shape[name], f"{param}.{name}")
    return found
