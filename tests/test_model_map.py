"""Other names for models; `tests/test_routing.py` has the table of patterns."""

from __future__ import annotations

from lib.model_map import ModelNames


def test_a_model_that_no_pattern_takes_keeps_its_name() -> None:
    assert ModelNames([("a-*", "b")]).find("c") is None
    assert ModelNames([]).find("c") is None


def test_parts_of_a_pattern_are_found_in_their_order() -> None:
    names = ModelNames([("a*b*c", "hit")])
    assert names.find("a-b-c") == "hit" and names.find("abc") == "hit"
    assert names.find("ac-b") is None and names.find("a-c") is None
