from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest

from lib.dialects.responses_stored import (
    MAX_CONVERSATION_BYTES,
    MAX_TURNS,
    Link,
    StoredDialect,
    Turn,
    check_length,
    input_items,
    pack,
    pieces_of,
    unpack,
)
from lib.errors import InvalidRequest
from lib.keeping import MAX_STORED_BYTES

Fields = dict[str, Any]


def said(role: str, text: str, **more: Any) -> Fields:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **more}


def turn(question: str = "a", answer: str = "b", *, id: str = "resp_1", **more: Any) -> Turn:
    response = {"id": id, "output": [{"type": "reasoning", "encrypted_content": "e"}, said("assistant", answer)]}
    return Turn(response, **{"input": [said("user", question)], "affinity": "root", **more})


def parsed(dialect: StoredDialect, **body: Any) -> Any:
    return dialect.parse({"model": "m", "input": "now", **body})


def dialect_after(*turns: Turn, keeps: bool = True) -> StoredDialect:
    return StoredDialect([Link(each.response["id"], 1, 10) for each in turns], turns, keeps=keeps)


def answered(dialect: StoredDialect, response: Fields, **body: Any) -> None:
    renderer = dialect.renderer(parsed(dialect, **body), response_id="new", now=7.0)
    renderer.body(response)


def test_what_was_said_before_stands_before_the_input() -> None:
    request = parsed(dialect_after(turn(), turn("c", "d", id="resp_2")), previous_response_id="resp_2")
    texts = [item["content"][0]["text"] for item in request.input if item["type"] == "message"]
    assert texts == ["a", "b", "c", "d", "now"]
    assert [item["type"] for item in request.input].count("reasoning") == 2


def test_instructions_and_tools_are_not_carried_over() -> None:
    past = turn()
    past.response["instructions"] = "Be brief."
    request = parsed(dialect_after(past))
    assert request.instructions is None and request.tools == []


def test_an_output_may_answer_a_call_of_an_earlier_turn() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
    past = Turn({"id": "resp_1", "output": [call]}, [said("user", "a")], "root")
    output = {"type": "function_call_output", "call_id": "c1", "output": "ok"}
    assert parsed(dialect_after(past), input=[output]).input[1:] == [call, output]
    with pytest.raises(InvalidRequest):
        parsed(dialect_after(turn()), input=[output])


def test_errors_count_the_items_that_the_caller_sent() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(dialect_after(turn()), input=[{"role": "user"}])
    assert caught.value.param == "input[0].content"


def test_a_conversation_stays_with_its_account() -> None:
    assert parsed(dialect_after(turn())).affinity == "root"
    assert parsed(dialect_after(turn()), user="u").affinity == "u"
    assert parsed(dialect_after(turn()), prompt_cache_key="k").affinity == "k"


def test_store_is_served_here_when_the_answer_is_kept() -> None:
    kept = parsed(dialect_after(), store=True)
    assert "store" not in kept.asked and "store" not in kept.parameters
    assert parsed(dialect_after(turn(), keeps=False), store=False).parameters["store"] is False
    with pytest.raises(InvalidRequest):
        parsed(dialect_after(), store="yes")


def test_conversations_and_background_stay_refused() -> None:
    for field in ({"conversation": "conv_1"}, {"background": True}):
        with pytest.raises(InvalidRequest):
            parsed(dialect_after(turn()), **field)


def test_an_answer_is_kept_as_the_client_got_it_with_the_new_input_alone() -> None:
    dialect = dialect_after(turn(earlier=[Link("resp_0", 1, 5)]))
    assert dialect.answer is None
    answered(dialect, {"id": "resp_upstream", "status": "completed"}, previous_response_id="resp_1")
    answer = dialect.answer
    assert answer is not None
    assert (answer["id"], answer["store"], answer["previous_response_id"]) == ("resp_new", True, "resp_1")
    kept = dialect.turn(answer)
    assert [item["content"][0]["text"] for item in kept.input] == ["now"]
    assert (kept.affinity, kept.earlier) == ("root", [Link("resp_1", 1, 10)])


def test_incomplete_answers_are_kept_and_failed_ones_are_not() -> None:
    for status, is_kept in (("incomplete", True), ("failed", False)):
        dialect = dialect_after()
        answered(dialect, {"status": status})
        assert (dialect.answer is not None) is is_kept


def test_without_store_there_is_no_answer_to_keep() -> None:
    dialect = dialect_after(turn(), keeps=False)
    answered(dialect, {"id": "resp_upstream", "status": "completed"}, store=False)
    assert dialect.answer is None


def test_a_turn_is_packed_in_pieces_and_unpacked() -> None:
    small, large = turn(), turn(os.urandom(500_000).hex())
    for each, count in ((small, 1), (large, 2)):
        packed = pack(each)
        assert packed is not None
        link, pieces = packed
        assert (link.pieces, len(pieces), pieces_of(pieces[0])) == (count, count, count)
        assert all(len(piece) <= MAX_STORED_BYTES for piece in pieces)
        assert unpack(pieces) == (each, link.size)
        assert link.size == len(msgspec.json.encode(each))


@pytest.mark.parametrize("text", ["a" * (MAX_CONVERSATION_BYTES + 1), os.urandom(6_000_000).hex()])
def test_a_turn_that_is_too_large_is_not_packed(text: str) -> None:
    assert pack(turn(text)) is None


@pytest.mark.parametrize("pieces", [[], [b""], [b"\x01not zlib"], [b"\x01x\x9c\x03\x00\x00\x00\x00\x01"]])
def test_what_cannot_be_read_is_no_turn(pieces: list[bytes]) -> None:
    assert unpack(pieces) is None


@pytest.mark.parametrize(
    "links", [[Link("r", 1, 1)] * (MAX_TURNS + 1), [Link("r", 1, MAX_CONVERSATION_BYTES // 2 + 1)] * 2]
)
def test_a_conversation_has_a_bounded_length(links: list[Link]) -> None:
    check_length(links[:-1])
    with pytest.raises(InvalidRequest) as caught:
        check_length(links)
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "previous_response_id")


def page(turn: Turn, **query: str) -> tuple[list[str], bool]:
    found = input_items(turn, query)
    ids = [item["id"] for item in found["data"]]
    assert found["object"] == "list"
    assert [found["first_id"], found["last_id"]] == ([ids[0], ids[-1]] if ids else [None, None])
    return ids, found["has_more"]


def listed(count: int) -> Turn:
    return turn(input=[said("user", str(number), id=f"msg_{number}") for number in range(count)])


def test_input_items_come_newest_first_in_pages() -> None:
    assert page(listed(3)) == (["msg_2", "msg_1", "msg_0"], False)
    assert page(listed(3), order="asc", limit="2") == (["msg_0", "msg_1"], True)
    assert page(listed(3), order="asc", after="msg_1") == (["msg_2"], False)
    assert page(listed(3), after="msg_0") == ([], False)
    ids, has_more = page(listed(21))
    assert (len(ids), has_more) == (20, True)


def test_every_input_item_has_an_id_of_its_own_and_a_status() -> None:
    output = {"type": "function_call_output", "call_id": "c", "output": "x"}
    twice = [said("user", "a"), output, said("user", "b", id="msg_x"), said("user", "c", id="msg_x")]
    found = input_items(turn(input=twice), {"order": "asc"})["data"]
    assert [item["id"] for item in found] == ["msg_1_in_0", "fco_1_in_1", "msg_x", "msg_1_in_3"]
    assert {item["status"] for item in found} == {"completed"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "ten"),
        ("limit", "²"),
        ("limit", ""),
        ("order", "up"),
        ("after", "x"),
    ],
)
def test_a_page_that_there_is_not_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        input_items(listed(2), {name: value})
    assert caught.value.param == name
