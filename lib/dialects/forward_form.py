"""Multipart forms as values: what was read of them, and the one change that a forwarded form meets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from lib.errors import InvalidRequest

_LENGTH = re.compile(rb"(?im)^(content-length:[ \t]*)\d+")


class Span(NamedTuple):
    """Where a part stands in the bytes of its form."""

    head: int
    """Where its headers begin."""
    start: int
    """Where its content begins, and `end` where it ends."""
    end: int


@dataclass(frozen=True, slots=True)
class FormPart:
    """One part of a form."""

    name: str
    filename: str | None
    """Without any folders; None for a text field."""
    media_type: str
    """Lower case, without parameters; empty if the part does not say."""
    data: bytes = field(repr=False)
    span: Span


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart form that was read and found sound."""

    raw: bytes = field(repr=False)
    """The body, byte for byte."""
    content_type: str
    """The header that goes with it; it names the boundary."""
    parts: tuple[FormPart, ...] = field(repr=False)
    """In the order in which they were sent."""

    def texts(self, name: str) -> list[str]:
        """The values of a text field, also of `name[]`. Raises InvalidRequest for what is no UTF-8."""
        return [_text(part) for part in self._named(name) if part.filename is None]

    def text(self, name: str) -> str | None:
        """The one value of a text field, or None. Raises InvalidRequest when it was given more than once."""
        found = [part for part in self.parts if part.name == name and part.filename is None]
        if len(found) > 1:
            raise InvalidRequest(f"'{name}' stands in the form {len(found)} times.", param=name, code="invalid_form")
        return _text(found[0]) if found else None

    def files(self, name: str) -> list[FormPart]:
        """The files that were sent under a name, or under `name[]`."""
        return [part for part in self._named(name) if part.filename is not None]

    def _named(self, name: str) -> Iterator[FormPart]:
        return (part for part in self.parts if part.name in (name, f"{name}[]"))


def with_text(form: Form, name: str, text: str) -> bytes:
    """The form's bytes with another value for a text field that it has once; all else stays as it is."""
    part = next(part for part in form.parts if part.name == name and part.filename is None)
    head, start, end = part.span
    value = text.encode()
    headers = _LENGTH.sub(lambda found: b"%b%d" % (found[1], len(value)), form.raw[head:start])
    return b"".join((form.raw[:head], headers, value, form.raw[end:]))


def _text(part: FormPart) -> str:
    try:
        return part.data.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"'{part.name[:64]}' is not valid UTF-8.", param=part.name[:64], code="invalid_form"
        ) from error
