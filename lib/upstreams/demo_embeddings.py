"""`/embeddings` of the demo upstream: feature hashing, without a model.

A text is the words in it and their groups of three letters; each has a place in the vector and a sign by its hash. So
texts that share words, or spellings, are near each other, and the same text has the same vector everywhere. Meaning is
beyond it.
"""

from __future__ import annotations

import base64
import math
import re
import sys
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from zlib import crc32

import msgspec

from lib.errors import InvalidRequest
from lib.upstreams.demo_fields import Made, Members, missing, wrong_type, wrong_value
from lib.upstreams.demo_plan import tokens

DEFAULT_DIMENSIONS = 256
MAX_DIMENSIONS = 3072
MAX_INPUTS = 2048
MAX_TOKENS = 8192
MAX_TOKENS_IN_ALL = 300_000

_WORD = re.compile(r"\w+|[^\w\s]+")
_GROUP = 3
_GROUP_WEIGHT = 0.5
_LONGEST_TOKEN = 16
"""Characters, as `tokens` cuts them: a text with more than this many for each allowed token is too long in any case."""

Input = str | list[int]


def embeddings(content: bytes) -> Made:
    """A list of unit vectors, one piece of the body for each. Raises InvalidRequest."""
    members = Members.of_json(content)
    model = members.model()
    inputs = _inputs(members)
    dimensions = members.integer("dimensions", 1, MAX_DIMENSIONS) or DEFAULT_DIMENSIONS
    encoded = members.choice("encoding_format", ("float", "base64"), "float") == "base64"
    used = _counted(inputs)
    usage = {"prompt_tokens": used, "total_tokens": used}
    pieces = _body(inputs, dimensions, encoded, model, usage)
    return Made("application/json", pieces, ignored=members.unread())


def vector(text: Input, dimensions: int) -> array[float]:
    """The unit vector of a text or of an array of tokens, as 32-bit floats."""
    features = _features(text) if isinstance(text, str) else _token_features(text)
    values = [0.0] * dimensions
    for feature, weight in features.items():
        digest = crc32(feature.encode(errors="replace"))
        values[digest % dimensions] += weight if digest & 0x8000_0000 else -weight
    norm = math.sqrt(math.fsum(value * value for value in values))
    if not norm:  # nothing in it, or all of it cancelled out
        values[len(text) % dimensions] = norm = 1.0
    return array("f", (value / norm for value in values))


def _features(text: str) -> dict[str, float]:
    words = Counter(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))
    groups: Counter[str] = Counter()
    for word, times in words.items():
        edged = f"\x02{word}\x03"
        for at in range(len(edged) - _GROUP + 1):
            groups[edged[at : at + _GROUP]] += times
    found = {word: math.sqrt(times) for word, times in words.items()}
    found |= {f"\x01{group}": _GROUP_WEIGHT * math.sqrt(times) for group, times in groups.items()}
    return found


def _token_features(numbers: Sequence[int]) -> dict[str, float]:
    times = Counter(f"\x04{number}" for number in numbers)
    times.update(f"\x05{first} {second}" for first, second in zip(numbers, numbers[1:], strict=False))
    return {feature: math.sqrt(count) for feature, count in times.items()}


def _inputs(members: Members) -> list[Input]:
    value = members.take("input")
    if value is None:
        raise missing("input")
    if isinstance(value, str) or _are_tokens(value):
        return [_checked(value)]
    if not isinstance(value, list):
        raise wrong_type("input", "a string, an array of strings or an array of tokens", value)
    if not value:
        raise wrong_value("input", "at least one input", value, code="empty_array")
    if len(value) > MAX_INPUTS:
        raise InvalidRequest(
            f"Invalid 'input': array too long. Expected an array with maximum length {MAX_INPUTS}, "
            f"but got an array with length {len(value)} instead.",
            param="input",
            code="array_above_max_length",
        )
    return [_checked(each) for each in value]


def _checked(value: Any) -> Input:
    if not isinstance(value, str) and not _are_tokens(value):
        raise wrong_type("input", "strings, or arrays of tokens", value)
    if not value:
        raise wrong_value("input", "no empty string", value, code="empty_string")
    text: Input = value
    return text


def _are_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is int and each >= 0 for each in value)


def _counted(inputs: Sequence[Input]) -> int:
    """The tokens of all inputs. Raises InvalidRequest when one, or all of them, are too long."""
    used = 0
    for text in inputs:
        counted = _tokens(text)
        used += counted
        if counted > MAX_TOKENS:
            raise _too_long(f"This model's maximum context length is {MAX_TOKENS} tokens. Shorten the input.")
        if used > MAX_TOKENS_IN_ALL:
            raise _too_long(f"The inputs of one request have at most {MAX_TOKENS_IN_ALL} tokens. Send fewer of them.")
    return used


def _tokens(text: Input) -> int:
    if not isinstance(text, str):
        return len(text)
    return max(1, len(tokens(text))) if len(text) <= MAX_TOKENS * _LONGEST_TOKEN else MAX_TOKENS + 1


def _too_long(message: str) -> InvalidRequest:
    return InvalidRequest(message, param="input", code="context_length_exceeded")


def _body(
    inputs: Sequence[Input], dimensions: int, encoded: bool, model: str, usage: dict[str, int]
) -> Iterator[bytes]:
    """The JSON in pieces: a thousand vectors take a while, and a lot of memory if they are all there at once."""
    opening = b'{"object":"list","data":['
    for index, text in enumerate(inputs):
        found = vector(text, dimensions)
        embedding = _base64(found) if encoded else found.tolist()
        entry = {"object": "embedding", "index": index, "embedding": embedding}
        yield opening + msgspec.json.encode(entry)
        opening = b","
    yield b"],%b" % msgspec.json.encode({"model": model, "usage": usage})[1:]


def _base64(values: array[float]) -> str:
    """Little-endian 32-bit floats."""
    if sys.byteorder == "big":
        values.byteswap()
    return base64.b64encode(values.tobytes()).decode()
