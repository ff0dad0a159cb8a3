"""Parsers for the settings of upstreams: key pairs, wires, buckets, the renewal of tokens."""

from __future__ import annotations

import re

from pydantic import SecretStr

from lib.settings.values import Note, Unusable, is_visible, items, text

SHORTEST_SECRET = 16

_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9!_.*'()/-]{0,512}))?")


def wire(value: object, note: Note) -> str | None:
    bare = text(value, note).lower()
    if bare not in ("", "responses", "chat"):
        raise Unusable("must be responses or chat")
    return bare or None


def image_input(value: object, note: Note) -> str | None:
    bare = text(value, note).lower()
    if bare not in ("", "any", "url"):
        raise Unusable("must be any or url")
    return bare or None


def token_refresh(value: object, note: Note) -> str | None:
    bare = text(value, note).lower()
    if bare not in ("", "auto", "on", "off"):
        raise Unusable("must be auto, on or off")
    return bare or None


def secret(value: object, note: Note) -> SecretStr | None:
    """One secret: visible ASCII."""
    bare = text(value, note)
    if bare and not is_visible(bare):
        raise Unusable("holds white space, control or non-ASCII characters")
    return SecretStr(bare) if bare else None


def key_id(value: object, note: Note) -> str | None:
    """The public half of a key pair."""
    bare = text(value, note)
    if bare and not _KEY_ID.fullmatch(bare):
        raise Unusable("must be at most 64 letters, digits, dots, hyphens and underscores")
    return bare or None


def key_pairs(value: object, note: Note) -> tuple[tuple[str, SecretStr], ...] | None:
    """A list of `id:secret`; each id once. Short secrets are refused, because a guess would find them."""
    found: dict[str, SecretStr] = {}
    for number, item in enumerate(items(value, note), 1):
        name, _, hidden = item.partition(":")
        if not _KEY_ID.fullmatch(name) or not is_visible(hidden):
            note(f"item {number} is not of the form id:secret and was dropped")
        elif len(hidden) < SHORTEST_SECRET:
            note(f"item {number} has a secret shorter than {SHORTEST_SECRET} characters and was refused")
        elif name in found:
            note(f"item {number} repeats the id of an earlier one and was dropped")
        else:
            found[name] = SecretStr(hidden)
    return tuple(found.items()) or None


def bucket(value: object, note: Note) -> tuple[str, str] | None:
    """`s3://bucket/prefix` → (bucket, prefix without slashes around it)."""
    bare = text(value, note)
    if not bare:
        return None
    match = _BUCKET.fullmatch(bare)
    if match is None:
        raise Unusable("must be of the form s3://bucket/prefix")
    return match[1], (match[2] or "").strip("/")


def user_agent(value: object, note: Note) -> str | None:
    """The value of a User-Agent header: printable ASCII, blanks within it allowed."""
    bare = text(value, note)
    if bare and (len(bare) > 256 or not is_visible(bare.replace(" ", ""))):
        raise Unusable("must be at most 256 printable ASCII characters")
    return bare or None
