"""Text of the environment → values.

A parser takes a raw value and a `note` for what it mended. It returns the value, or None for "nothing there", or
raises Unusable. Neither notes nor errors ever hold the value or a part of it: both are logged.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

SHORTEST_PREFIX = 8
LONGEST_WAIT_S = 86_400.0
LONGEST_LIFE_S = 365 * 86_400.0

_SPACE = " \t\r\n\v\f\u00a0\u200b\ufeff"
_QUOTES = "\"'`\u2018\u2019\u201c\u201d"
_SEPARATORS = re.compile(r"[,;\r\n]")
_EMPTY_ITEM = re.compile(r"(?:^|[,;])\s*(?:[,;]|$)")
_VISIBLE = re.compile(r"[!-~]+")
_MODEL = re.compile(r"[!-)+-<>-~]{1,200}")
_MODEL_PATTERN = re.compile(r"[!-<>-~]{1,200}")
_VERSION = re.compile(r"\d{1,6}(?:\.\d{1,6}){1,3}(?:[-+][0-9A-Za-z.-]{1,40})?")
_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
_LEVELS = {"WARN": "WARNING", "FATAL": "CRITICAL"} | {
    level: level for level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
}
_SWITCH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one variable. Safe to log: the value is not in it."""

    variable: str
    problem: str


class Unusable(Exception):
    """The value cannot be used; the message says why, without the value."""


class Pieces(tuple[Any, ...]):
    """A raw value in several parts, of which each has the form that the whole may have."""


T = TypeVar("T")
Note = Callable[[str], object]
Parser = Callable[[object, Note], Any]


def is_visible(text: str) -> bool:
    """Whether the text is printable ASCII without white space, as all that goes into a header must be."""
    return _VISIBLE.fullmatch(text) is not None


def bare(text: str) -> str:
    """A text without the white space, byte order mark and quotes around it."""
    return text.strip(_SPACE).strip(_SPACE + _QUOTES)


def split(text: str) -> list[str]:
    """A list cut at commas, semicolons and line ends."""
    return _SEPARATORS.split(text)


def text(value: object, note: Note) -> str:
    """A single text without the white space, byte order mark and quotes around it; maybe empty."""
    if isinstance(value, bool | int | float):
        value = str(value)
    if not isinstance(value, str):
        raise Unusable("must be a single text")
    _note_leftovers(value, note)
    spaceless = value.strip(_SPACE)
    bare = spaceless.strip(_SPACE + _QUOTES)
    if bare != spaceless:
        note("stray quotes were removed")
    return bare


def items(value: object, note: Note) -> list[str]:
    """The items of a list: split at commas, semicolons and line ends, trimmed, the empty ones left out."""
    found = []
    for part in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(part, str | int | float):
            note("an entry that is not a text was dropped")
            continue
        whole = str(part)
        _note_leftovers(whole, note)
        if whole.strip(_SPACE) and _EMPTY_ITEM.search(whole.strip(_SPACE)):
            note("an empty item was dropped: there is a comma or semicolon too many")
        found += [item for piece in _SEPARATORS.split(whole) if (item := text(piece, note))]
    return found


def secrets(value: object, note: Note) -> tuple[SecretStr, ...] | None:
    """A list of tokens, each once."""
    return tuple(SecretStr(item) for _, item in _distinct(value, note)) or None


def prefixes(value: object, note: Note) -> tuple[SecretStr, ...] | None:
    """A list of private prefixes; short ones are refused, because a guess would find them."""
    kept = []
    for number, item in _distinct(value, note):
        if len(item) < SHORTEST_PREFIX:
            note(f"item {number} is shorter than {SHORTEST_PREFIX} characters and was refused")
        else:
            kept.append(SecretStr(item))
    return tuple(kept) or None


def name(value: object, note: Note) -> str | None:
    """A model name or the like: visible ASCII."""
    bare = text(value, note)
    if bare and (not is_visible(bare) or len(bare) > 200):
        raise Unusable("must be at most 200 printable ASCII characters without white space")
    return bare or None


def model_map(value: object, note: Note) -> tuple[tuple[str, str], ...] | None:
    """A list of `pattern=model`; each pattern once."""
    found: dict[str, str] = {}
    for number, item in enumerate(items(value, note), 1):
        pattern, _, model = (each.strip(_SPACE) for each in item.partition("="))
        if not _MODEL_PATTERN.fullmatch(pattern) or not _MODEL.fullmatch(model):
            note(f"item {number} is not of the form pattern=model and was dropped")
        elif found.setdefault(pattern, model) != model:
            note(f"item {number} repeats the pattern of an earlier one and was dropped")
    return tuple(found.items()) or None


def path(value: object, note: Note) -> str | None:
    """The name of a file."""
    return text(value, note) or None


def version(value: object, note: Note) -> str | None:
    """Numbers with dots, as in 0.160.0."""
    bare = text(value, note)
    if bare and not _VERSION.fullmatch(bare):
        raise Unusable("must be a version such as 0.160.0")
    return bare or None


def log_level(value: object, note: Note) -> str | None:
    return _one_of(_LEVELS, text(value, note).upper(), "must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL")


def log_format(value: object, note: Note) -> str | None:
    forms = {form: form for form in ("logfmt", "json", "emf")}
    return _one_of(forms, text(value, note).lower(), "must be logfmt, json or emf")


def tools(value: object, note: Note) -> str | None:
    ways = {way: way for way in ("native", "prompted", "off")}
    return _one_of(ways, text(value, note).lower(), "must be native, prompted or off")


def switch(value: object, note: Note) -> bool | None:
    return _one_of(_SWITCH, text(value, note).lower(), "must be true or false")


def seconds(value: object, note: Note) -> float | None:
    """A duration above zero, of at most a day."""
    duration = pause(value, note)
    if duration == 0:
        raise Unusable("must be more than 0 seconds")
    return duration


def pause(value: object, note: Note) -> float | None:
    """A duration that may be zero, of at most a day."""
    return _duration(value, note, LONGEST_WAIT_S)


def life(value: object, note: Note) -> float | None:
    """How long something is kept, at most a year; zero: not at all."""
    return _duration(value, note, LONGEST_LIFE_S)


def _duration(value: object, note: Note, longest_s: float) -> float | None:
    bare = text(value, note)
    if not bare:
        return None
    try:
        duration = float(bare)
    except ValueError:
        raise Unusable("must be a number of seconds") from None
    if not math.isfinite(duration) or not 0 <= duration <= longest_s:
        raise Unusable(f"must be from 0 to {longest_s:.0f} seconds")
    return duration


def count(value: object, note: Note) -> int | None:
    """A number from 1 to 100."""
    return _whole(text(value, note), 100)


def size(value: object, note: Note) -> int | None:
    """A number of bytes, from 1 to 1 TiB."""
    return _whole(text(value, note), 2**40)


def base_url(value: object, note: Note) -> str | None:
    """An http or https address without credentials, query and trailing slash."""
    bare = text(value, note)
    if not bare:
        return None
    scheme, host, rest = _address(bare, ("http", "https"))
    if "@" in host:
        raise Unusable("must not hold a user name or password")
    if "?" in rest or "#" in rest:
        raise Unusable("must not hold a query or fragment")
    return f"{scheme}://{host}{rest}".rstrip("/")


def proxy(value: object, note: Note) -> SecretStr | None:
    """The address of a proxy; secret, because it may hold a password."""
    bare = text(value, note)
    if not bare:
        return None
    scheme, host, rest = _address(bare, _PROXY_SCHEMES)
    if rest not in ("", "/"):
        raise Unusable("must be a proxy's address and nothing after its port")
    return SecretStr(f"{scheme}://{host}")


def _address(bare: str, schemes: tuple[str, ...]) -> tuple[str, str, str]:
    """Scheme, host part and the rest of a URL. Raises Unusable."""
    if not is_visible(bare):
        raise Unusable("holds white space, control or non-ASCII characters")
    scheme, colon, rest = bare.partition("://")
    if not colon or scheme.lower() not in schemes:
        raise Unusable(f"must begin with one of {', '.join(f'{known}://' for known in schemes)}")
    try:
        parts = urlsplit(bare)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Unusable("has no valid host and port")
    return scheme.lower(), parts.netloc, rest.removeprefix(parts.netloc)


def _distinct(value: object, note: Note) -> Iterator[tuple[int, str]]:
    seen = set()
    for number, item in enumerate(items(value, note), 1):
        if not is_visible(item):
            note(f"item {number} holds white space, control or non-ASCII characters and was dropped")
        elif item in seen:
            note(f"item {number} repeats an earlier one and was dropped")
        else:
            seen.add(item)
            yield number, item


def _note_leftovers(value: str, note: Note) -> None:
    if "\ufeff" in value:
        note("a byte order mark was removed")
    if "\r" in value:
        note("carriage returns were removed")


def _one_of(known: dict[str, T], bare: str, refusal: str) -> T | None:
    if bare and bare not in known:
        raise Unusable(refusal)
    return known.get(bare)


def _whole(bare: str, highest: int) -> int | None:
    if not bare:
        return None
    try:
        number = int(bare)
    except ValueError:
        raise Unusable("must be a whole number") from None
    if not 1 <= number <= highest:
        raise Unusable(f"must be from 1 to {highest}")
    return number
