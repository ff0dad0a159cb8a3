"""Multipart forms that the demo upstream is sent: parsed in memory, nothing is written to disk."""

from __future__ import annotations

from dataclasses import dataclass, field

from lib.errors import InvalidRequest

_MAX_PARTS = 128
_MAX_FIELD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in a form."""

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Form:
    """A form, by the names of its parts; what is sent as `name[]` is named so."""

    fields: dict[str, list[str]]
    files: dict[str, Upload]
    """The first of each name."""


def parse_form(content: bytes, content_type: str) -> Form:
    """Raises InvalidRequest for what is no complete form, or has too many or too large fields."""
    from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

    kind, options = parse_options_header(content_type)
    boundary = options.get("boundary")
    if kind != "multipart/form-data" or not boundary:
        raise InvalidRequest(
            "This endpoint takes a form. Send `content-type: multipart/form-data` with its boundary.",
            status=415,
            code="unsupported_media_type",
        )
    form = Form({}, {})
    try:
        with PushMultipartParser(boundary, max_segment_count=_MAX_PARTS) as parser:
            part: MultipartSegment | None = None
            chunks: list[bytes] = []
            for event in parser.parse(content) if content else ():
                if isinstance(event, MultipartSegment):
                    part, chunks = event, []
                elif event:
                    chunks.append(event)
                elif part is not None:
                    _keep(form, part.name or "", part.filename, b"".join(chunks))
    except MultipartError as error:
        raise _broken(f"The form cannot be read: {error}.") from error
    except UnicodeDecodeError as error:
        raise _broken("A field of the form is not UTF-8.") from error
    return form


def _keep(form: Form, name: str, filename: str | None, data: bytes) -> None:
    if filename is not None:
        form.files.setdefault(name, Upload(filename, data))
        return
    if len(data) > _MAX_FIELD_BYTES:
        raise _broken(f"A field of the form is larger than {_MAX_FIELD_BYTES} bytes.")
    form.fields.setdefault(name, []).append(data.decode())


def _broken(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_form")
