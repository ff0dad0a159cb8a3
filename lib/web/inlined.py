"""Pages in one piece: style and script stand in the page itself, and a content security policy names them by hash."""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Sequence
from pathlib import Path

from lib.web.asgi import Headers


def inlined(folder: Path, *, styles: Sequence[str], scripts: Sequence[str], allowed: str) -> tuple[bytes, Headers]:
    """`page.html` of a folder with its styles and scripts in it, and the headers that allow these and nothing else.
    allowed: further directives of the policy, such as `connect-src 'self'`."""
    html = (folder / "page.html").read_text("utf-8")
    style, script = (
        "".join((folder / name).read_text("utf-8") for name in names if name) for names in (styles, scripts)
    )
    policy = f"style-src {source_hash(style)}; script-src {source_hash(script)}; {allowed}"
    return html.replace("/*style*/", style).replace("/*script*/", script).encode(), page_headers(policy)


def page_headers(allowed: str) -> Headers:
    """The headers of a page that may do nothing but what is allowed."""
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]


def source_hash(content: str) -> str:
    """What a content security policy calls this very content by."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{binascii.b2a_base64(digest, newline=False).decode()}'"
