"""Bytes of pages as text."""

from __future__ import annotations

import time

import pytest

from lib.reading.charset import decode


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("größe".encode(), None, "größe"),
        ("größe".encode(), "UTF-8", "größe"),
        ("größe €".encode("cp1252"), "iso-8859-1", "größe €"),
        ("größe €".encode("cp1252"), "Windows-1252", "größe €"),
        ("日本".encode("shift_jis"), "Shift_JIS", "日本"),
        ("日本".encode("euc-jp"), "euc-jp", "日本"),
        ("中文".encode("gbk"), "gb2312", "中文"),
        ("中文".encode("big5"), "Big5", "中文"),
        ("한국".encode("euc-kr"), "euc-kr", "한국"),
        ("привет".encode("koi8-r"), "koi8-r", "привет"),
        ("привет".encode("cp1251"), "windows-1251", "привет"),
        ("γεια".encode("iso8859-7"), "iso-8859-7", "γεια"),
        ("größe".encode("utf-16-le"), "utf-16le", "größe"),
        (b"\xef\xbb\xbf" + "größe".encode(), "iso-8859-1", "größe"),
        ("größe".encode("utf-16"), None, "größe"),
        (b"<meta charset=windows-1251>" + "да".encode("cp1251"), None, "<meta charset=windows-1251>да"),
        (b"<meta charset=windows-1251>" + "да".encode(), "utf-8", "<meta charset=windows-1251>да"),
        (b"<META http-equiv=a content='text/html; charset=gbk'>" + "中".encode("gbk"), None, None),
        (b'<?xml version="1.0" encoding="iso-8859-15"?>\xa4', None, '<?xml version="1.0" encoding="iso-8859-15"?>€'),
        ("<meta charset=utf-16>ö".encode(), None, "<meta charset=utf-16>ö"),
        (b"\xff\xfe\xfd"[1:], "utf-8", "\ufffd\ufffd"),
        (b"abc", "no-such-charset", "abc"),
        (b"abc", "hex", "abc"),
        (b"abc-", "punycode", "abc-"),
        (b"", None, ""),
    ],
)
def test_text_of_bytes(data: bytes, charset: str | None, text: str | None) -> None:
    found = decode(data, charset)
    assert found == text if text is not None else found.endswith("中")


@pytest.mark.parametrize("label", ["cp874", *range(1250, 1259), *range(2, 12), *range(13, 17), "gbk", "big5", "euc-kr"])
def test_every_label_names_a_codec(label: str | int) -> None:
    name = label if isinstance(label, str) else f"windows-{label}" if label > 100 else f"iso-8859-{label}"
    assert decode(b"abc", name) == "abc"


@pytest.mark.parametrize(
    "data", [b"<meta " * 400_000, b"<meta charset=" * 200_000, b"<?xml " * 400_000, b"\xff" * 2_000_000]
)
def test_hostile_bytes_take_no_time(data: bytes) -> None:
    begun = time.monotonic()
    decode(data, None)
    assert time.monotonic() - begun < 0.5
