from lib.dialects.responses_ids import ItemIds


def ids() -> ItemIds:
    return ItemIds(lambda kind, index: f"{kind}-{index}")


def test_first_id_of_a_place_stays() -> None:
    told = ids()
    assert told.of({"output_index": 0}, {"type": "message", "id": "a"}) == "a"
    assert told.of({"output_index": 0}, {"type": "message", "id": "b"}) == "a"
    assert told.of({"output_index": 0}, {"type": "message", "id": [1]}) == "a"
    assert told.at(0, "message") == "a"
    assert told.identified([{"type": "message", "id": "b"}]) == [{"type": "message", "id": "a"}]


def test_without_indices_items_keep_their_own() -> None:
    told = ids()
    assert [told.of({}, {"type": "message", "id": each}) for each in "ab"] == ["a", "b"]


def test_list_at_the_end_has_the_ids_that_were_made() -> None:
    told = ids()
    assert (told.at(2, "message"), told.at(4, "reasoning")) == ("message-2", "reasoning-4")
    found = told.identified([{"type": "message"}, {"type": "reasoning"}, {"type": "web_search_call"}, 5])
    assert [each["id"] for each in found[:3]] == ["message-2", "reasoning-4", "web_search_call-5"]
    assert told.identified(5) == 5


def test_item_that_was_never_streamed_gets_a_new_id() -> None:
    told = ids()
    told.of({"output_index": 0}, {"type": "message", "id": "a"})
    found = told.identified([{"type": "message", "id": "a"}, {"type": "message"}])
    assert [each["id"] for each in found] == ["a", "message-1"]
