"""Multipart forms, sound and hostile."""

from __future__ import annotations

import asyncio
import gzip
import time
from typing import Any

import httpx
import pytest

from lib.dialects.forward_form import Form, with_text
from lib.errors import GatewayError
from lib.web.asgi import ClientGone, Message
from lib.web.forms import MAX_FIELD_BYTES, MAX_PARTS, read_form

TYPE = "multipart/form-data; boundary=xyz"


def part(name: str, data: bytes, *, filename: str | None = None, headers: bytes = b"") -> bytes:
    file = f'; filename="{filename}"' if filename is not None else ""
    return (
        f'--xyz\r\nContent-Disposition: form-data; name="{name}"{file}\r\n'.encode()
        + headers
        + b"\r\n"
        + data
        + b"\r\n"
    )


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--xyz--\r\n"


SOUND = form(
    part("model", b"whisper-1"),
    part("file", b"RIFF\r\n--xy\x00", filename="a b.wav", headers=b"Content-Type: audio/wav; x=y\r\n"),
    part("image[]", b"1", filename="1.png"),
    part("image[]", b"", filename="2.png"),
    part("timestamp_granularities[]", b"word"),
    part("timestamp_granularities[]", "sätze".encode()),
)


def read(body: bytes, *, content_type: str = TYPE, max_bytes: int = 10_000_000, **headers: str) -> Form:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop(0)

    pairs = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {"headers": [(name.encode(), value.encode("latin-1")) for name, value in pairs.items()]}
    return asyncio.run(read_form(scope, receive, max_bytes=max_bytes))


def refusal(body: bytes, **options: Any) -> GatewayError:
    started_at = time.monotonic()
    with pytest.raises(GatewayError) as caught:
        read(body, **options)
    assert time.monotonic() - started_at < 1
    assert caught.value.message.isprintable()
    return caught.value


def test_fields_and_files_are_read_and_the_bytes_are_kept() -> None:
    read_ = read(SOUND)

    assert read_.raw == SOUND
    assert read_.content_type == TYPE
    assert read_.text("model") == "whisper-1"
    assert read_.text("language") is None
    assert read_.texts("timestamp_granularities") == ["word", "sätze"]
    (file,) = read_.files("file")
    assert (file.filename, file.media_type, file.data) == ("a b.wav", "audio/wav", b"RIFF\r\n--xy\x00")
    assert [(image.filename, image.data) for image in read_.files("image")] == [("1.png", b"1"), ("2.png", b"")]


def test_every_part_knows_its_place() -> None:
    for raw in (SOUND, b"\r\n" + SOUND, SOUND + b"an epilogue"):
        read_ = read(raw)
        assert [raw[part.span.start : part.span.end] for part in read_.parts] == [part.data for part in read_.parts]


def test_a_header_that_looks_like_a_boundary_does_not_move_the_places() -> None:
    raw = form(part("model", b"m", headers=b"--xyz: a\r\n"), part("file", b"f", filename="f"))

    assert [raw[part.span.start : part.span.end] for part in read(raw).parts] == [b"m", b"f"]


def test_forms_of_a_real_client_are_read() -> None:
    request = httpx.Request(
        "POST", "http://x/", data={"model": "m", "prompt": ""}, files={"file": ('ä".wav', b"\x00\xff")}
    )
    read_ = read(request.read(), content_type=request.headers["content-type"])

    assert (read_.text("model"), read_.text("prompt")) == ("m", "")
    assert [(file.filename, file.data) for file in read_.files("file")] == [('ä".wav', b"\x00\xff")]


def test_one_field_is_replaced_and_all_else_stays_byte_for_byte() -> None:
    replaced = with_text(read(SOUND), "model", "größer")

    assert replaced == SOUND.replace(b"\r\nwhisper-1\r\n", b"\r\n" + "größer".encode() + b"\r\n")
    assert read(replaced).text("model") == "größer"


def test_a_replaced_field_that_declared_its_length_declares_the_new_one() -> None:
    raw = form(part("model", b"whisper-1", headers=b"content-length: 9\r\n"), part("file", b"f", filename="f"))

    assert read(with_text(read(raw), "model", "m")).text("model") == "m"


def test_a_compressed_form_is_unpacked_and_bounded() -> None:
    assert read(gzip.compress(SOUND), content_encoding="gzip").raw == SOUND
    assert refusal(gzip.compress(bytes(20_000_000)), content_encoding="gzip").status == 413
    assert refusal(SOUND, content_encoding="br").status == 415


@pytest.mark.parametrize("content_type", ["application/json", "", "multipart/mixed; boundary=xyz", "text/plain"])
def test_what_is_no_form_is_a_415_that_says_what_to_send(content_type: str) -> None:
    error = refusal(b'{"model":"m"}', content_type=content_type)

    assert (error.status, error.code) == (415, "unsupported_media_type")
    assert "multipart/form-data" in error.message


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=" + "x" * 71,
        "multipart/form-data; boundary=other",
        'multipart/form-data; boundary="a\x01b"',
    ],
)
def test_a_form_without_its_boundary_is_a_400(content_type: str) -> None:
    assert refusal(SOUND, content_type=content_type).status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--xyz",
        b'{"model":"m"}',
        SOUND.removesuffix(b"--xyz--\r\n"),
        SOUND[:-60],
        SOUND[:30],
        SOUND.replace(b"\r\n", b"\n"),
        form(part("a", b"") * (MAX_PARTS + 1)),
        form(part("a", b"") * 10_000),
        form(part("a", b"", headers=b"X: y\r\n" * 10)),
        form(part("a", b"", headers=b"X: " + b"y" * 10_000 + b"\r\n")),
        form(part("a", b"", headers=b"X" * 1_000_000)),
        form(part("a", b"", headers=b"no colon\r\n")),
        form(part("a", b"short", headers=b"Content-Length: 1000000000\r\n")),
        form(part("a", b"long", headers=b"Content-Length: 1\r\n")),
        form(part("a", b"", headers=b"Content-Length: -1\r\n")),
        form(part("", b"")),
        form(part("a" * 200, b"")),
        form(part("a%0D%0Ab", b"")),
        form(b"--xyz\r\nContent-Disposition: form-data\r\n\r\n\r\n"),
        form(b"--xyz\r\nContent-Disposition: attachment; name=a\r\n\r\n\r\n"),
        form(b"--xyz\r\nContent-Type: text/plain\r\n\r\n\r\n"),
        form(b"--xyz\r\n\xff\xfe: a\r\n\r\n\r\n"),
        form(part("file", b"", filename="../../etc/passwd")),
        form(part("file", b"", filename="..")),
        form(part("file", b"", filename="a\x00.wav")),
        form(part("file", b"", filename="..%0D%0A")),
    ],
)
def test_a_form_that_is_not_sound_is_a_400(body: bytes) -> None:
    assert (refusal(body).status, refusal(body).code) == (400, "invalid_form")


def test_folders_before_a_files_name_are_dropped() -> None:
    for name in ("C:\\music\\a.wav", "/home/me/a.wav", "music/a.wav", "a.wav"):
        assert read(form(part("file", b"", filename=name))).files("file")[0].filename == "a.wav"


def test_a_text_field_is_bounded_and_a_file_is_not() -> None:
    data = bytes(MAX_FIELD_BYTES + 1)

    assert refusal(form(part("prompt", data))).status == 413
    assert len(read(form(part("file", data, filename="f"))).files("file")[0].data) == len(data)


def test_a_gigabyte_is_refused_before_it_is_read() -> None:
    async def receive() -> Message:
        raise AssertionError("nothing is read")

    scope = {"headers": [(b"content-type", TYPE.encode()), (b"content-length", b"1000000000")]}
    with pytest.raises(GatewayError) as caught:
        asyncio.run(read_form(scope, receive, max_bytes=4_000_000))
    assert (caught.value.status, caught.value.code) == (413, "payload_too_large")


def test_a_body_that_the_client_cuts_is_no_answer() -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": SOUND[:50], "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    with pytest.raises(ClientGone):
        asyncio.run(read_form({"headers": [(b"content-type", TYPE.encode())]}, receive, max_bytes=1000))
