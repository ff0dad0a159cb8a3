"""Which image URLs pass, by their letters alone."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest

from lib.dialects.image_urls import MAX_URL_LENGTH, check_image_url, check_web_url
from lib.errors import InvalidRequest

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


@pytest.mark.parametrize(
    "url",
    [
        "https://pictures.example.org/a.png?size=1&x=[2]",
        "http://EXAMPLE.org",
        "HTTPS://example.org:443/a",
        "http://example.org:80/",
        "http://example.org./",
        "http://xn--bcher-kva.example/a",
        "http://8.8.8.8/a.png",
        "http://[2606:4700::1111]/a",
        f"data:image/png;base64,{PIXEL}",
        f"DATA:image/JPEG;base64,{PIXEL}",
        f"data:image/gif;base64,{PIXEL}",
        f"data:image/webp;base64,{PIXEL}",
    ],
)
def test_picture_passes(url: str) -> None:
    check_image_url(url, "p")


@pytest.mark.parametrize(
    "url",
    [
        "",
        None,
        5,
        {"url": "https://example.org"},
        "file:///etc/passwd",
        "/etc/passwd",
        "a.png",
        "gopher://example.org/",
        "ftp://example.org/a.png",
        "javascript:alert(1)",
        "//example.org/a.png",
        "https:/example.org",
        "https://",
        "https:///a",
        "http://[",
        "http://]/",
    ],
)
def test_what_is_no_picture_url_is_refused(url: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_image_url(url, "messages[0].content[1].image_url")
    assert caught.value.param == "messages[0].content[1].image_url"


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "printer.local",
        "metadata.google.internal",
        "intranet",
        "0.0.0.0",
        "0",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "999.1.1.1",
        "1.2.3.4.5",
        "08.1.1.1",
        "127.0.0.1.",
        "1.2.3.4_5",
        "example..org",
        ".example.org",
        "127\u30020\u30020\u30021",
        "１２７.0.0.1",
        "%31%32%37.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:8.8.8.8]",
        "[::127.0.0.1]",
        "[fe80::1]",
        "[fe80::1%25eth0]",
        "[fc00::1]",
        "[ff02::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[::1].example.org",
        "[v1.a]",
        "user@example.org",
        "user:secret@example.org",
        "example.org@127.0.0.1",
        "example.org\\@127.0.0.1",
        "example.org:22",
        "example.org:8080",
        "example.org:0",
        "example.org:http",
        "example.org:99999",
        "exam ple.org",
        "example.org\r\nhost: x",
    ],
)
def test_host_that_is_not_public_is_refused(host: str) -> None:
    with pytest.raises(InvalidRequest):
        check_web_url(f"http://{host}/", "p")


def test_what_stands_behind_the_host_is_not_judged() -> None:
    check_web_url("http://example.org#@127.0.0.1:22/", "p")
    check_web_url("http://example.org/?next=http://127.0.0.1/", "p")


@pytest.mark.parametrize(
    "url",
    [
        f"data:text/html;base64,{PIXEL}",
        f"data:image/svg+xml;base64,{PIXEL}",
        f"data:image/png,{PIXEL}",
        f"data:;base64,{PIXEL}",
        "data:image/png;base64,",
        "data:image/png;base64,====",
        "data:image/png;base64,a",
        "data:image/png;base64,!!!!",
        "data:image/png;base64,iVBO\nRw0K",
        "data:image/png;base64,é",
        "data:",
    ],
)
def test_data_url_that_is_no_picture_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_image_url(url, "p")


def test_data_url_is_no_web_url() -> None:
    with pytest.raises(InvalidRequest, match="neither http nor https"):
        check_web_url(f"data:image/png;base64,{PIXEL}", "p")


def test_long_web_url_is_refused_and_not_echoed() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_image_url("https://example.org/" + "x" * MAX_URL_LENGTH, "p")
    assert len(caught.value.message) < 300


def test_large_picture_is_checked_fast() -> None:
    url = "data:image/png;base64," + base64.b64encode(bytes(4 << 20)).decode()
    started = time.perf_counter()
    check_image_url(url, "p")
    assert time.perf_counter() - started < 2
