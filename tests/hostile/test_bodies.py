"""The rows "Multipart" and "Compression" through real sockets. How single forms are read is tested in
`tests/web/test_forms.py`."""

from __future__ import annotations

import gzip
import zlib

import msgspec
import pytest

from tests.hostile.asking import AUTHORIZED, BODIES, FORMS, Asked, error_of
from tests.web.scripted import HttpReply

MULTIPART = "multipart/form-data; boundary=xyz"
PART = b'--xyz\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n'
FILE = b'--xyz\r\ncontent-disposition: form-data; name="%b"; filename="%b"\r\n\r\n%b\r\n'
END = b"--xyz--\r\n"
SOUND = FILE % (b"file", b"a.wav", b"RIFF") + PART % (b"model", b"m")
BOMB = gzip.compress(bytes(200_000_000), 9)


def send_form(gateway: Asked, path: str, body: bytes, content_type: str = MULTIPART, **headers: str) -> HttpReply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.send("POST", path, body, {**AUTHORIZED, "content-type": content_type, **named})


FORMS_REFUSED: dict[str, tuple[bytes, str]] = {
    "no boundary": (SOUND + END, "multipart/form-data"),
    "empty boundary": (SOUND + END, "multipart/form-data; boundary="),
    "endless boundary": (SOUND + END, f"multipart/form-data; boundary={'x' * 5000}"),
    "another boundary": (SOUND + END, "multipart/form-data; boundary=abc"),
    "boundary with line ends": (SOUND + END, 'multipart/form-data; boundary="a\tb"'),
    "10,000 parts": (SOUND + PART % (b"a", b"b") * 10_000 + END, MULTIPART),
    "no end": (SOUND, MULTIPART),
    "cut in a header": (SOUND[:40], MULTIPART),
    "nothing": (b"", MULTIPART),
    "no parts": (END, MULTIPART),
    "traversal": (FILE % (b"file", b"../../etc/passwd", b"x") + PART % (b"model", b"m") + END, MULTIPART),
    "traversal, the other way": (FILE % (b"file", b"..\\..\\x", b"x") + PART % (b"model", b"m") + END, MULTIPART),
    "NUL in the name": (FILE % (b"file", b"a\x00.wav", b"x") + END, MULTIPART),
    "endless name": (FILE % (b"file" * 5000, b"a", b"x") + END, MULTIPART),
    "no name": (b"--xyz\r\ncontent-disposition: form-data\r\n\r\nx\r\n" + END, MULTIPART),
    "many headers": (b"--xyz\r\n" + b"a: b\r\n" * 1000 + b"\r\nx\r\n" + END, MULTIPART),
    "nested": (SOUND + END, "multipart/mixed; boundary=xyz"),
    "model twice": (SOUND + PART % (b"model", b"n") + END, MULTIPART),
    "a text as the file": (PART % (b"file", b"x") + PART % (b"model", b"m") + END, MULTIPART),
    "model is no UTF-8": (FILE % (b"file", b"a", b"x") + PART % (b"model", b"\xff") + END, MULTIPART),
}


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("how", FORMS_REFUSED)
def test_broken_forms_are_refused(gateway: Asked, path: str, how: str) -> None:
    answer = send_form(gateway, path, *FORMS_REFUSED[how])
    assert answer.status in (400, 413, 415)
    assert error_of(path, answer)["message"].isprintable()


@pytest.mark.parametrize("path", FORMS[:2])
def test_recordings_need_a_file(gateway: Asked, path: str) -> None:
    answer = send_form(gateway, path, PART % (b"model", b"m") + END)
    assert error_of(path, answer)["param"] == "file"
    assert gateway.refused(path, {"model": "m"}, status=415)["code"] == "unsupported_media_type"


def test_edits_need_pictures_and_not_too_many(gateway: Asked) -> None:
    prompt = PART % (b"prompt", b"A cat")
    answer = send_form(gateway, "/v1/images/edits", prompt + END)
    assert error_of("", answer)["param"] == "image"
    many = prompt + FILE % (b"image[]", b"a.png", b"\x89PNG\r\n\x1a\n") * 40 + END
    assert error_of("", send_form(gateway, "/v1/images/edits", many))["param"].startswith("image")


@pytest.mark.parametrize("path", [*BODIES, *FORMS])
def test_a_declared_length_of_a_gigabyte_is_refused_before_it_is_sent(gateway: Asked, path: str) -> None:
    kind = MULTIPART if path in FORMS else "application/json"
    lines = [f"POST {path} HTTP/1.1", "host: a", "connection: close", f"content-type: {kind}"]
    lines += [f"{name}: {value}" for name, value in AUTHORIZED.items()]
    answer = gateway.send_raw("\r\n".join([*lines, "content-length: 1000000000", "", ""]).encode())
    assert answer.status == 413
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "5, 5", "٣", "99999999999999999999999999"])
def test_lengths_that_are_none_are_refused(gateway: Asked, length: str) -> None:
    head = "POST /v1/embeddings HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
    head += f"authorization: {AUTHORIZED['authorization']}\r\ncontent-length: "
    assert gateway.send_raw(head.encode() + length.encode() + b"\r\n\r\n{}").status in (400, 413)


@pytest.mark.parametrize("path", BODIES)
def test_json_endpoints_take_no_form(gateway: Asked, path: str) -> None:
    if path == "/v1/images/edits":
        return  # takes both
    assert send_form(gateway, path, SOUND + END).status == 415


@pytest.mark.parametrize("path", [*BODIES, *FORMS[:2]])
@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "gzip,br", "x" * 1000, "*"])
def test_unknown_encodings_are_a_415(gateway: Asked, path: str, encoding: str) -> None:
    kind = MULTIPART if path in FORMS else "application/json"
    headers = {**AUTHORIZED, "content-type": kind, "content-encoding": encoding}
    answer = gateway.send("POST", path, b"{}", headers)
    assert answer.status == 415
    assert path.startswith("/v1/messages") or error_of(path, answer)["code"] == "unsupported_encoding"


@pytest.mark.parametrize("path", [*BODIES, *FORMS[:2]])
def test_a_bomb_ends_at_the_limit(gateway: Asked, path: str) -> None:
    kind = MULTIPART if path in FORMS else "application/json"
    for encoding, bomb in (("gzip", BOMB), ("deflate", zlib.compress(bytes(100_000_000)))):
        headers = {**AUTHORIZED, "content-type": kind, "content-encoding": encoding}
        assert gateway.send("POST", path, bomb, headers).status == 413


@pytest.mark.parametrize("path", BODIES)
def test_what_is_not_what_its_encoding_says_is_refused(gateway: Asked, path: str) -> None:
    good = msgspec.json.encode(BODIES[path])
    packed = gzip.compress(good)
    for encoding, body in (("gzip", good), ("gzip", packed[:-5]), ("deflate", packed[10:]), ("gzip", packed + b"x")):
        answer = gateway.send("POST", path, body, {**AUTHORIZED, "content-encoding": encoding})
        assert answer.status == 400
        error_of(path, answer)
    assert gateway.send("POST", path, packed, {**AUTHORIZED, "content-encoding": "gzip"}).status == 200
