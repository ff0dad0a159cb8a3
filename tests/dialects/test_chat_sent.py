import pytest

from lib.dialects.chat_sent import Key, Sent, mended

KEY: Key = (0, "text", 0)


def test_missing_is_what_follows_on_what_was_sent() -> None:
    sent = Sent()
    assert sent.missing(KEY, "ab") == "ab"
    for piece in ("a", "b"):
        sent.add(KEY, piece)
    assert (sent.missing(KEY, "abc"), sent.missing(KEY, "ab"), sent.missing(KEY, "xbc"), sent.missing(KEY, "")) == (
        "c", "", "", "",
    )  # fmt: skip
    assert sent.missing((1, "text", 0), "abc") == "abc"


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        (["a\ud83d", "\ude00b"], ["a", "😀b"]),
        (["\ud83d", "x"], ["", "\ufffdx"]),
        (["\ud83d", "\ud83d", "\ude00"], ["", "\ufffd", "😀"]),
        (["\ude00"], ["\ufffd"]),
        (["\ud83d\ude00"], ["😀"]),
    ],
)
def test_halves_find_each_other_or_are_replaced(deltas: list[str], expected: list[str]) -> None:
    sent = Sent()
    assert [sent.joined(KEY, delta) for delta in deltas] == expected
    assert not sent.is_held(KEY)


def test_half_at_the_end_is_told_unless_the_whole_brings_it() -> None:
    sent = Sent()
    sent.add(KEY, sent.joined(KEY, "a\ud83d"))
    assert sent.is_held(KEY) and sent.leftovers() == {KEY: "\ufffd"}
    assert sent.missing(KEY, "a😀") == "😀"
    assert sent.leftovers() == {}


def test_text_without_halves_stays() -> None:
    assert mended("a😀é") == "a😀é"
