from __future__ import annotations

import pytest

from lib.dialects.forward_form import Form, FormPart, Span, with_text
from lib.errors import InvalidRequest

RAW = b"HEAD1 content-length: 3\r\n\r\nabc|HEAD2\r\n\r\nxyz"


def form() -> Form:
    model = FormPart("model", None, "", b"abc", Span(0, RAW.index(b"abc"), RAW.index(b"|")))
    named = FormPart("words[]", None, "", b"xyz", Span(RAW.index(b"HEAD2"), RAW.index(b"xyz"), len(RAW)))
    return Form(RAW, "multipart/form-data", (model, named))


def test_values_are_found_by_name_with_and_without_brackets() -> None:
    assert form().texts("words") == ["xyz"]
    assert form().text("words") is None
    assert form().text("model") == "abc"


def test_only_the_named_part_changes() -> None:
    assert with_text(form(), "model", "longer") == RAW.replace(b"abc", b"longer")


def test_a_value_that_is_no_utf8_is_refused() -> None:
    bad = Form(RAW, "", (FormPart("model", None, "", b"\xff", Span(0, 0, 0)),))
    with pytest.raises(InvalidRequest):
        bad.text("model")
