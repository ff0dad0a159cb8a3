"""Content blocks that a user or a tool puts to the model → canonical content parts.

`cache_control`, and other members that have no place in a canonical part, are left behind: the upstream caches by
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lib.dialects.fields import ask, boolean, missing, object_, one_of, string, unsupported, wrong_type, wrong_value
from lib.dialects.image_urls import check_image_url, check_web_url
from lib.errors import InvalidRequest

Block = dict[str, Any]
Part = dict[str, Any]
Asked = dict[str, str]

_CONTENT = "a string or an array of content blocks"
_NO_FILES = "this gateway keeps no files. Send the content itself, as base64, text or a URL."
_IMAGE_TYPES = one_of("image/png", "image/jpeg", "image/gif", "image/webp")
_PDF = one_of("application/pdf")
_PLAIN = one_of("text/plain")
_TOOL_FAILED = "The tool reported an error:"
"""Stands before the output of a tool with `is_error`, for which the canonical form has no member of its own."""


def blocks(content: Any, param: str) -> list[tuple[Block, str, str]]:
    """(block, its type, its place) for each block; a string is one text block. Raises InvalidRequest."""
    if type(content) is str:
        return [({"type": "text", "text": content}, "text", param)]
    if content is None:
        raise missing(param)
    if type(content) is not list:
        raise wrong_type(param, _CONTENT, content)
    return [(block, kind_of(block, f"{param}[{index}]"), f"{param}[{index}]") for index, block in enumerate(content)]


def kind_of(block: Any, param: str) -> str:
    """The block's type. Raises InvalidRequest."""
    return required_text(object_(block, param), "type", param)


def texts(content: Any, param: str) -> list[str]:
    """Content that may only be text. Raises InvalidRequest."""
    found = []
    for block, kind, place in blocks(content, param):
        if kind != "text":
            raise wrong_value(f"{place}.type", "'text'", kind)
        found.append(text_of(block, "text", place))
    return found


def input_parts(block: Block, kind: str, param: str, asked: Asked) -> list[Part]:
    """The parts of one block; `asked` learns what was asked for and has no effect. Raises InvalidRequest."""
    read = _READERS.get(kind)
    if read is None:
        raise wrong_value(f"{param}.type", "one of " + ", ".join(f"'{name}'" for name in _READERS), kind)
    return read(block, param, asked)


def tool_output(block: Block, param: str, asked: Asked) -> str | list[Part]:
    """The output in a `tool_result` block: a string where it is one text, else parts. Raises InvalidRequest."""
    content = block.get("content")
    parts: list[Part] = []
    for inner, kind, place in [] if content is None else blocks(content, f"{param}.content"):
        parts += input_parts(inner, kind, place, asked)
    if block.get("is_error") is not None and boolean(block["is_error"], f"{param}.is_error"):
        if parts and parts[0]["type"] == "input_text":
            parts[0] = _text(f"{_TOOL_FAILED}\n{parts[0]['text']}")
        else:
            parts.insert(0, _text(_TOOL_FAILED))
    if not parts:
        return ""
    return str(parts[0]["text"]) if len(parts) == 1 and parts[0]["type"] == "input_text" else parts


def text_of(block: Block, name: str, param: str) -> str:
    """A string member that must be there, and may be empty. Raises InvalidRequest."""
    if block.get(name) is None:
        raise missing(f"{param}.{name}")
    return str(string(block[name], f"{param}.{name}"))


def required_text(block: Block, name: str, param: str) -> str:
    """A string member that must be there and must not be empty. Raises InvalidRequest."""
    if block.get(name) == "":
        raise missing(f"{param}.{name}")
    return text_of(block, name, param)


def _text(text: str) -> Part:
    return {"type": "input_text", "text": text}


def _source(block: Block, param: str) -> tuple[Block, str, str]:
    """(source, its type, its place)."""
    where = f"{param}.source"
    if block.get("source") is None:
        raise missing(where)
    source = object_(block["source"], where)
    return source, required_text(source, "type", where), where


def _read_text(block: Block, param: str, asked: Asked) -> list[Part]:
    return [_text(text_of(block, "text", param))]


def _read_image(block: Block, param: str, asked: Asked) -> list[Part]:
    source, kind, where = _source(block, param)
    if kind == "base64":
        media_type = _IMAGE_TYPES(text_of(source, "media_type", where), f"{where}.media_type")
        url, place = f"data:{media_type};base64,{text_of(source, 'data', where)}", f"{where}.data"
    elif kind == "url":
        url, place = text_of(source, "url", where), f"{where}.url"
    else:
        raise _wrong_source(kind, where, "'base64' or 'url'")
    check_image_url(url, place)
    return [{"type": "input_image", "image_url": url}]


def _read_document(block: Block, param: str, asked: Asked) -> list[Part]:
    """A PDF stays a file; texts become texts, below their title and context."""
    source, kind, where = _source(block, param)
    citations = block.get("citations")
    if type(citations) is dict and citations.get("enabled") is True and "citations" not in asked:
        ask(asked, "citations", "citations")
    head = [f"{name.capitalize()}: {text_of(block, name, param)}" for name in ("title", "context") if block.get(name)]
    if kind == "text":
        _PLAIN(source.get("media_type", "text/plain"), f"{where}.media_type")
        return [_text("\n\n".join([*head, text_of(source, "data", where)]))]
    if kind == "content":
        found = [_text("\n\n".join(head))] if head else []
        for inner, inner_kind, place in blocks(source.get("content"), f"{where}.content"):
            if inner_kind not in ("text", "image"):
                raise wrong_value(f"{place}.type", "'text' or 'image'", inner_kind)
            found += input_parts(inner, inner_kind, place, asked)
        return found
    if kind == "base64":
        return [_pdf(block, source, where)]
    if kind == "url":
        url = text_of(source, "url", where)
        check_web_url(url, f"{where}.url")
        return [{"type": "input_file", "file_url": url}]
    raise _wrong_source(kind, where, "'base64', 'text', 'content' or 'url'")


def _pdf(block: Block, source: Block, where: str) -> Part:
    _PDF(text_of(source, "media_type", where), f"{where}.media_type")
    data = required_text(source, "data", where)
    name = str(block.get("title") or "document")
    name = name if name.lower().endswith(".pdf") else f"{name}.pdf"
    return {"type": "input_file", "filename": name, "file_data": f"data:application/pdf;base64,{data}"}


def _wrong_source(kind: str, where: str, expected: str) -> InvalidRequest:
    if kind == "file":
        return unsupported(f"{where}.type", _NO_FILES, value_only=True)
    return wrong_value(f"{where}.type", expected, kind)


def _read_search_result(block: Block, param: str, asked: Asked) -> list[Part]:
    head = f"Search result: {text_of(block, 'title', param)} ({text_of(block, 'source', param)})"
    return [_text("\n\n".join([head, *texts(block.get("content"), f"{param}.content")]))]


def _read_tool_reference(block: Block, param: str, asked: Asked) -> list[Part]:
    """What a client's own tool search found. All tools of a request are on offer from the start here."""
    return [_text(f"The tool {required_text(block, 'tool_name', param)} is available.")]


def _refuse_upload(block: Block, param: str, asked: Asked) -> list[Part]:
    raise unsupported(f"{param}.type", _NO_FILES, value_only=True)


_READERS: Mapping[str, Callable[[Block, str, Asked], list[Part]]] = {
    "text": _read_text,
    "image": _read_image,
    "document": _read_document,
    "search_result": _read_search_result,
    "tool_reference": _read_tool_reference,
    "container_upload": _refuse_upload,
}
