"""`make key`: a new scoped key from KEY_SECRET (environment or `.env`), or a narrower one from a key, without it.

    make key ARGS="--models 'gpt-5*' --endpoints chat,responses --days 30 --label phone --rpm 60"
    make key ARGS="--narrow sk-c2a-… --models gpt-5.5"

The key goes to stdout, and what it allows to stderr.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from lib import scoped_keys
from lib.errors import InvalidRequest
from lib.scoped_keys import KeyRefused, Limits, ScopedKey
from lib.settings import Settings
from lib.types import Clock
from lib.web.minting import limits_of, minted, new_id
from lib.web.scopes import ENDPOINT_NAMES

_OPTIONS = {"requests_per_minute": "rpm"}


def main(arguments: Sequence[str] | None = None, *, now: Clock = time.time) -> int:
    """Prints the key. 1, and a sentence, when none can be made."""
    asked = vars(_parser().parse_args(arguments))
    original = asked.pop("narrow")
    try:
        limits = limits_of({name: value for name, value in asked.items() if value is not None}, now())
        key = _new(limits) if original is None else _narrowed(original, limits)
    except InvalidRequest as error:
        name = error.param or ""
        sys.stderr.write(error.message.replace(f"'{name}'", f"--{_OPTIONS.get(name, name)}", 1) + "\n")
        return 1
    sys.stderr.write(_table(scoped_keys.read(key)))
    sys.stdout.write(key + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make key", description="Makes a key that carries its own limits.")
    parser.add_argument("--models", type=_items, help="patterns with commas between them, as 'gpt-5*'")
    parser.add_argument("--endpoints", type=_items, help=f"paths, or names: {', '.join(ENDPOINT_NAMES)}")
    parser.add_argument("--days", type=float, help="how long it is valid")
    parser.add_argument("--label", help="what it is for")
    parser.add_argument("--rpm", type=int, dest="requests_per_minute", help="requests per minute and instance")
    parser.add_argument("--narrow", metavar="KEY", help="a key to make a narrower one from; needs no KEY_SECRET")
    return parser


def _items(text: str) -> list[str]:
    return [item for item in map(str.strip, text.split(",")) if item]


def _new(limits: Limits) -> str:
    settings = Settings()
    if not settings.key_secrets:
        problems = [each.problem for each in settings.problems if each.variable == "KEY_SECRET"]
        raise InvalidRequest(
            f"KEY_SECRET {'; '.join(problems)}."
            if problems
            else "KEY_SECRET is not set; make one: openssl rand -hex 32"
        )
    return minted(settings.key_secrets[0], new_id(limits.label), limits)


def _narrowed(original: str, limits: Limits) -> str:
    try:
        return scoped_keys.narrow(original.strip(), limits)
    except KeyRefused as error:
        raise InvalidRequest("--narrow: this is no scoped key.") from error
    except ValueError as error:
        raise InvalidRequest(f"No key can be made of this: {error}.") from error


def _table(key: ScopedKey) -> str:
    rows: dict[str, Any] = {
        "id": key.id,
        "label": key.label,
        "models": _groups(key.models),
        "endpoints": _groups(key.endpoints),
        "expires": key.expires_at and _moment(key.expires_at),
        "per minute": min((each.requests_per_minute for each in key.blocks if each.requests_per_minute), default=None),
    }
    return "".join(f"{name:12}{value or '-'}\n" for name, value in rows.items())


def _moment(epoch: int) -> str:
    """A key may say more than a calendar holds."""
    try:
        return datetime.fromtimestamp(epoch, UTC).isoformat(" ", "minutes")
    except (ValueError, OverflowError, OSError):
        return f"{epoch} seconds after 1970"


def _groups(groups: tuple[tuple[str, ...], ...]) -> str:
    return ", and of these only ".join(", ".join(group) for group in groups)


if __name__ == "__main__":
    sys.exit(main())
