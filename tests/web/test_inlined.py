from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from lib.web.inlined import inlined


def test_the_policy_allows_the_parts_in_their_order_and_nothing_else(tmp_path: Path) -> None:
    parts = {"page.html": "<style>/*style*/</style><script>/*script*/</script>", "a.js": "let a;", "b.js": "let b;"}
    for name, content in {**parts, "a.css": "p {}"}.items():
        (tmp_path / name).write_text(content)
    page, headers = inlined(tmp_path, styles=("a.css",), scripts=("a.js", "b.js"), allowed="connect-src 'self'")
    assert page == b"<style>p {}</style><script>let a;let b;</script>"
    style, script = (base64.b64encode(hashlib.sha256(part).digest()).decode() for part in (b"p {}", b"let a;let b;"))
    assert dict(headers)[b"content-security-policy"].decode() == (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
