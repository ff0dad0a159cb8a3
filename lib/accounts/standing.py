"""What the instances of a gateway tell each other about one account: how long it rests, which of its tokens were
refused, how far its usage windows are used.

Every entry says when it was learned, and the later one counts. Clocks of different machines may differ by seconds; the
worst that follows is one request more to an account that rests.
"""

from __future__ import annotations

import msgspec

from lib.types import Window

MAX_ENTRIES = 16
"""Families, tokens and windows that one account may have; of more, those learned last are kept."""


class Rest(msgspec.Struct, frozen=True, array_like=True):
    """An account rests `until` then (epoch seconds; 0: it was found awake)."""

    until: float
    at: float


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A usage window (see `lib.types.Window`) and when it was reported."""

    bucket: str
    used_percent: float
    window_minutes: int | None
    reset_at: float | None
    at: float
    has_credits: bool = False

    @property
    def window(self) -> Window:
        return Window(self.bucket, self.used_percent, self.window_minutes, self.reset_at, self.has_credits)


class Standing(msgspec.Struct, frozen=True):
    """rests: by model family. refused: digest of a token → when it was refused."""

    rests: dict[str, Rest] = {}
    refused: dict[str, float] = {}
    windows: tuple[Seen, ...] = ()

    def merged(self, other: Standing) -> Standing:
        """Of each entry the one that was learned later; of two rests that were learned at once, the longer one."""
        rests = dict(self.rests)
        for family, rest in other.rests.items():
            known = rests.get(family)
            if known is None or (rest.at, rest.until) > (known.at, known.until):
                rests[family] = rest
        refused = dict(self.refused)
        for digest, at in other.refused.items():
            refused[digest] = max(at, refused.get(digest, at))
        windows = {(seen.bucket, seen.window_minutes): seen for seen in self.windows}
        for seen in other.windows:
            before = windows.get((seen.bucket, seen.window_minutes))
            if before is None or seen.at > before.at:
                windows[seen.bucket, seen.window_minutes] = seen
        return Standing(
            dict(sorted(rests.items(), key=lambda entry: -entry[1].at)[:MAX_ENTRIES]),
            dict(sorted(refused.items(), key=lambda entry: -entry[1])[:MAX_ENTRIES]),
            tuple(sorted(windows.values(), key=lambda seen: -seen.at)[:MAX_ENTRIES]),
        )

    def not_after(self, now: float) -> Standing:
        """The same, with nothing learned in the future: a clock that is ahead would have the last word for long."""
        return Standing(
            {family: Rest(rest.until, min(rest.at, now)) for family, rest in self.rests.items()},
            {digest: min(at, now) for digest, at in self.refused.items()},
            tuple(msgspec.structs.replace(seen, at=min(seen.at, now)) for seen in self.windows),
        )


def encode(standing: Standing) -> bytes:
    return msgspec.json.encode(standing)


def decode(data: bytes) -> Standing | None:
    """None for what cannot be read: another version may have written it."""
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


_DECODER = msgspec.json.Decoder(Standing)
