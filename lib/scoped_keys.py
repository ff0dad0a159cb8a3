"""Keys that carry their own limits: minted from a secret, checked without a database, narrowed by whoever holds one.
`docs/keys.md` is their specification.

A key is a row of blocks and one signature, a chain of HMACs as in macaroons. The first block has the key's id and all
limits that it was minted with, every further one has more limits:

    signature 0 = HMAC-SHA256(secret, context + block 0)
    signature n = HMAC-SHA256(signature n-1, block n)

Only the last signature is in the key. Whoever has a key can therefore add a block, and nobody can change one or take
one away. All blocks have to hold; a limit that is not known here holds never.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

import msgspec

PREFIX = "sk-c2a-"
MAX_KEY_CHARS = 2048
MAX_BLOCKS = 16
MAX_SKEW_S = 60
"""How far the clocks of who minted a key and of who checks it may differ."""

_VERSION = b"\x01"
_CONTEXT = b"chat2api scoped key 1\0"
"""Keeps the secret's other uses apart from this one."""
_MAC_BYTES = 32
_KEY = re.compile(re.escape(PREFIX) + r"([A-Za-z0-9_-]+)")

_Patterns = Annotated[tuple[Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,200}\Z")], ...], msgspec.Meta(min_length=1)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, le=2**48)]
_Label = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f\x7f]{1,64}\Z")]
_Rate = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
_Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]


class Limits(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    rename={"expires_at": "exp", "not_before": "nbf", "requests_per_minute": "rpm"},
):
    """What one block allows. None: it does not limit that. `*` in a pattern stands for anything."""

    models: _Patterns | None = None
    endpoints: _Patterns | None = None
    """Names (`chat`) or paths (`/v1/chat/completions`)."""
    expires_at: _Seconds | None = None
    """Epoch seconds, as `not_before`."""
    not_before: _Seconds | None = None
    label: _Label | None = None
    """What the key is for, in the words of who made it. Limits nothing."""
    requests_per_minute: _Rate | None = None


class _Minted(Limits, frozen=True, kw_only=True):
    id: _Id


_Block = TypeVar("_Block", bound=Limits)


@dataclass(frozen=True, slots=True)
class ScopedKey:
    """A key taken apart. All of its blocks have to hold; the first one is what it was minted with."""

    id: str
    blocks: tuple[Limits, ...]
    marks: tuple[bytes, ...] = field(default=(), repr=False)
    """For each block of a checked key, a digest that all keys narrowed from there have in common and no other has. The
    last one is the key's own."""

    @property
    def models(self) -> tuple[tuple[str, ...], ...]:
        """Groups of patterns: a model has to match one of each group."""
        return tuple(block.models for block in self.blocks if block.models is not None)

    @property
    def endpoints(self) -> tuple[tuple[str, ...], ...]:
        """Groups of patterns, as for models."""
        return tuple(block.endpoints for block in self.blocks if block.endpoints is not None)

    @property
    def expires_at(self) -> int | None:
        """The earliest end of all blocks."""
        return min((block.expires_at for block in self.blocks if block.expires_at is not None), default=None)

    @property
    def not_before(self) -> int | None:
        """The latest beginning of all blocks."""
        return max((block.not_before for block in self.blocks if block.not_before is not None), default=None)

    @property
    def label(self) -> str | None:
        """The newest label."""
        return next((block.label for block in reversed(self.blocks) if block.label is not None), None)

    @property
    def rates(self) -> tuple[tuple[bytes, int], ...]:
        """(mark, requests per minute) of each block that limits them. Only a checked key has marks."""
        pairs = zip(self.marks, self.blocks, strict=True)
        return tuple((mark, block.requests_per_minute) for mark, block in pairs if block.requests_per_minute)


class Refusal(enum.Enum):
    """Why a key is not accepted."""

    MALFORMED = "malformed"  # not of this form, or too long
    FORGED = "forged"  # not made from this secret, or changed since
    UNKNOWN = "unknown"  # well signed, with a limit that is not known here
    EARLY = "early"
    EXPIRED = "expired"
    REVOKED = "revoked"


class KeyRefused(Exception):
    """A key that is not accepted. Of a key whose signature does not fit nothing else is told."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


def mint(secret: bytes, id: str, limits: Limits) -> str:
    """A new key. `id`: what the log calls it and what revokes it, at most 64 letters, digits, dots, hyphens and
    underscores. Raises ValueError for limits that no key can carry; the message says which."""
    members = {name: getattr(limits, name) for name in Limits.__struct_fields__}
    block = msgspec.json.encode(_Minted(id=id, **members))
    _parse(block, _Minted)
    return _encode([block], _signatures(secret, [block])[-1])


def narrow(key: str, limits: Limits) -> str:
    """The key with one more block, for which no secret is needed. Raises ValueError as `mint`, and KeyRefused for what
    is no key."""
    blocks, signature = _decode(key)
    block = msgspec.json.encode(limits)
    _parse(block, Limits)
    if len(blocks) == MAX_BLOCKS:
        raise ValueError(f"the key has been narrowed {MAX_BLOCKS - 1} times, and no more is possible")
    return _encode([*blocks, block], hmac.digest(signature, block, "sha256"))


def read(key: str) -> ScopedKey:
    """What a key says of itself, for display: **nothing of it is checked**. Raises KeyRefused."""
    blocks, _ = _decode(key)
    return _parsed(blocks, (), Refusal.MALFORMED)


def check(key: str, secrets: Sequence[bytes], now: float, revoked: Collection[str] = ()) -> ScopedKey:
    """The key, when it was made from one of the secrets and holds at `now` (epoch seconds). Raises KeyRefused."""
    blocks, signature = _decode(key)
    chain = next((fitting for secret in secrets if (fitting := _fitting(secret, blocks, signature))), None)
    if chain is None:
        raise KeyRefused(Refusal.FORGED)
    marks = tuple(hashlib.sha256(b"scoped key\0" + each).digest() for each in chain)
    found = _parsed(blocks, marks, Refusal.UNKNOWN)
    if found.id in revoked:
        raise KeyRefused(Refusal.REVOKED)
    if found.expires_at is not None and now >= found.expires_at + MAX_SKEW_S:
        raise KeyRefused(Refusal.EXPIRED)
    if found.not_before is not None and now < found.not_before - MAX_SKEW_S:
        raise KeyRefused(Refusal.EARLY)
    return found


def _signatures(secret: bytes, blocks: Sequence[bytes]) -> list[bytes]:
    """The chain: one HMAC for each block."""
    chain = [hmac.digest(secret, _CONTEXT + blocks[0], "sha256")]
    for block in blocks[1:]:
        chain.append(hmac.digest(chain[-1], block, "sha256"))
    return chain


def _fitting(secret: bytes, blocks: Sequence[bytes], signature: bytes) -> list[bytes] | None:
    chain = _signatures(secret, blocks)
    return chain if hmac.compare_digest(chain[-1], signature) else None


def _parsed(blocks: Sequence[bytes], marks: tuple[bytes, ...], otherwise: Refusal) -> ScopedKey:
    try:
        first = _parse(blocks[0], _Minted)
        others = [_parse(block, Limits) for block in blocks[1:]]
    except ValueError as error:
        raise KeyRefused(otherwise) from error
    return ScopedKey(first.id, (first, *others), marks)


def _parse(block: bytes, kind: type[_Block]) -> _Block:
    return msgspec.json.decode(block, type=kind)


def _encode(blocks: Sequence[bytes], signature: bytes) -> str:
    if sum(map(len, blocks)) <= MAX_KEY_CHARS:  # so that each length fits into its two bytes
        framed = b"".join(len(block).to_bytes(2, "big") + block for block in blocks)
        text = PREFIX + base64.urlsafe_b64encode(_VERSION + framed + signature).decode().rstrip("=")
        if len(text) <= MAX_KEY_CHARS:
            return text
    raise ValueError(f"the limits make the key longer than {MAX_KEY_CHARS} characters")


def _decode(key: str) -> tuple[list[bytes], bytes]:
    """The blocks and the signature of a key. Of all spellings that base64 allows, one is taken."""
    match = _KEY.fullmatch(key) if len(key) <= MAX_KEY_CHARS else None
    if match is None or len(match[1]) % 4 == 1:
        raise KeyRefused(Refusal.MALFORMED)
    raw = base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4))
    if base64.urlsafe_b64encode(raw).decode().rstrip("=") != match[1] or not raw.startswith(_VERSION):
        raise KeyRefused(Refusal.MALFORMED)
    blocks: list[bytes] = []
    at, end = len(_VERSION), len(raw) - _MAC_BYTES
    while at < end and len(blocks) < MAX_BLOCKS:
        begin = at + 2
        at = begin + int.from_bytes(raw[at:begin], "big")
        blocks.append(raw[begin:at])
    if not blocks or at != end:
        raise KeyRefused(Refusal.MALFORMED)
    return blocks, raw[end:]
