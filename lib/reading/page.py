"""What a page says, without what surrounds it: bytes → text with headings and list items on lines of their own.

The parser is fast C and lets other threads run, but two of its costs grow with the square of the input: the nesting of
elements and the attributes of one tag. A megabyte of `<div>` would take it four minutes. It is given a document
without attributes and with a bounded number of tags, for which it takes a fifth of a second at worst.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lib.canonical.fetched import Fetched
from lib.reading.charset import decode

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

HTML = frozenset({"text/html", "application/xhtml+xml"})
PAGES = HTML | {
    "text/plain",
    "text/markdown",
    "text/x-markdown",
    "text/xml",
    "application/xml",
    "application/rss+xml",
    "application/atom+xml",
    "application/json",
    "application/ld+json",
}
"""Media types that can be read."""

_MAX_TAGS = 10_000
_MAX_TITLE = 300
_MARKUP = re.compile(
    r"""<(?=[!?/a-z])(?:
      !--.*?(?:-->|\Z)
    | [!?][^>]*+(?:>|\Z) | /[^a-z][^>]*+(?:>|\Z)
    | (?P<raw>script|style|textarea|noscript|iframe)\b.*?(?:</(?P=raw)\b[^>]*+(?:>|\Z)|\Z)
    | (?P<name>/?[a-z][^\s/>]*+)
      (?:=\s*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z))|[^>])*+(?:>|\Z))""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
"""Every branch matches to an end that is always there, so nothing is read twice."""

_SPACE = re.compile(r"\s+")
_BLANK_LINES = re.compile(r"\n{3,}")
_UNSEEN = {
    **dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(127, 160)), " "),
    **dict.fromkeys((0x0D, 0xAD, 0x200B, 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), None),
    **dict.fromkeys(range(0xE0000, 0xE0080), None),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
}
"""Control characters, and those in which text can hide from people: zero width, direction marks, tags."""

_NEVER_TEXT = frozenset(
    ("head", "script", "style", "noscript", "template", "svg", "iframe", "object", "canvas", "select", "button")
)
_AROUND = _NEVER_TEXT | {"nav", "header", "footer", "aside", "form"}
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_OPENINGS = {**_HEADINGS, "li": "- ", "td": " ", "th": " "}
_PARAGRAPHS = frozenset(("p", "ul", "ol", "dl", "table", "pre", "blockquote", "section", "article", "main", *_HEADINGS))
_LINES = frozenset(("div", "li", "tr", "dt", "dd", "br", "hr", "figure", "figcaption", "caption", "details", "summary"))


def text_of(fetched: Fetched, max_chars: int) -> str:
    """The text of a page of one of the PAGES types, its title first. Takes a moment for a big page: up to 0.5 s."""
    text = decode(fetched.data, fetched.charset)
    if fetched.media_type in HTML:
        return _html_text(text, max_chars)
    return _tidy(text, max_chars)


def _html_text(html: str, max_chars: int) -> str:
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(_bounded(html))
    title = tree.css_first("title")
    heading = _SPACE.sub(" ", title.text()).strip()[:_MAX_TITLE] if title is not None else ""
    for root, dropped in _places(tree):
        if text := _tidy(_written(root, dropped, 2 * max_chars), max_chars):
            break
    else:
        text = ""
    return _tidy(f"{heading}\n\n{text}", max_chars)


def _bounded(html: str) -> str:
    """The document without attributes, comments, scripts and styles, up to the tag number _MAX_TAGS.

    A space takes the place of what is left out, lest a `<` before it and the text after it become a tag.
    """
    pieces: list[str] = []
    at = 0
    for found in _MARKUP.finditer(html):
        pieces.append(html[at : found.start()])
        at = found.end()
        pieces.append(f"<{found['name']}>" if found["name"] else " ")
        if len(pieces) >= 2 * _MAX_TAGS:
            return "".join(pieces)
    pieces.append(html[at:])
    return "".join(pieces)


def _places(tree: LexborHTMLParser) -> Iterator[tuple[LexborNode, frozenset[str]]]:
    """Where the text may be, best first, and which elements are no part of it there."""
    articles = tree.css("article")
    best = tree.css_first("main") or (articles[0] if len(articles) == 1 else None)
    if best is not None:
        yield best, _AROUND
    if tree.root is not None:
        yield tree.root, _AROUND
        yield tree.root, _NEVER_TEXT


def _written(root: LexborNode, dropped: frozenset[str], max_chars: int) -> str:
    lines = _Lines()
    verbatim = 0
    for node, entering in _walk(root, dropped):
        tag = node.tag or ""
        if tag == "-text":
            if entering:
                lines.add(node.text(), verbatim=verbatim > 0)
                if lines.size >= max_chars:
                    break
            continue
        if tag == "pre":
            verbatim += 1 if entering else -1
        if tag in _PARAGRAPHS:
            lines.end(2)
        elif tag in _LINES:
            lines.end(1)
        if entering and tag in _OPENINGS:
            lines.add(_OPENINGS[tag], verbatim=tag not in ("td", "th"))
    return "".join(lines.pieces)


def _walk(root: LexborNode, dropped: frozenset[str]) -> Iterator[tuple[LexborNode, bool]]:
    """Every node twice, entering and leaving it; without recursion, because pages can be nested at will."""
    node: LexborNode | None = root
    while node is not None:
        yield node, True
        child = None if node.tag in dropped else node.child
        while child is None:
            yield node, False
            if node.mem_id == root.mem_id:
                return
            child = node.next
            if child is None:
                node = node.parent
                if node is None:
                    return
        node = child


class _Lines:
    """Text that is being written down: white space collapsed, line breaks where blocks begin and end."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.size = 0
        self._spaced = True
        """Whether a further space would be one too many."""
        self._ended = 2
        """How many line breaks stand at the end."""

    def add(self, text: str, *, verbatim: bool) -> None:
        if not verbatim:
            text = _SPACE.sub(" ", text)
            if self._spaced:
                text = text.lstrip()
        if not text:
            return
        self.pieces.append(text)
        self.size += len(text)
        self._spaced = text[-1].isspace()
        self._ended = 0

    def end(self, breaks: int) -> None:
        if self._ended < breaks:
            self.pieces.append("\n" * (breaks - self._ended))
            self._spaced, self._ended = True, breaks


def _tidy(text: str, max_chars: int) -> str:
    lines = [line.rstrip() for line in text[: 2 * max_chars].translate(_UNSEEN).split("\n")]
    whole = _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip("\n")
    return whole if len(whole) <= max_chars else whole[:max_chars].rstrip() + " […]"
