from __future__ import annotations

from typing import Any

import pytest

from lib.dialects.messages_content import blocks, input_parts, tool_output
from lib.errors import InvalidRequest
from tests.fakes.codex_answers import png

PICTURE = png("x")


def parts(block: dict[str, Any], asked: dict[str, str] | None = None) -> list[dict[str, Any]]:
    return input_parts(block, block["type"], "b", {} if asked is None else asked)


def source(kind: str, **members: Any) -> dict[str, Any]:
    return {"type": kind, **members}


def image(found: dict[str, Any]) -> dict[str, Any]:
    return {"type": "image", "source": found}


def document(found: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"type": "document", "source": found, **members}


def test_pictures_are_data_or_public_urls() -> None:
    data = image(source("base64", media_type="image/png", data=PICTURE))
    assert parts(data) == [{"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}"}]
    url = image(source("url", url="https://example.org/a.png"))
    assert parts(url) == [{"type": "input_image", "image_url": "https://example.org/a.png"}]


@pytest.mark.parametrize(
    "block",
    [
        image(source("url", url="http://169.254.169.254/latest")),
        image(source("url", url="file:///etc/passwd")),
        image(source("base64", media_type="image/svg+xml", data=PICTURE)),
        image(source("base64", media_type="image/png", data="no base64!")),
        image(source("base64", media_type="image/png")),
        image(source("file", file_id="file_1")),
        image(source("else")),
        {"type": "image"},
        document(source("file", file_id="file_1")),
        document(source("url", url="http://localhost/a.pdf")),
        document(source("base64", media_type="text/plain", data="eA==")),
        document(source("base64", media_type="application/pdf", data="")),
        document(source("text", media_type="text/html", data="x")),
        document(source("content", content=[{"type": "document"}])),
        document(source("content")),
        document(source("else")),
        {"type": "container_upload", "file_id": "file_1"},
        {"type": "search_result", "title": "t", "source": "s", "content": [{"type": "image"}]},
        {"type": "audio"},
    ],
    ids=lambda block: str(block)[:70],
)
def test_what_cannot_be_handed_on_is_refused(block: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parts(block)
    assert str(caught.value.param).startswith("b.")
    assert PICTURE not in caught.value.message


def test_documents_keep_what_they_are() -> None:
    pdf = source("base64", media_type="application/pdf", data="JVBERi0=")
    assert parts(document(pdf, title="Report")) == [
        {"type": "input_file", "filename": "Report.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
    ]
    assert parts(document(pdf))[0]["filename"] == "document.pdf"
    assert parts(document(source("url", url="https://example.org/a.pdf"))) == [
        {"type": "input_file", "file_url": "https://example.org/a.pdf"}
    ]
    text = document(source("text", media_type="text/plain", data="Body."), title="T", context="C")
    assert parts(text) == [{"type": "input_text", "text": "Title: T\n\nContext: C\n\nBody."}]
    mixed = source("content", content=[{"type": "text", "text": "x"}, image(source("url", url="https://example.org/"))])
    assert [part["type"] for part in parts(document(mixed, title="T"))] == ["input_text", "input_text", "input_image"]
    assert parts(document(source("content", content="x"))) == [{"type": "input_text", "text": "x"}]


def test_citations_of_documents_are_asked_for_and_not_to_be_had() -> None:
    asked: dict[str, str] = {}
    text = source("text", media_type="text/plain", data="x")
    for enabled in (True, True, False):
        parts(document(text, citations={"enabled": enabled}), asked)
    assert asked == {"citations": "citations"}


def test_search_results_and_tool_references_become_text() -> None:
    found = {"type": "search_result", "title": "T", "source": "S", "content": [{"type": "text", "text": "x"}]}
    assert parts(found) == [{"type": "input_text", "text": "Search result: T (S)\n\nx"}]
    assert "look_up" in parts({"type": "tool_reference", "tool_name": "look_up"})[0]["text"]


@pytest.mark.parametrize(
    ("members", "output"),
    [
        ({}, ""),
        ({"content": None}, ""),
        ({"content": []}, ""),
        ({"content": "x"}, "x"),
        ({"content": [{"type": "text", "text": "x"}]}, "x"),
        ({"content": "x", "is_error": False}, "x"),
        ({"content": "x", "is_error": True}, "The tool reported an error:\nx"),
        ({"is_error": True}, "The tool reported an error:"),
        (
            {"content": [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}]},
            [{"type": "input_text", "text": "x"}, {"type": "input_text", "text": "y"}],
        ),
        (
            {"content": [image(source("url", url="https://example.org/"))], "is_error": True},
            [
                {"type": "input_text", "text": "The tool reported an error:"},
                {"type": "input_image", "image_url": "https://example.org/"},
            ],
        ),
    ],
    ids=str,
)
def test_a_tool_result_is_a_text_or_parts(members: dict[str, Any], output: Any) -> None:
    assert tool_output({"type": "tool_result", **members}, "b", {}) == output


def test_a_string_is_one_text_block() -> None:
    assert blocks("x", "p") == [({"type": "text", "text": "x"}, "text", "p")]
    assert blocks([], "p") == []
