"""Which URLs the gateway itself may fetch, and which addresses it may connect to.

The rules are stricter than a browser's, because the URL comes from a caller and the request leaves from inside the
operator's network: what is not clearly a public web server is refused. Names are judged here by their letters, and
what they resolve to by `is_public`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from string import ascii_lowercase, digits
from urllib.parse import quote, urlsplit

from lib.errors import InvalidRequest

_MAX_URL = 8192
_PORTS = {"http": 80, "https": 443}
_UNSAFE = frozenset(map(chr, (*range(0x21), *range(0x7F, 0xA1), 0x2028, 0x2029))) | {"\\"}
_HOST_CHARS = frozenset(ascii_lowercase + digits + "_-.")
_LOCAL_SUFFIXES = (".localhost", ".local", ".localdomain", ".internal", ".intranet", ".lan", ".home.arpa", ".corp")
_BRACKETED = re.compile(r"\[[^\[\]]*\](?::\d*)?")
_IN_PATH = "/:@!$&'()*+,;=~%"
_NOT_PUBLIC = "its host was not found or is not a public one"

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_METADATA = ipaddress.IPv4Address("168.63.129.16")
"""Azure's platform service: a public number that is answered inside its machines."""


def not_fetched(reason: str) -> InvalidRequest:
    """`reason`: a clause without a full stop; it names no address but the one that the caller wrote."""
    return InvalidRequest(f"The URL could not be fetched: {reason}.", code="url_not_fetched")


def not_public() -> InvalidRequest:
    """The same for names that do not exist and names of private addresses, so that nobody can tell them apart."""
    return not_fetched(_NOT_PUBLIC)


@dataclass(frozen=True, slots=True)
class Target:
    """Where one HTTP request goes."""

    scheme: str
    host: str
    """A name in ASCII and lower case, or an address; IPv6 without brackets."""
    port: int
    path: str
    """With the query, in ASCII; begins with a slash."""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def parse(url: str) -> Target:
    """The one reading of a URL that everything else goes by. Raises InvalidRequest for what may not be fetched."""
    if len(url) > _MAX_URL:
        raise not_fetched(f"it is longer than {_MAX_URL} characters")
    if not _UNSAFE.isdisjoint(url):
        raise not_fetched("it holds white space, control characters or a backslash")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        path = quote(parts.path or "/", safe=_IN_PATH)
        query = f"?{quote(parts.query, safe=_IN_PATH + '?')}" if parts.query else ""
    except ValueError as error:
        raise not_fetched("it is not well-formed") from error
    if parts.scheme not in _PORTS:
        raise not_fetched("its scheme is neither http nor https")
    if "@" in parts.netloc:
        raise not_fetched("it holds a user name")
    if port is not None and port not in _PORTS.values():
        raise not_fetched("its port is not 80 or 443")
    if "[" in parts.netloc and not _BRACKETED.fullmatch(parts.netloc):
        raise not_fetched("it is not well-formed")  # the standard library reads past what stands beside the brackets
    name = _address(host or "") if "[" in parts.netloc else _name(host or "")
    return Target(parts.scheme, name, port or _PORTS[parts.scheme], path + query)


def is_public(address: str) -> bool:
    """Whether this is the address of a machine on the public internet, in the notation of `getaddrinfo`."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv4Address):
        return _is_public_v4(found)
    if found.scope_id is not None:
        return False
    if found in _NAT64:  # how a network that is IPv6 only reaches the rest; it leads to the IPv4 address inside
        return _is_public_v4(ipaddress.IPv4Address(found.packed[-4:]))
    # Mapped and compatible addresses lie outside of global unicast; 6to4 and Teredo carry an IPv4 address inside it,
    # and no web server needs them.
    is_tunnel = found.sixtofour is not None or found.teredo is not None
    return found in _GLOBAL_UNICAST and found.is_global and not found.is_multicast and not is_tunnel


def _is_public_v4(address: ipaddress.IPv4Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved and address != _METADATA


def _address(host: str) -> str:
    if not is_public(host):
        raise not_public()
    return host


def _name(host: str) -> str:
    if not host.isascii():
        host = _ascii(host)
    host = host.removesuffix(".")
    labels = host.split(".")
    if len(host) > 253 or not all(0 < len(label) < 64 for label in labels) or not _HOST_CHARS.issuperset(host):
        raise not_public()
    if labels[-1][0].isdigit():
        # What ends in a number is an address, which resolvers read in many notations: only the plain one passes.
        return _address(host)
    if len(labels) == 1 or host.endswith(_LOCAL_SUFFIXES):
        raise not_public()
    return host


def _ascii(host: str) -> str:
    import idna  # its tables take 6 ms, and few names need them

    try:
        return idna.encode(host, uts46=True).decode("ascii").lower()
    except UnicodeError as error:  # idna's own errors are of this kind, too
        raise not_public() from error
