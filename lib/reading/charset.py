"""Bytes of the web → text. Never fails: what cannot be read becomes U+FFFD."""

from __future__ import annotations

import codecs
import re

_LABELS = {
    **dict.fromkeys(("iso-8859-1", "latin1", "latin-1", "ascii", "us-ascii", "windows-1252", "cp1252"), "cp1252"),
    **dict.fromkeys(("gb2312", "gbk", "gb18030", "x-gbk", "gb_2312-80"), "gb18030"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji", "windows-31j"), "cp932"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "korean"), "cp949"),
    **dict.fromkeys(("big5", "big5-hkscs", "x-x-big5"), "big5hkscs"),
    **{f"windows-{page}": f"cp{page}" for page in (874, *range(1250, 1259))},
    **{f"iso-8859-{part}": f"iso8859_{part}" for part in (*range(2, 12), *range(13, 17))},
    **{name: name for name in ("utf-16", "utf-16le", "utf-16be", "euc-jp", "iso-2022-jp", "koi8-r", "koi8-u")},
}
"""What pages call their encodings → Python's codec, as browsers understand the names. Only these: some of Python's
other codecs take a time that grows with the square of the input."""

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16le"), (codecs.BOM_UTF16_BE, "utf-16be"))
_IN_META = re.compile(
    rb"""<meta\b[^>]{0,200}?charset\s{0,4}=\s{0,4}["']?\s{0,4}([A-Za-z0-9_:.-]{1,40})""", re.IGNORECASE
)
_IN_XML = re.compile(rb"""<\?xml\b[^>]{0,200}?encoding\s{0,4}=\s{0,4}["']([A-Za-z0-9_:.-]{1,40})""")
_HEAD = 4096


def decode(data: bytes, charset: str | None) -> str:
    """By the byte order mark, else the server's word (`charset`), else the page's own, else as UTF-8."""
    for bom, codec in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(codec, "replace")
    if charset is not None:
        return data.decode(_LABELS.get(charset.lower(), "utf-8"), "replace")
    head = data[:_HEAD]
    named = _IN_META.search(head) or _IN_XML.search(head)
    codec = _LABELS.get(named[1].decode("ascii").lower(), "utf-8") if named else "utf-8"
    # A page in which that declaration could be read is not in UTF-16.
    return data.decode("utf-8" if codec.startswith("utf-16") else codec, "replace")
