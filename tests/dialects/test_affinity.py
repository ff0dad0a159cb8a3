from typing import Any

from lib.dialects.affinity import affinity_of

Item = dict[str, Any]


def said(role: str, text: str) -> Item:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def test_key_is_the_beginning_up_to_the_first_word_of_the_user() -> None:
    first = [said("developer", "rules"), said("user", "hi")]
    assert affinity_of(None, first) == affinity_of(None, [*first, said("assistant", "hello"), said("user", "more")])
    keys = {affinity_of(None, first), affinity_of("x", first), affinity_of(None, first[1:]), affinity_of(None, [])}
    assert len(keys) == 4 and all(len(key) == 32 for key in keys)


def test_items_that_are_no_messages_have_no_content_to_read() -> None:
    assert affinity_of(None, [{"type": "compaction", "content": 5}, said("user", "hi")])
