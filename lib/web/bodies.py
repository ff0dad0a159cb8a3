"""Request bodies: bounded bytes, and one JSON object out of them. The limit holds for what is sent and for what that
unpacks to."""

from __future__ import annotations

from typing import Any

import msgspec

from lib.errors import InvalidRequest, PayloadTooLarge
from lib.web.asgi import ClientGone, Message, Receive, Scope, header

MAX_DEPTH = 256
"""Objects and arrays within each other. JSON encoders recurse, and die near a thousand levels on a busy stack."""

_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_PLAIN = {"", "identity"}
_DEFLATED = {"gzip", "x-gzip", "deflate"}


async def read_json(scope: Scope, receive: Receive, *, max_bytes: int) -> dict[str, Any]:
    """The body as a JSON object, whatever content type it is labelled with.

    Raises InvalidRequest (400, or 415 for what can never be JSON), PayloadTooLarge, ClientGone.
    """
    _refuse_forms(scope)
    return _decode(await read_body(scope, receive, max_bytes=max_bytes))


async def read_json_raw(scope: Scope, receive: Receive, *, max_bytes: int) -> tuple[dict[str, Any], bytes]:
    """The same, and the bytes that it was read from: unpacked, without a byte order mark. Raises as `read_json`."""
    _refuse_forms(scope)
    raw = await read_body(scope, receive, max_bytes=max_bytes)
    return _decode(raw), raw.removeprefix(_UTF8_BOM)


async def read_body(scope: Scope, receive: Receive, *, max_bytes: int) -> bytes:
    """The whole body, unpacked. A declared length beyond the limit is refused before anything is read.

    Raises InvalidRequest (400, or 415 for an unknown encoding), PayloadTooLarge, ClientGone.
    """
    encoding = (header(scope, b"content-encoding") or "").strip().lower()
    if encoding not in _PLAIN and encoding not in _DEFLATED:
        raise InvalidRequest(
            "This content encoding is not supported. Send the body plain or as gzip.",
            status=415,
            code="unsupported_encoding",
        )
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdecimal() and int(declared[:20]) > max_bytes:
        raise _too_large(max_bytes)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        raw: bytes = message.get("body", b"")
        if len(raw) > max_bytes:
            raise _too_large(max_bytes)
    else:
        raw = await _joined(message, receive, max_bytes)
    return _inflate(raw, max_bytes) if encoding in _DEFLATED else raw


def media_type(scope: Scope) -> str:
    """The content type without its parameters, lower case; empty if there is none."""
    return (header(scope, b"content-type") or "").partition(";")[0].strip().lower()


def _refuse_forms(scope: Scope) -> None:
    if media_type(scope).startswith("multipart/"):
        raise InvalidRequest(
            "This endpoint takes JSON, not a multipart form. Send `content-type: application/json`.",
            status=415,
            code="unsupported_media_type",
        )


async def _joined(message: Message, receive: Receive, max_bytes: int) -> bytes:
    """A body of several messages, of which this is the first."""
    chunks: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)
        message = await receive()


def _inflate(raw: bytes, max_bytes: int) -> bytes:
    import zlib

    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # reads the gzip and the zlib header
    try:
        plain = inflater.decompress(raw, max_bytes + 1)
    except zlib.error as error:
        raise _invalid("The body is not what its content encoding says.") from error
    if len(plain) > max_bytes:
        raise _too_large(max_bytes)
    if not inflater.eof or inflater.unused_data:
        raise _invalid("The compressed body is cut off, or something follows it.")
    return plain


def _decode(raw: bytes) -> dict[str, Any]:
    if raw.startswith(_UTF16_BOMS):
        raise _invalid("The body is UTF-16. JSON is sent as UTF-8.")
    raw = raw.removeprefix(_UTF8_BOM)
    if not raw:
        raise _invalid("The body is empty. Send a JSON object.")
    try:
        value = msgspec.json.decode(raw)
    except msgspec.MsgspecError as error:  # its messages name the position and never the content
        raise _invalid(f"The body is not valid JSON: {error}") from error
    except UnicodeDecodeError as error:
        raise _invalid(f"The body is not valid UTF-8 (byte {error.start}).") from error
    except RecursionError as error:
        raise _invalid("The body is nested too deeply.") from error
    if not isinstance(value, dict):
        raise _invalid("The body must be a JSON object.")
    # No value is deeper than it has brackets, and few bodies have so many of them.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _is_deep(value):
        raise _invalid(f"The body is nested too deeply: more than {MAX_DEPTH} levels.")
    return value


def _is_deep(value: Any) -> bool:
    """Level by level, because the bound keeps recursion out of trouble; a few ms for a common body of megabytes."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_json")


def _too_large(max_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The request body is larger than this gateway takes ({max_bytes} bytes).")
