"""Kept responses over a store in memory; the answers are made here."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from lib.dialects.chat import CHAT
from lib.dialects.responses import RESPONSES
from lib.dialects.responses_stored import Link, Turn
from lib.errors import GatewayError, InvalidRequest, NotFound
from lib.stored_responses import StoredResponses, StoredTurn
from lib.types import Caller
from tests.fakes.memory_store import FakeStore

MINE, OTHER = Caller("k1", identity=b"mine"), Caller("k1", identity=b"other")


def kept(store: FakeStore) -> StoredResponses:
    return StoredResponses(store, life_s=60)


async def begun(store: FakeStore, caller: Caller = MINE, /, **body: Any) -> StoredTurn:
    found = await kept(store).begin(RESPONSES, {"input": "Hi", **body}, caller)
    assert found is not None
    return found


async def exchange(store: FakeStore, id: str, caller: Caller = MINE, /, **body: Any) -> list[str]:
    """One request that is answered with its id; the texts that the upstream got."""
    body = {"input": f"to {id}", **body}
    turn = await begun(store, caller, **body)
    request = turn.dialect.parse(body)
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": f"from {id}"}]}
    turn.dialect.renderer(request, response_id=id, now=0.0).body({"status": "completed", "output": [message]})
    await turn.keep()
    return [item["content"][0]["text"] for item in request.input]


def find(store: FakeStore, id: str, caller: Caller = MINE) -> Turn:
    return asyncio.run(kept(store).find(f"resp_{id}", caller))


def conversation(store: FakeStore, *ids: str) -> None:
    async def main() -> None:
        previous = None
        for id in ids:
            await exchange(store, id, previous_response_id=previous)
            previous = f"resp_{id}"

    asyncio.run(main())


def test_a_response_is_found_by_any_process_that_shares_the_store() -> None:
    store = FakeStore()
    conversation(store, "a")
    found = find(store, "a")
    assert found.response["id"] == "resp_a" and found.response["store"] is True
    assert found.input[0]["content"][0]["text"] == "to a"


def test_a_conversation_is_put_together_in_two_reads() -> None:
    store = FakeStore()
    conversation(store, "a", "b", "c")
    store.reads.clear()
    texts = asyncio.run(exchange(store, "d", previous_response_id="resp_c"))
    assert texts == ["to a", "from a", "to b", "from b", "to c", "from c", "to d"]
    assert [len(keys) for keys in store.reads] == [1, 2]


def test_a_conversation_may_fork() -> None:
    store = FakeStore()
    conversation(store, "a", "b")
    assert asyncio.run(exchange(store, "c", previous_response_id="resp_a")) == ["to a", "from a", "to c"]


def test_large_turns_are_kept_in_pieces_and_deleted_whole() -> None:
    store = FakeStore()
    text = os.urandom(500_000).hex()
    asyncio.run(exchange(store, "a", input=text))
    assert len(store.values) == 2
    assert asyncio.run(exchange(store, "b", previous_response_id="resp_a"))[0] == text
    assert asyncio.run(exchange(store, "c", previous_response_id="resp_b"))[0] == text
    asyncio.run(kept(store).delete("resp_a", MINE))
    assert len(store.values) == 2 and not any("resp_a" in key for key in store.values)


@pytest.mark.parametrize("caller", [OTHER, Caller("k1"), Caller("k2", identity=b"")])
def test_no_other_caller_finds_a_response(caller: Caller) -> None:
    store = FakeStore()
    conversation(store, "a")
    with pytest.raises(NotFound):
        find(store, "a", caller)
    with pytest.raises(NotFound):
        asyncio.run(kept(store).delete("resp_a", caller))
    with pytest.raises(InvalidRequest):
        asyncio.run(exchange(store, "b", caller, previous_response_id="resp_a"))
    assert find(store, "a").affinity


def test_keys_tell_nothing_of_the_credential() -> None:
    store = FakeStore()
    conversation(store, "a")
    assert not any("mine" in key or MINE.identity.hex() in key for key in store.values)


def test_a_response_expires() -> None:
    store = FakeStore()
    conversation(store, "a")
    store.now = 59
    assert find(store, "a").affinity
    store.now = 60
    with pytest.raises(NotFound):
        find(store, "a")


@pytest.mark.parametrize("lost", ["a", "b"])
def test_a_conversation_with_a_hole_cannot_be_continued(lost: str) -> None:
    store = FakeStore()
    conversation(store, "a", "b")
    asyncio.run(kept(store).delete(f"resp_{lost}", MINE))
    with pytest.raises(InvalidRequest) as caught:
        asyncio.run(exchange(store, "c", previous_response_id="resp_b"))
    error = caught.value
    assert (error.status, error.code, error.param) == (400, "previous_response_not_found", "previous_response_id")


def test_a_damaged_value_is_as_good_as_none() -> None:
    store = FakeStore()
    conversation(store, "a", "b")
    for key, (value, end) in store.values.items():
        if key.endswith("resp_a"):
            store.values[key] = (value[:9], end)
    with pytest.raises(NotFound):
        find(store, "a")
    with pytest.raises(InvalidRequest):
        asyncio.run(exchange(store, "c", previous_response_id="resp_b"))


@pytest.mark.parametrize("id", ["", "resp_", "resp_a/b", "resp_\n", "resp_" + "a" * 65, "other", "resp_a:1"])
def test_what_is_no_id_is_not_looked_up(id: str) -> None:
    store = FakeStore()
    for act in (kept(store).find, kept(store).delete):
        with pytest.raises(NotFound):
            asyncio.run(act(id, MINE))
    with pytest.raises(InvalidRequest):
        asyncio.run(exchange(store, "b", previous_response_id=id))
    assert store.reads == []


def test_a_previous_id_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        asyncio.run(exchange(FakeStore(), "b", previous_response_id=7))


def test_a_request_that_is_not_to_be_kept_is_left_alone() -> None:
    async def begin(dialect: Any, **body: Any) -> StoredTurn | None:
        return await kept(FakeStore()).begin(dialect, body, MINE)

    assert asyncio.run(begin(RESPONSES, store=False)) is None
    assert asyncio.run(begin(CHAT, store=True)) is None


def test_a_conversation_goes_on_without_being_kept() -> None:
    store = FakeStore()
    conversation(store, "a")
    texts = asyncio.run(exchange(store, "b", previous_response_id="resp_a", store=False))
    assert texts == ["to a", "from a", "to b"]
    with pytest.raises(NotFound):
        find(store, "b")


@pytest.mark.parametrize(
    ("down", "text"), [({"put"}, "Hi"), (set(), os.urandom(6_000_000).hex())], ids=["down", "large"]
)
def test_a_response_that_cannot_be_kept_says_so(down: set[str], text: str, caplog: pytest.LogCaptureFixture) -> None:
    store = FakeStore()
    store.down = down

    async def main() -> dict[str, Any]:
        turn = await begun(store, input=text)
        request = turn.dialect.parse({"input": text})
        body = turn.dialect.renderer(request, response_id="a", now=0.0).body({"status": "completed", "output": []})
        await turn.keep()
        return body

    assert asyncio.run(main())["store"] is False
    assert [record.message for record in caplog.records] == ["response.not_kept"]
    assert store.values == {}


def test_a_store_that_is_down_is_told_to_who_needs_it() -> None:
    store = FakeStore()
    conversation(store, "a")
    store.down = {"get", "delete"}
    for act in (kept(store).find("resp_a", MINE), kept(store).delete("resp_a", MINE)):
        with pytest.raises(GatewayError) as caught:
            asyncio.run(act)
        assert (caught.value.status, caught.value.code) == (503, "store_unavailable")
    store.down = {"delete"}
    with pytest.raises(GatewayError):
        asyncio.run(kept(store).delete("resp_a", MINE))


def test_what_a_store_that_goes_on_alone_does_not_know_is_no_more_gone_than_the_store() -> None:
    alone, shared = FakeStore(), FakeStore()
    responses = StoredResponses(alone, life_s=60, strict=shared)
    conversation(alone, "a")
    shared.down = {"get"}
    assert asyncio.run(responses.find("resp_a", MINE)).response["id"] == "resp_a"
    with pytest.raises(GatewayError) as caught:
        asyncio.run(responses.begin(RESPONSES, {"input": "Hi", "previous_response_id": "resp_b"}, MINE))
    assert (caught.value.status, caught.value.code) == (503, "store_unavailable")


def test_what_this_process_alone_has_kept_is_not_called_kept_and_can_be_continued_here() -> None:
    alone, shared = FakeStore(), FakeStore()
    responses = StoredResponses(alone, life_s=60, strict=shared)

    async def main() -> dict[str, Any]:
        turn = await responses.begin(RESPONSES, {"input": "Hi"}, MINE)
        assert turn is not None
        request = turn.dialect.parse({"input": "Hi"})
        body = turn.dialect.renderer(request, response_id="a", now=0.0).body({"status": "completed", "output": []})
        await turn.keep()
        return body

    shared.down = {"put"}
    assert asyncio.run(main())["store"] is False
    assert (len(alone.values), len(shared.values)) == (1, 0)
    assert asyncio.run(responses.find("resp_a", MINE)).response["id"] == "resp_a"
    shared.down = set()
    assert asyncio.run(main())["store"] is True
    assert len(shared.values) == 1


def test_a_conversation_that_is_too_long_is_refused_before_it_is_read() -> None:
    store = FakeStore()
    long = Turn({"id": "resp_z", "output": []}, [], "root", [Link(f"resp_{number}", 1, 1) for number in range(100)])
    assert asyncio.run(kept(store).keep(long, MINE)) is None
    with pytest.raises(InvalidRequest) as caught:
        asyncio.run(exchange(store, "b", previous_response_id="resp_z"))
    assert caught.value.code == "context_length_exceeded"
    assert len(store.reads) == 1
