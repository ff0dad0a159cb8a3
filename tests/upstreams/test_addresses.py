"""Which URLs may be fetched, by their letters, and which addresses are public."""

from __future__ import annotations

import pytest

from lib.errors import InvalidRequest
from lib.upstreams.addresses import is_public, parse


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("http://example.org", "http://example.org/"),
        ("HTTPS://EXAMPLE.org:443/A?b=C#d", "https://example.org/A?b=C"),
        ("http://example.org.:80/a", "http://example.org/a"),
        ("http://example.org:443/", "http://example.org:443/"),
        ("http://example.org:/", "http://example.org/"),
        ("https://bücher.example/größe?ä=ß", "https://xn--bcher-kva.example/gr%C3%B6%C3%9Fe?%C3%A4=%C3%9F"),
        ("https://example.org/a%20b/(c)[d]?e=%2F&f=g/h?i", "https://example.org/a%20b/(c)%5Bd%5D?e=%2F&f=g/h?i"),
        ("https://a_b.example.org/@name", "https://a_b.example.org/@name"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
        ("http://[2606:4700::1111]:443/a", "http://[2606:4700::1111]:443/a"),
    ],
)
def test_public_web_url_is_read(url: str, read: str) -> None:
    assert parse(url).url == read


REFUSED = [
    "",
    "example.org",
    "//example.org/",
    "/etc/passwd",
    "file:///etc/passwd",
    "gopher://example.org/",
    "ftp://example.org/",
    "data:text/html,hello",
    "javascript:alert(1)",
    "http:example.org",
    "http://",
    "http:///path",
    "http://:80/",
    "http://./",
    "http://example..org/",
    "http://" + "a" * 64 + ".org/",
    "http://" + "a." * 130 + "org/",
    "https://example.org/" + "a" * 8192,
    "http://user@example.org/",
    "http://user:word@example.org/",
    "http://example.org@127.0.0.1/",
    "http://@example.org/",
    "http://example.org:8080/",
    "http://example.org:22/",
    "http://example.org:0/",
    "http://example.org:65536/",
    "http://example.org:+80/",
    "http://example.org:80:80/",
    "http://example.org\\@127.0.0.1/",
    "http://example.org/\r\nhost: x",
    "http://example.org/ a",
    "\thttp://example.org/",
    "http://exa\0mple.org/",
    "http://example.org/\u2028",
    "http://ex%61mple.org/",
    "http://%6c%6f%63%61%6c/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://printer/",
    "http://a.localhost/",
    "http://metadata.google.internal/",
    "http://router.lan/",
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://134744072/",  # 8.8.8.8 as one number: no browser's user writes that
    "http://8.8.8.8.8/",
    "http://08.8.8.8/",
    "http://a.1/",
    "http://0.0.0.0/",
    "http://0/",
    "http://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1/",
    "http://127。0。0。1/",
    "http://①②⑦.0.0.1/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:8.8.8.8]/",
    "http://[fe80::1%25eth0]/",
    "http://[2606:4700::1111%251]/",
    "http://[fd00:ec2::254]/",
    "http://[2606:4700::1111].evil.example/",
    "http://evil.example[2606:4700::1111]/",
    "http://[2606:4700::1111/",
    "http://[127.0.0.1]/",
    "http://[v1.a]/",
    "http://\ud800.example/",
    "http://example.org/\ud800",
    "http://xn--\xfc.example/",
]


@pytest.mark.parametrize("url", REFUSED)
def test_other_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(url)
    assert caught.value.code == "url_not_fetched"
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001:81b::200e", "64:ff9b::8.8.8.8"],
)
def test_public_address(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "example.org",
        "127.1",
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "192.0.2.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::8.8.8.8",
        "2002:7f00:1::",
        "2002:808:808::",
        "2001:0:808:808::",
        "2001:db8::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1111%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_address_that_is_not_public(address: str) -> None:
    assert not is_public(address)
