"""Pages for people: the landing page, and the documentation. Nothing on them comes from the settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from lib.web.asgi import Headers, Receive, Scope, Send, send_whole
from lib.web.inlined import inlined, page_headers, source_hash
from lib.web.paths import Endpoint

_STYLE = "body{font:1em/1.5 system-ui,sans-serif;max-width:38em;margin:4em auto;padding:0 1em}"
_LANDING = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>chat2api</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>chat2api</h1>
<p>This is a gateway that speaks the OpenAI API. It is meant for programs, and it needs a key.</p>
<p>Point a client at this address with <code>/v1</code> behind it. The endpoints are described in
<a href="/docs">the documentation</a>.</p>
</body>
</html>
""".encode()

_DOCS = Path(__file__).with_name("docs")


async def landing(scope: Scope, receive: Receive, send: Send) -> None:
    """GET /: says what this is, and nothing about how it is set up."""
    await send_whole(send, 200, _LANDING, page_headers(f"style-src {source_hash(_STYLE)}"))


class Documentation:
    """GET /docs and /openapi.json, made from the same table that requests are dispatched by.

    The page and the document are each made with the first request for them: few processes ever show them.
    """

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = endpoints
        self._document = b""
        self._page = b""
        self._page_headers: Headers = []

    async def page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /docs: one page with all that it needs in it. It asks this gateway alone, for the document and, when
        somebody tries an endpoint out, for that."""
        if not self._page:
            allowed = "connect-src 'self'; img-src data:; media-src blob:"
            self._page, self._page_headers = inlined(_DOCS, styles=("page.css",), scripts=("page.js",), allowed=allowed)
        await send_whole(send, 200, self._page, self._page_headers)

    async def document(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /openapi.json"""
        if not self._document:
            from lib.web.openapi import document

            self._document = msgspec.json.encode(document(self._endpoints))
        await send_whole(send, 200, self._document, [(b"content-type", b"application/json")])
