from __future__ import annotations

import pytest

from lib.prompted.blocks import WAIT, BareObject, ObjectScanner, Scanner, TaggedObject
from tests.prompted.replies import TOOLS


def scan(scanner: Scanner | ObjectScanner, text: str, start: int = 0, *, marker: int = 1) -> int:
    """The first result but WAIT, from the marker on with one more character each time."""
    for end in range(start + marker, len(text) + 1):
        length = scanner.scan(text[:end], start)
        if length != WAIT:
            return length
    return WAIT


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("{}x", 2),
        ('{"}": [{"a": "\\"}"}]}x', 21),
        ('{"a": "<"}', 10),
        ('{"a": <', -6),
        ('{"a": "\\', WAIT),
        ("{[}]", 4),
        ('{"a', WAIT),
    ],
)
def test_an_object_ends_at_its_last_bracket(text: str, length: int) -> None:
    assert scan(ObjectScanner(0), text) == ObjectScanner(0).scan(text, 0) == length


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("<x>{}</x>", 9),
        ("<x> \n{} \n</y>", 13),
        ("<x>a", -3),
        ("<x>{} a", -6),
        ("<x>{}</z", -5),
        ("<x>{}</", WAIT),
        ("<x> ", WAIT),
    ],
)
def test_a_tagged_object_ends_with_a_closing_marker(text: str, length: int) -> None:
    for start in (0, 5):
        padded = "-" * start + text
        assert scan(TaggedObject(3, ("</x>", "</y>"), own=True), padded, start, marker=3) == length


def test_a_bare_object_is_read_as_a_list_of_calls() -> None:
    scanner = BareObject()
    text = '{"tool_calls": [{"name": "bare", "arguments": {}}]}'
    assert scan(scanner, text) == len(text)
    assert [call.name for call in scanner.read(text, TOOLS) or ()] == ["bare"]
