from __future__ import annotations

import base64
import hashlib
import hmac
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import signing
from lib.signing import Credential

PAGE = (Path(__file__).parents[1] / "docs" / "signed.md").read_text()
SECRET = b"correct-horse-battery-staple"
EMPTY_HASH = hashlib.sha256(b"").hexdigest()

VECTORS = [
    ("POST", "/v1/chat/completions", b'{"model":"auto","messages":[{"role":"user","content":"Hello"}]}'),
    ("GET", "/v1/models/org%2Fm:1?b=2&a=x+y&a=%c3%a9", b""),
]


@pytest.mark.parametrize(("method", "target", "body"), VECTORS)
def test_the_vectors_of_the_page_hold(method: str, target: str, body: bytes) -> None:
    text = signing.string_to_sign(method, target, "1767225600", hashlib.sha256(body).hexdigest())
    assert f"```\n{text.decode()}\n```" in PAGE
    credential = signing.encode(Credential("team-blue", signing.sign(SECRET, text)))
    assert f"authorization: Bearer {credential}\n" in PAGE
    assert f"`{method} {target}`" in PAGE
    assert body.decode() in PAGE


def test_the_page_names_the_window_that_is_kept() -> None:
    assert set(re.findall(r"(\d+) seconds (?:off|of the)", PAGE)) == {str(signing.MAX_SKEW_S)}


def test_the_signature_is_plain_hmac() -> None:
    assert signing.sign(SECRET, b"text") == hmac.new(SECRET, b"text", hashlib.sha256).digest()


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/v1/models", "/v1/models", ""),
        ("/v1/models?", "/v1/models", ""),
        ("/v1//models/", "/v1//models/", ""),
        ("/~user/-._", "/~user/-._", ""),
        ("/a:b@c!$&'()*+,;=d", "/a%3Ab%40c%21%24%26%27%28%29%2A%2B%2C%3B%3Dd", ""),
        ("/a%3ab", "/a%3Ab", ""),
        ("/%7Euser", "/~user", ""),
        ("/caf%C3%A9", "/caf%C3%A9", ""),
        ("/café", "/caf%C3%A9", ""),
        ("/a%2Fb", "/a/b", ""),
        ("/a%252Fb", "/a%252Fb", ""),
        ("/a%0Ab", "/a%0Ab", ""),
        ("/a%00%zz%", "/a%00%25zz%25", ""),
        ("/p?b=1&a=2", "/p", "a=2&b=1"),
        ("/p?a=10&a=9&a-=0", "/p", "a=10&a=9&a-=0"),
        ("/p?a", "/p", "a="),
        ("/p?=x&&a==b", "/p", "=x&a=%3Db"),
        ("/p?a=x+y%2B%20z", "/p", "a=x%20y%2B%20z"),
        ("/p?u=a/b?c;d", "/p", "u=a%2Fb%3Fc%3Bd"),
    ],
)
def test_path_and_query_have_one_spelling(target: str, path: str, query: str) -> None:
    text = signing.string_to_sign("get", target, "1", EMPTY_HASH)
    assert text.decode().split("\n") == ["GET", path, query, "1", EMPTY_HASH]


def test_what_a_platform_decoded_is_signed_alike() -> None:
    sent = signing.string_to_sign("GET", "/a%20b%0Ac/%C3%A9?y=%20&x", "1", EMPTY_HASH)
    assert signing.decoded_string_to_sign("GET", "/a b\nc/é", "x=&y=+", "1", EMPTY_HASH) == sent


def test_a_lone_surrogate_in_the_path_is_no_failure() -> None:
    assert b"/a%3Fb\n" in signing.decoded_string_to_sign("GET", "/a\ud800b", "", "1", EMPTY_HASH)


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_path_or_query_adds_a_line(path: str, query: str) -> None:
    text = signing.decoded_string_to_sign("POST", "/" + path, query.encode("utf-8", "replace").decode(), "1", "h")
    assert text.isascii()
    assert text.count(b"\n") == 4


@given(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True), st.binary(min_size=32, max_size=32))
def test_a_credential_survives_in_either_alphabet_with_or_without_padding(key_id: str, mac: bytes) -> None:
    standard = signing.encode(Credential(key_id, mac))
    assert standard == f"{base64.b64encode(key_id.encode()).decode()}.{base64.b64encode(mac).decode()}"
    url_safe = standard.translate(str.maketrans("+/", "-_"))
    for text in (standard, standard.replace("=", ""), url_safe, url_safe.replace("=", "")):
        assert signing.decode(text) == (key_id, mac)


GOOD = signing.encode(Credential("team-blue", bytes(32)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        GOOD[:-2],
        GOOD[:-10],
        GOOD + "=",
        GOOD + "\n",
        GOOD + ".x",
        GOOD.replace(".", ""),
        GOOD.replace(".", ".."),
        "." + GOOD.partition(".")[2],
        GOOD.replace("d", "!", 1),
        GOOD.replace("d", "é", 1),
        GOOD.replace("d", "=", 1),
        "A" + GOOD,
        "AAAAA." + GOOD.partition(".")[2],
        signing.encode(Credential("é", bytes(32))),
        signing.encode(Credential("x" * 67, bytes(32))),
        signing.encode(Credential("x", bytes(31))),
        signing.encode(Credential("x", bytes(33))),
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
    ],
)
def test_what_is_no_credential_is_none(text: str) -> None:
    assert signing.decode(GOOD) is not None
    assert signing.decode(text) is None


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("1767225600", 1_767_225_600),
        ("0", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1767225600.5", None),
        ("1e9", None),
        ("١٧٦٧٢٢٥٦٠٠", None),
        ("9" * 12, None),
        ("nan", None),
        ("2026-01-01T00:00:00Z", None),
        ("Wed, 30 Feb 2026 00:00:00 GMT", None),
        ("Thu, 01 Jan 0000 00:00:00 GMT", None),
        ("Thu, 01 Foo 2026 00:00:00 GMT", None),
        ("Thu, 01 Jan 2026 00:00:00 +0100", None),
        ("Thu, 01 Jan 2026 24:00:00 GMT", None),
    ],
)
def test_dates(date: str, expected: int | None) -> None:
    assert signing.epoch(date) == expected
