from __future__ import annotations

import dataclasses

import pytest

from lib.canonical.fetched import Fetched

PAGE = Fetched("https://example.org/a", "text/html", "utf-8", b"canary-of-the-page")


def test_what_was_fetched_stays_as_it_is() -> None:
    assert (PAGE.url, PAGE.media_type, PAGE.charset) == ("https://example.org/a", "text/html", "utf-8")
    with pytest.raises(dataclasses.FrozenInstanceError):
        PAGE.data = b""  # type: ignore[misc]


def test_the_content_stays_out_of_logs() -> None:
    assert "canary" not in repr(PAGE)
    assert "example.org/a" in repr(PAGE)


def test_two_of_the_same_are_equal_by_their_content_too() -> None:
    assert dataclasses.replace(PAGE) == PAGE
    assert dataclasses.replace(PAGE, data=b"other") != PAGE
