"""What a page says, and that no page takes long to say it."""

from __future__ import annotations

import time

import pytest

from lib.canonical.fetched import Fetched
from lib.reading.page import text_of


def text(page: str, max_chars: int = 20_000, media_type: str = "text/html") -> str:
    return text_of(Fetched("http://example.org/", media_type, "utf-8", page.encode()), max_chars)


PAGE = """<!doctype html>
<html><head><title> Fish &amp;
  chips </title><style>p > a { }</style>
<script>if (a<b && c == "</p>") { document.write("<main>") }</script></head>
<body class="x > y">
<header>Logo</header><nav><ul><li>Home</ul></nav>
<main>
  <h1>All about   fish</h1>
  <p>They <a href='/swim?a="b"'>swim</a> in <b>wat</b>er.
  <p>First<br>second &lt;third&gt;
  <ul><li>cod</li><li>hake, <i>fried</i></li></ul>
  <pre>if fish:
    fry()
</pre>
  <table><tr><th>Kind<th>Price<tr><td>cod<td>5 < 6</table>
  <aside>Advertisement</aside><form><input value=x>Search</form>
  <svg><title>icon</title><text>drawn</text></svg><noscript>Turn it on</noscript><template>later</template>
</main>
<footer>Imprint</footer></body></html>"""

TEXT = """Fish & chips

# All about fish

They swim in water.

First
second <third>

- cod
- hake, fried

if fish:
    fry()

Kind Price
cod 5 < 6"""


def test_page_is_text_with_headings_and_lists_on_lines_of_their_own() -> None:
    assert text(PAGE) == TEXT
    assert text(PAGE, media_type="application/xhtml+xml") == TEXT


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("<body>around<article>inside</article>", "inside"),
        ("<body><article>one</article><article>two</article>", "one\n\ntwo"),
        ("<body>around<main> </main>", "around"),
        ("<form><p>An old site</form>", "An old site"),
        ("<title>Only a title</title>", "Only a title"),
        ("plain words", "plain words"),
        ("", ""),
        ("<p>a<script>b</p>", "a"),
        ("<p>a<!-- b", "a"),
        ("<p>a<b", "a"),
        ("a<<!-- -->b c=d>e", "a< b c=d>e"),
        ("<p title='a>b'>c</p><p title=a>d", "c\n\nd"),
        ("<P>A</P><SCRIPT>B</SCRIPT>", "A"),
        ("a&nbsp;b&#0;c&#x202e;d&shy;e&#xe0041;f", "a b\ufffdcdef"),
        ("<p>x</p>" * 3 + "<p> </p>" * 50 + "<p>y", "x\n\nx\n\nx\n\ny"),
    ],
)
def test_parts_of_a_page(page: str, said: str) -> None:
    assert text(page) == said


def test_other_text_stays_as_it_is() -> None:
    assert text('{"a":\n  "<b>"}\r\n', media_type="application/json") == '{"a":\n  "<b>"}'
    assert text("# A\n\n\n\n* b\x00\x1b[31m", media_type="text/markdown") == "# A\n\n* b  [31m"


@pytest.mark.parametrize("media_type", ["text/html", "text/plain"])
def test_text_is_bounded(media_type: str) -> None:
    assert text("word " * 100_000, 1000, media_type) == ("word " * 200).rstrip() + " […]"


def test_long_title_is_bounded() -> None:
    assert len(text(f"<title>{'a' * 100_000}</title>b")) < 400


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 400_000,
        "<div>x" * 300_000,
        "<p><b><i><u><s>" * 130_000,
        "<div><object></div></object>" * 70_000,
        "<table>x<i>" * 180_000,
        "<div>" * 5_000 + "</x>" * 400_000,
        "<main>" * 300_000,
        "<article>" * 200_000,
        "<div " + " ".join(f"a{number}=1" for number in range(200_000)) + ">x",
        "<" * 2_000_000,
        "<!" * 1_000_000,
        "<!-- " * 400_000,
        "<!---->" * 280_000,
        "<a<" * 600_000,
        '<a ="' * 400_000,
        "<a '=\"" * 300_000,
        "<a" + " =" * 900_000,
        "<script" * 280_000,
        "<script></scrip" * 130_000,
        "</" * 1_000_000,
        "&lt;" * 500_000,
        "&" * 2_000_000,
        "<pre>" + " " * 1_900_000,
        "<title>" + "a " * 900_000,
        "x\n\n" * 600_000,
        "<p>" * 600_000,
    ],
    ids=lambda page: page[:12],
)
def test_hostile_page_takes_little_time(page: str) -> None:
    begun = time.monotonic()
    assert len(text(page)) <= 20_400
    assert time.monotonic() - begun < 2  # without the bounds, minutes
