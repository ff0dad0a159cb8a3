"""A multipart form of an image edit → the body that its JSON would have been. Forms have only strings and files."""

from __future__ import annotations

import re
from typing import Any

from lib.canonical.images import InputImage
from lib.dialects.fields import Table
from lib.dialects.forward_form import Form

_PICTURES = re.compile(r"(images?)(?:\[[0-9]{0,3}\])?")
"""`image`, `image[]`, `image[0]`: how clients spell a list in a form."""
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_INTEGER = re.compile(r"-?[0-9]{1,18}")


def body_of(rows: Table, form: Form) -> dict[str, Any]:
    """The JSON body that a form stands for: files become `InputImage`s, texts the numbers and booleans that `rows` want
    where they can, and empty texts are left out. A picture may come as a file or, like in JSON, as a URL.

    Raises InvalidRequest for a text that is given twice or is no UTF-8; of other files under one name the last counts.
    """
    body: dict[str, Any] = {}
    for part in form.parts:
        value: Any = None if part.filename is None else InputImage(part.media_type, part.data)
        pictures = _PICTURES.fullmatch(part.name)
        if pictures is not None:
            body.setdefault(pictures[1], []).append(value or part.data.decode("utf-8", "replace"))
        elif value is not None:
            body[part.name] = value
        elif text := form.text(part.name):
            body[part.name] = _typed(rows, part.name, text)
    return body


def _typed(rows: Table, name: str, text: str) -> Any:
    row = rows.get(name)
    if row is None or str in row.check.types:
        return text
    if bool in row.check.types:
        return _BOOLEANS.get(text.strip().lower(), text)
    if int in row.check.types and _INTEGER.fullmatch(text.strip()):
        return int(text)
    return text
