"""Multipart forms: bounded bytes → text fields and files. Imported with the first request that sends one.

A form is kept as the bytes that it came in, with the place of each part, so that it can be forwarded as it is. Nothing
is written to disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lib.dialects.forward_form import Form, FormPart, Span
from lib.errors import InvalidRequest, PayloadTooLarge
from lib.web.asgi import Receive, Scope, header
from lib.web.bodies import media_type, read_body

if TYPE_CHECKING:
    from multipart import MultipartSegment

MAX_PARTS = 64
MAX_FIELD_BYTES = 1024 * 1024
"""Of one text field; files are bounded by the body as a whole."""

_FORM = "multipart/form-data"
_MAX_HEADERS = 8
_MAX_HEADER_BYTES = 4096
_MAX_NAME = 128
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BOUNDARY = re.compile(r"[\x20-\x7e]{1,70}")  # RFC 2046, 5.1.1, without its list of characters


async def read_form(scope: Scope, receive: Receive, *, max_bytes: int) -> Form:
    """The body as a form.

    Raises InvalidRequest (400, or 415 for what is no form), PayloadTooLarge, ClientGone.
    """
    if media_type(scope) != _FORM:
        raise InvalidRequest(
            f"This endpoint takes a form with a file, not JSON. Send `content-type: {_FORM}` with its boundary; HTTP "
            "clients do that by themselves when they are given files.",
            status=415,
            code="unsupported_media_type",
        )
    content_type = header(scope, b"content-type") or ""
    boundary = _boundary(content_type)
    raw = await read_body(scope, receive, max_bytes=max_bytes)
    return Form(raw, content_type, tuple(_parts(raw, boundary)))


def _boundary(content_type: str) -> str:
    from multipart import parse_options_header

    boundary: str = parse_options_header(content_type)[1].get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise _invalid("The content type names no usable boundary. Let the HTTP client make the form and its header.")
    return boundary


def _parts(raw: bytes, boundary: str) -> Iterator[FormPart]:
    from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser

    parser = PushMultipartParser(
        boundary,
        max_header_size=_MAX_HEADER_BYTES,
        max_header_count=_MAX_HEADERS,
        max_segment_count=MAX_PARTS,
        strict=True,
    )
    spans = _spans(raw, b"--" + boundary.encode())
    segment: MultipartSegment | None = None
    content: list[bytes] = []
    try:
        with parser:
            # In one go: nothing is copied but the parts themselves, which then are one piece each.
            for event in parser.parse(raw):
                if isinstance(event, MultipartSegment):
                    segment = event
                elif event is None:
                    assert segment is not None
                    yield _part(segment, b"".join(content), next(spans))
                    content = []
                else:
                    content.append(event)
    except ParserLimitReached as error:
        raise _invalid(
            f"The form has more than {MAX_PARTS} parts, or a part more than {_MAX_HEADERS} headers or a header of more "
            f"than {_MAX_HEADER_BYTES} bytes."
        ) from error
    except MultipartError as error:
        raise _invalid(f"The form cannot be read: {_reason(error)}.") from error


def _spans(raw: bytes, delimiter: bytes) -> Iterator[Span]:
    """Where the parts stand in a form that the parser takes; it looks for their ends in the same way."""
    end = raw.find(delimiter) - 2
    while True:
        head = end + 2 + len(delimiter) + 2
        start = raw.find(b"\r\n\r\n", head) + 4
        end = raw.find(b"\r\n" + delimiter, start)
        yield Span(head, start, end)


def _part(segment: MultipartSegment, data: bytes, span: Span) -> FormPart:
    name, filename = segment.name or "", segment.filename
    if not name or len(name) > _MAX_NAME or _CONTROL.search(name):
        raise _invalid(f"A part of the form has no usable name: at most {_MAX_NAME} printable characters.")
    if filename is None and len(data) > MAX_FIELD_BYTES:
        raise PayloadTooLarge(
            f"A text field of the form is larger than {MAX_FIELD_BYTES} bytes. A file needs a file name.", param=name
        )
    return FormPart(
        name, None if filename is None else _base_name(filename, name), segment.content_type or "", data, span
    )


def _base_name(filename: str, name: str) -> str:
    """The file name without the folders that some clients send with it."""
    *folders, base = re.split(r"[/\\]", filename)
    if ".." in (*folders, base) or _CONTROL.search(filename):
        raise InvalidRequest(
            "The name of this file leads out of its folder or holds control characters. Send a plain name.",
            param=name,
            code="invalid_form",
        )
    return base


def _reason(error: Exception) -> str:
    """The parser's words, which are its own and never the form's."""
    words = str(error.args[0]) if error.args else "it is malformed"
    return words[:1].lower() + words[1:]


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_form")
