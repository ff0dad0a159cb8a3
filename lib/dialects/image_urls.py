"""Which image URLs a client may hand in: pictures as data URLs, and public http(s) addresses.

The gateway never fetches a picture. A data URL travels as it is; an http(s) URL is fetched by the upstream. What can
only be a mistake or an attempt to reach a private network is refused here by its letters alone, without a look-up in
the DNS: other schemes, other media types, broken base64, private and link-local addresses in any notation, names
that only exist inside a network, credentials, and ports that are not a web server's.
"""

from __future__ import annotations

import binascii
import ipaddress
from string import ascii_lowercase, digits
from typing import Any
from urllib.parse import urlsplit

from lib.errors import InvalidRequest

MAX_URL_LENGTH = 8192
"""For http(s) URLs; a data URL is bounded by the body that it came in."""

_DATA_HEADS = tuple(f"data:image/{kind};base64," for kind in ("png", "jpeg", "jpg", "gif", "webp"))
_LONGEST_HEAD = max(map(len, _DATA_HEADS))
_UNSAFE = frozenset(map(chr, (*range(0x21), *range(0x7F, 0xA1), 0x2028, 0x2029))) | {"\\"}
_HOST_CHARS = frozenset(ascii_lowercase + digits + "_-.")
_WEB = ("http://", "https://")
_PORTS = frozenset({None, 80, 443})
_LOCAL_SUFFIXES = (".localhost", ".local", ".localdomain", ".internal", ".intranet", ".lan", ".home.arpa", ".corp")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


def check_image_url(url: Any, param: str) -> None:
    """Raises InvalidRequest for `param` unless `url` is a picture's data URL or a public http(s) URL."""
    if type(url) is not str:
        raise _refused(param, "it is not a string", code="invalid_type")
    if not url:
        raise _refused(param, "it is empty")
    if url[:5].lower() == "data:":
        _check_data(url, param)
    elif url[:8].lower().startswith(_WEB):
        check_web_url(url, param)
    else:
        raise _refused(param, "its scheme is neither http, https nor data")


def _check_data(url: str, param: str) -> None:
    if not url[:_LONGEST_HEAD].lower().startswith(_DATA_HEADS):
        raise _refused(param, "a data URL must begin with data:image/png, jpeg, gif or webp, then ;base64,")
    try:
        picture = binascii.a2b_base64(url[url.index(",") + 1 :], strict_mode=True)
    except ValueError as error:  # binascii.Error is one, and so is a character outside ASCII
        raise _refused(param, "its data is not valid base64") from error
    if not picture:
        raise _refused(param, "its data is empty")


def check_web_url(url: str, param: str) -> None:
    """Raises InvalidRequest for `param` unless `url` is a public http(s) URL; for whatever an upstream may fetch."""
    if not url[:8].lower().startswith(_WEB):
        raise _refused(param, "its scheme is neither http nor https")
    if len(url) > MAX_URL_LENGTH:
        raise _refused(param, f"it is longer than {MAX_URL_LENGTH} characters")
    if not _UNSAFE.isdisjoint(url):
        raise _refused(param, "it holds white space, control characters or a backslash")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _refused(param, "it is not a well-formed URL") from error
    if "@" in parts.netloc:
        raise _refused(param, "it holds a user name")
    if port not in _PORTS:
        raise _refused(param, "its port is not 80 or 443")
    if not host or not _is_public("[" in parts.netloc, host):
        raise _refused(param, "its host is not a public one")


def _is_public(bracketed: bool, host: str) -> bool:
    if bracketed:
        return _is_public_v6(host)
    host = host.removesuffix(".")
    labels = host.split(".")
    if len(host) > 253 or not all(labels) or not _HOST_CHARS.issuperset(host):
        return False
    if labels[-1][0].isdigit():  # what ends in a number is an address, in one of its many notations
        address = _v4(labels)
        return address is not None and address.is_global and not address.is_multicast
    return len(labels) > 1 and not host.endswith(_LOCAL_SUFFIXES)


def _is_public_v6(host: str) -> bool:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return False
    # Mapped, compatible and NAT64 addresses lie outside of global unicast; 6to4 and Teredo carry an IPv4 inside it.
    return address in _GLOBAL_UNICAST and address.is_global and address.sixtofour is None and address.teredo is None


def _v4(labels: list[str]) -> ipaddress.IPv4Address | None:
    """An IPv4 address as resolvers read it: one to four numbers, decimal, octal or hexadecimal, the last one filling
    the bytes that are left."""
    if len(labels) > 4 or any(len(label) > 16 for label in labels):
        return None
    try:
        numbers = [_integer(label) for label in labels]
    except ValueError:
        return None
    *leading, last = numbers
    if any(each > 255 for each in leading) or last >= 256 ** (4 - len(leading)):
        return None
    value = last
    for place, each in enumerate(leading):
        value += each << 8 * (3 - place)
    return ipaddress.IPv4Address(value)


def _integer(label: str) -> int:
    """Raises ValueError."""
    if "_" in label or "-" in label:  # which Python would take
        raise ValueError
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    return int(label, 8 if label[0] == "0" else 10)


def _refused(param: str, reason: str, *, code: str = "invalid_url") -> InvalidRequest:
    return InvalidRequest(
        f"Invalid URL in '{param}': {reason}. Send a public http(s) URL, or for a picture a data URL of a PNG, JPEG, "
        "GIF or WebP in base64.",
        param=param,
        code=code,
    )
