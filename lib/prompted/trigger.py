"""The key that tells the gateway's own call blocks from everything that merely looks like one.

    <tool_call:k7m2p9xq4a3b>
    {"name": "look_up", "arguments": {"city": "Bremen"}}
    </tool_call:k7m2p9xq4a3b>

It is derived, neither random nor fixed: every instance and every turn of a conversation has the same one, and nobody
without the secret can write it down beforehand.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""32 characters that cannot be taken for one another."""
_LENGTH = 12


def derive_key(secret: bytes, names: Iterable[str], conversation: str) -> str:
    """12 characters out of `[a-z2-9]`: 60 bits of an HMAC over the tool names, in any order, and the conversation key.

    Raises ValueError without a secret.
    """
    if not secret:
        raise ValueError("a key needs a secret")
    digest = hmac.new(secret, digestmod=hashlib.sha256)
    for text in (conversation, *sorted(set(names))):
        part = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:%b" % (len(part), part))
    number = int.from_bytes(digest.digest()[:8])
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(0, 5 * _LENGTH, 5))


def opening(key: str) -> str:
    """The marker that begins a call block."""
    return f"<tool_call:{key}>"


def closing(key: str) -> str:
    """The marker that ends a call block."""
    return f"</tool_call:{key}>"
