"""The words that schemas are written with: small ones by name, and what makes larger ones of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

STRING: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
EPOCH: Schema = {"type": "integer", "description": "Seconds since 1970."}
COUNT: Schema = {"type": "integer", "minimum": 0}


def ref(name: str) -> dict[str, str]:
    """A schema of this document, by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema) -> dict[str, Any]:
    return {"type": "array", "items": items}


def constant(*values: str | None) -> dict[str, Any]:
    """One of these."""
    return {"const": values[0]} if len(values) == 1 else {"enum": list(values)}


def shape(description: str = "", optional: Mapping[str, Schema] | None = None, **required: Schema) -> dict[str, Any]:
    """An object. `required` members are always there, `optional` ones only where they say something."""
    found = {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}
    return {**found, "description": description} if description else found
