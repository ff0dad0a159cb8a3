"""The address of the shared store."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import SecretStr

from lib.settings.values import Note, Unusable, is_visible, text

_DYNAMODB = re.compile(r"dynamodb://([A-Za-z0-9_.-]{3,255})/?(?:\?region=([a-z0-9-]{1,32}))?")
_DATABASE = re.compile(r"/?\d{0,5}")


def state_url(value: object, note: Note) -> SecretStr | None:
    """`redis://`, `rediss://` or `dynamodb://`; secret, because it may hold a password. Without anything that the
    store would stumble over."""
    bare = text(value, note)
    if not bare:
        return None
    if not is_visible(bare):
        raise Unusable("holds white space, control or non-ASCII characters")
    scheme, _, rest = bare.partition("://")
    if scheme.lower() == "dynamodb":
        table = _DYNAMODB.fullmatch(f"dynamodb://{rest}")
        if table is None:
            raise Unusable("must be of the form dynamodb://table or dynamodb://table?region=name")
        return SecretStr(f"dynamodb://{table[1]}" + (f"?region={table[2]}" if table[2] else ""))
    if scheme.lower() not in ("redis", "rediss"):
        raise Unusable("must begin with one of redis://, rediss://, dynamodb://")
    return SecretStr(f"{scheme.lower()}://{_redis(rest)}")


def _redis(rest: str) -> str:
    try:
        parts = urlsplit(f"redis://{rest}")
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Unusable("has no valid host and port; special characters in a password have to be percent-encoded")
    if parts.query or parts.fragment or not _DATABASE.fullmatch(parts.path):
        raise Unusable("must hold nothing but the number of a database after its port")
    return rest
