"""Forms and bodies that mean harm, through whole gateways: a refusal in OpenAI's words within a second."""

from __future__ import annotations

import contextlib
import gzip
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.journeys.compatible import Compatible, Start, compatible
from tests.journeys.gateway import KEY, Host

FORMS = ("/v1/images/edits", "/v1/audio/transcriptions", "/v1/audio/translations")
BODIES = (*FORMS, "/v1/audio/speech", "/v1/embeddings", "/v1/moderations", "/v1/completions", "/v1/images/generations")
BOUNDARY = "simple-boundary"
KIND = f"multipart/form-data; boundary={BOUNDARY}"


def part(name: str, content: bytes, *, filename: str | None = None, extra: str = "") -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n{extra}\r\n'
    return head.encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
MODEL, PROMPT = part("model", b"m"), part("prompt", b"p")
FILE = part("file", b"x" * 50, filename="a.wav") + part("image", b"\x89PNG\r\n\x1a\n", filename="a.png")

HOSTILE: dict[str, tuple[str, bytes]] = {
    "no boundary": ("multipart/form-data", MODEL + FILE + END),
    "empty boundary": ("multipart/form-data; boundary=", MODEL + FILE + END),
    "other boundary": ("multipart/form-data; boundary=other", MODEL + FILE + END),
    "long boundary": (f"multipart/form-data; boundary={'b' * 5000}", MODEL + FILE + END),
    "odd boundary": ('multipart/form-data; boundary="a\\r\\nx: y"', MODEL + FILE + END),
    "10,000 parts": (KIND, MODEL + part("a", b"1") * 10_000 + FILE + END),
    "10,000 files": (KIND, MODEL + FILE * 5_000 + END),
    "traversal": (
        KIND,
        MODEL + part("file", b"x", filename="../../etc/passwd") + part("image", b"x", filename="../a") + END,
    ),
    "windows traversal": (
        KIND,
        MODEL + part("file", b"x", filename="..\\a") + part("image", b"x", filename="..\\a") + END,
    ),
    "NUL in name": (
        KIND,
        MODEL + part("file", b"x", filename="a\x00.wav") + part("image", b"x", filename="\x00") + END,
    ),
    "no file": (KIND, MODEL + PROMPT + END),
    "file as text": (KIND, MODEL + part("file", b"x") + part("image", b"x") + END),
    "nothing": (KIND, b""),
    "end alone": (KIND, END),
    "no end": (KIND, MODEL + FILE),
    "cut": (KIND, (MODEL + FILE + END)[:-40]),
    "long header": (KIND, MODEL + part("file", b"x", filename="a", extra="X-A: " + "a" * 100_000 + "\r\n") + END),
    "many headers": (KIND, MODEL + part("file", b"x", filename="a", extra="X-A: b\r\n" * 1000) + END),
    "long name": (KIND, part("n" * 100_000, b"x") + MODEL + FILE + END),
    "two models": (KIND, MODEL + MODEL + FILE + END),
    "no UTF-8": (KIND, part("model", b"\xff\xfe") + FILE + END),
    "huge field": (KIND, part("model", b"m" * 2_000_000) + FILE + END),
    "mixed": ("multipart/mixed; boundary=" + BOUNDARY, MODEL + FILE + END),
    "json": ("application/json", b'{"model":"m","file":"x","image":"x"}'),
    "not a form": (KIND, b"\x00" * 100_000),
    "boundaries": (KIND, f"--{BOUNDARY}\r\n".encode() * 20_000),
}


@pytest.fixture(scope="module", params=["demo", "openai"])
def gateway(request: pytest.FixtureRequest, host: Host, http: httpx.Client) -> Iterator[Compatible]:
    demo: dict[str, Any] = {"openai_api_key": "", "openai_base_url": ""}
    with compatible(host, http, **(demo if request.param == "demo" else {})) as found:
        yield found


def assert_refused(answer: httpx.Response, begun: float, *statuses: int) -> None:
    assert time.monotonic() - begun < 1
    assert answer.status_code in (statuses or (400, 413, 415)), answer.text[:500]
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["type"] == "invalid_request_error"
    assert len(answer.text) < 1500
    assert answer.headers["x-should-retry"] == "false" and answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_forms_are_refused(gateway: Compatible, path: str, name: str) -> None:
    kind, content = HOSTILE[name]
    begun, before = time.monotonic(), len(gateway.backend.requests)
    answer = gateway.send("POST", path, content=content, headers={"content-type": kind})
    assert_refused(answer, begun)
    assert len(gateway.backend.requests) == before, "it reached the upstream"


@pytest.mark.parametrize("path", FORMS)
def test_a_declared_gigabyte_is_refused_before_it_comes(gateway: Compatible, path: str) -> None:
    url = urlsplit(gateway.url)
    begun = time.monotonic()
    with socket.create_connection((url.hostname, url.port), timeout=2) as sock:
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: {KIND}\r\n"
        sock.sendall(head.encode() + b"content-length: 1073741824\r\n\r\n" + MODEL)
        answer = sock.recv(65536)
    assert b" 413 " in answer.split(b"\r\n")[0] and time.monotonic() - begun < 1


@pytest.mark.parametrize("path", FORMS)
def test_a_length_that_is_too_long_is_a_client_that_left(gateway: Compatible, path: str) -> None:
    url = urlsplit(gateway.url)
    with socket.create_connection((url.hostname, url.port), timeout=2) as sock:
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: {KIND}\r\n"
        sock.sendall(head.encode() + b"content-length: 5000\r\n\r\n" + MODEL)
    time.sleep(0.05)
    assert gateway.send("GET", "/ping").status_code == 200


@pytest.mark.parametrize("path", BODIES)
def test_a_bomb_does_not_go_off(gateway: Compatible, path: str) -> None:
    bomb = gzip.compress(b"\0" * 200_000_000, 1) if path == BODIES[0] else _SMALL_BOMB
    kind = KIND if path in FORMS else "application/json"
    begun = time.monotonic()
    answer = gateway.send("POST", path, content=bomb, headers={"content-type": kind, "content-encoding": "gzip"})
    assert_refused(answer, begun, 413)


_SMALL_BOMB = gzip.compress(b"\0" * 40_000_000, 1)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(("encoding", "status"), [("br", 415), ("zstd", 415), ("gzip, gzip", 415), ("gzip", 400)])
def test_other_encodings_and_what_is_none(gateway: Compatible, path: str, encoding: str, status: int) -> None:
    kind = KIND if path in FORMS else "application/json"
    begun = time.monotonic()
    answer = gateway.send("POST", path, content=b"{}", headers={"content-type": kind, "content-encoding": encoding})
    assert_refused(answer, begun, status)


@pytest.mark.parametrize("path", [path for path in BODIES if path not in FORMS])
@pytest.mark.parametrize(
    "content",
    [
        b"[" * 10_000 + b"]" * 10_000,
        b'{"model":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"model":NaN,"input":"x"}',
        b'{"model":"m","input":{"a":1e400}}x',
        '{"model":"m"}'.encode("utf-16"),
        b'{"model":"m","input":"\xff"}',
        b'{"model":["m"],"input":"x","prompt":"x"}',
        b'{"model":{},"input":"x","prompt":"x"}',
    ],
)
def test_hostile_json_is_refused(gateway: Compatible, path: str, content: bytes) -> None:
    begun = time.monotonic()
    assert_refused(gateway.send("POST", path, content=content), begun)


def test_a_form_may_come_compressed(gateway: Compatible) -> None:
    content = gzip.compress(MODEL + FILE + END)
    headers = {"content-type": KIND, "content-encoding": "gzip"}
    answer = gateway.send("POST", "/v1/audio/transcriptions", content=content, headers=headers)
    if gateway.backend.requests:  # strict about the second file, which OpenAI does not know
        assert gateway.backend.requests[-1].body == MODEL + FILE + END
    else:
        assert answer.status_code in (200, 400), answer.text


def test_a_model_with_line_ends_splits_no_form_and_no_header(start: Start) -> None:
    gateway = start(model_map="*=renamed")
    content = part("model", b"a\r\nx-evil: 1") + part("file", b"x", filename="a.wav") + END
    answer = gateway.send("POST", "/v1/audio/transcriptions", content=content, headers={"content-type": KIND})
    assert answer.status_code == 200 and "x-evil" not in answer.headers
    assert b"x-evil" not in gateway.backend.requests[-1].body


@pytest.fixture
def start(host: Host, http: httpx.Client) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(compatible(host, http, **settings))
