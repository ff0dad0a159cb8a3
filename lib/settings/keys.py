"""Parsers for the settings of scoped keys."""

from __future__ import annotations

import re

from pydantic import SecretStr

from lib.settings.values import Note, is_visible, items

SHORTEST_KEY_SECRET = 32

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def key_secrets(value: object, note: Note) -> tuple[SecretStr, ...] | None:
    """A list of secrets, the first one for new keys. Short ones are refused: whoever has a key can try secrets on it
    for as long as they like."""
    kept: dict[str, SecretStr] = {}
    for number, item in enumerate(items(value, note), 1):
        if not is_visible(item):
            note(f"item {number} holds white space, control or non-ASCII characters and was dropped")
        elif len(item) < SHORTEST_KEY_SECRET:
            note(f"item {number} is shorter than {SHORTEST_KEY_SECRET} characters and was refused")
        else:
            kept[item] = SecretStr(item)
    return tuple(kept.values()) or None


def key_ids(value: object, note: Note) -> tuple[str, ...] | None:
    """A list of ids of keys."""
    kept: dict[str, None] = {}
    for number, item in enumerate(items(value, note), 1):
        if _ID.fullmatch(item):
            kept[item] = None
        else:
            note(f"item {number} is no id of a key and was dropped")
    return tuple(kept) or None
