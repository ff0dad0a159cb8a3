"""Generated pictures in formats whose answers hold text alone: as Markdown images, there and back.

The content of an answer in Chat Completions is a string, and a Messages answer has no block for a picture. A finished
picture is shown as a Markdown image in the text: chat front ends (NextChat, Open WebUI, LobeChat, what is built around
one-api) render it, and every other client still gets all of it. A list of content parts would break the models of the
official SDKs, and `message.images` is read by the clients of one service only, so neither is sent beside it. The image
points to the item's `url`, where the picture was put somewhere, else it is a data URL.

Clients send the text back with the next turn. There the data URLs are taken out of what the assistant said, because
megabytes of base64 are no text for a model to read, and the pictures go along with the next message of the user, so
that "make it blue" has something to refer to. So do pictures that were put somewhere, once it is known which of the
addresses in a history are theirs: that is not for a dialect to know, and works on canonical items.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from lib.canonical.request import Item
from lib.dialects.image_urls import check_image_url
from lib.dialects.output_items import OutputItem
from lib.errors import InvalidRequest

PICTURE = "image_generation_call"
"""The type of an output item that is a picture."""
MAX_REPLAYED = 16
"""So many pictures of a conversation go back to the model, the newest ones."""

_BREAK = "\n\n"
_FORMATS = frozenset({"png", "jpeg", "webp", "gif"})
_URL_CHARS = ":/?#@!$&'*+,;=%-._~"
_SHOWN = re.compile(
    r'!\[[^\[\]\n]{0,256}+\]\(\s*+((?:data:image|https?:)/[^\s()\[\]<>"]*+)\s*+(?:"[^"\[\]\n]{0,256}+"\s*+)?\)'
)
"""A Markdown image with a data URL, or an address. No repetition gives back what it took, and none can hold the
beginning of another image, so that the time is linear in the text whatever it holds."""


def markdown(item: OutputItem) -> str:
    """The picture of an item; empty when it has none, because making it failed."""
    if item.url:
        return f"![image]({quote(item.url, safe=_URL_CHARS, errors='replace')})"
    if not item.result:
        return ""
    kind = item.output_format if item.output_format in _FORMATS else "png"
    return f"![image](data:image/{kind};base64,{item.result})"


class Breaks:
    """Blank lines between pictures and the text around them; the same for streamed and whole answers."""

    def __init__(self) -> None:
        self._is_begun = self._is_behind_picture = False

    def before(self, *, is_picture: bool) -> str:
        """What has to stand before the next piece of content."""
        needed = self._is_begun and (is_picture or self._is_behind_picture)
        self._is_begun, self._is_behind_picture = True, is_picture
        return _BREAK if needed else ""


class Replayed:
    """The pictures in a history that a client sends back, message by message; `finish` hands them out.

    addresses: of pictures that were put somewhere, as they are shown → where those are now.
    """

    def __init__(self, addresses: Mapping[str, str] | None = None) -> None:
        self._addresses = addresses or {}
        self._count = 0
        self._waiting: list[str] = []
        """URLs that no message of the user has followed yet."""
        self._given: list[tuple[list[dict[str, Any]], list[str]]] = []

    def taken_from(self, text: str) -> str:
        """What the assistant said, with `[image 1]` and so on for the pictures in it."""
        return _SHOWN.sub(self._take, text) if self._addresses or "data:image/" in text else text

    def give_to(self, content: list[dict[str, Any]]) -> None:
        """The pictures so far belong to this message of the user, whose canonical parts these are."""
        if self._waiting:
            self._given.append((content, self._waiting))
            self._waiting = []

    def finish(self) -> None:
        """Put the newest pictures behind the parts of the messages that they were given to. One that is no valid
        picture is left out: nobody is to blame for it who could change it."""
        left = MAX_REPLAYED
        for content, urls in reversed(self._given):
            kept = urls[max(0, len(urls) - left) :]
            left -= len(kept)
            content += [{"type": "input_image", "image_url": url} for url in kept if _is_valid(url)]

    def _take(self, match: re.Match[str]) -> str:
        url = match[1] if match[1].startswith("data:") else self._addresses.get(match[1])
        if url is None:
            return match[0]
        self._count += 1
        self._waiting.append(url)
        return f"[image {self._count}]"


def addresses_in(items: Sequence[Item]) -> list[str]:
    """The http(s) addresses of the Markdown images that the assistant has shown, each once, the newest last."""
    found: dict[str, None] = {}
    for part in _said(items):
        for match in _SHOWN.finditer(part["text"]) if "](" in part["text"] else ():
            if match[1].startswith("http"):
                found.pop(match[1], None)
                found[match[1]] = None
    return list(found)


def with_pictures(items: Sequence[Item], addresses: Mapping[str, str]) -> list[Item]:
    """The items with these pictures as pictures: out of what the assistant said, and behind the next message of the
    user. addresses: as for `Replayed`."""
    pictures = Replayed(addresses)
    found = []
    for item in items:
        if item.get("type") == "message" and isinstance(item.get("content"), list):
            item = {**item, "content": [*item["content"]]}
            if item["role"] == "user":
                pictures.give_to(item["content"])
            elif item["role"] == "assistant":
                item["content"] = [_with_less(part, pictures) for part in item["content"]]
        found.append(item)
    pictures.finish()
    return found


def _with_less(part: dict[str, Any], pictures: Replayed) -> dict[str, Any]:
    return {**part, "text": pictures.taken_from(part["text"])} if part["type"] == "output_text" else part


def _said(items: Sequence[Item]) -> Iterator[dict[str, Any]]:
    """The texts of the assistant."""
    for item in items:
        if item.get("type") == "message" and item["role"] == "assistant":
            yield from (part for part in item["content"] if part["type"] == "output_text")


def _is_valid(url: str) -> bool:
    if not url.startswith("data:"):
        return True  # whoever gave the addresses knows them
    try:
        check_image_url(url, "messages")
    except InvalidRequest:
        return False
    return True
