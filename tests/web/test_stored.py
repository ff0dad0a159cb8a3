"""The endpoints of kept responses, byte by byte."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec
import pytest

from lib.dialects.responses_stored import Turn
from lib.errors import NotFound
from lib.types import Caller
from lib.web.auth import Authenticator
from lib.web.gate import Gate
from lib.web.paths import Table
from lib.web.stored import StoredApi
from tests.fakes.serving import serving
from tests.web.scripted import AUTHORIZED, KEY, PREFIX, HttpReply, ask

RESPONSE = {"id": "resp_1", "object": "response", "output": []}
ITEM = {"type": "message", "role": "user", "content": [], "id": "msg_1", "status": "completed"}


class OneResponse:
    """Has `resp_1`; records who asked for what."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Caller]] = []

    async def find(self, response_id: str, caller: Caller) -> Turn:
        return self._found("find", response_id, caller)

    async def delete(self, response_id: str, caller: Caller) -> None:
        self._found("delete", response_id, caller)

    def _found(self, what: str, response_id: str, caller: Caller) -> Turn:
        self.calls.append((what, response_id, caller))
        if response_id != "resp_1":
            raise NotFound("not found")
        return Turn(dict(RESPONSE), [dict(ITEM)], "root")


@contextlib.contextmanager
def served(responses: OneResponse | None) -> Iterator[tuple[str, int]]:
    api = StoredApi(lambda: responses, Authenticator([KEY], [PREFIX]), max_request_bytes=1000)
    with serving(Gate(Table(api.endpoints()), now=lambda: 1000.0)) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        yield host, int(port)


@pytest.fixture(scope="module")
def responses() -> OneResponse:
    return OneResponse()


@pytest.fixture(scope="module")
def address(responses: OneResponse) -> Iterator[tuple[str, int]]:
    with served(responses) as found:
        yield found


def told(reply: HttpReply) -> object:
    assert reply.headers["content-type"] == "application/json"
    return msgspec.json.decode(reply.body)


def code(reply: HttpReply) -> tuple[int, str]:
    return reply.status, msgspec.json.decode(reply.body)["error"]["code"]


@pytest.mark.parametrize("path", ["/v1/responses/resp_1", "/responses/resp_1", "/v1//responses/resp_1/"])
def test_a_response_is_shown(address: tuple[str, int], path: str) -> None:
    reply = ask(address, "GET", path)
    assert (reply.status, told(reply)) == (200, RESPONSE)


def test_the_caller_is_known_by_the_whole_key(address: tuple[str, int], responses: OneResponse) -> None:
    ask(address, "GET", "/v1/responses/resp_1")
    assert len(responses.calls[-1][2].identity) == 32


def test_input_is_listed_as_the_query_wants_it(address: tuple[str, int]) -> None:
    reply = ask(address, "GET", "/v1/responses/resp_1/input_items?order=asc&limit=5")
    listed = {"object": "list", "data": [ITEM], "first_id": "msg_1", "last_id": "msg_1", "has_more": False}
    assert (reply.status, told(reply)) == (200, listed)
    assert code(ask(address, "GET", "/v1/responses/resp_1/input_items?limit=0")) == (400, "invalid_value")


def test_a_response_is_deleted(address: tuple[str, int], responses: OneResponse) -> None:
    reply = ask(address, "DELETE", "/v1/responses/resp_1")
    assert (reply.status, told(reply)) == (200, {"id": "resp_1", "object": "response", "deleted": True})
    assert responses.calls[-1][:2] == ("delete", "resp_1")


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_nothing_can_be_cancelled(address: tuple[str, int], body: bytes) -> None:
    reply = ask(address, "POST", "/v1/responses/resp_1/cancel", body=body)
    assert code(reply) == (400, "invalid_value") and b"synchronous" in reply.body
    assert code(ask(address, "POST", "/v1/responses/resp_2/cancel", body=body)) == (404, "not_found")


@pytest.mark.parametrize("query", ["stream=true", "stream=1", "starting_after=3"])
def test_a_kept_response_is_not_streamed(address: tuple[str, int], query: str) -> None:
    assert code(ask(address, "GET", f"/v1/responses/resp_1?{query}")) == (400, "unsupported_value")
    assert ask(address, "GET", "/v1/responses/resp_1?stream=false&include[]=x").status == 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/responses/compact", "delete, get, head, options"),
        ("GET", "/v1/responses/resp_1/cancel", "options, post"),
        ("DELETE", "/v1/responses/resp_1/input_items", "get, head, options"),
    ],
)
def test_other_methods_are_refused(address: tuple[str, int], method: str, path: str, allowed: str) -> None:
    reply = ask(address, method, path)
    assert code(reply) == (405, "method_not_allowed") and reply.headers["allow"] == allowed


def test_what_is_below_an_id_is_no_id(address: tuple[str, int]) -> None:
    assert code(ask(address, "GET", "/v1/responses/resp_1/input_items/more")) == (404, "not_found")


def test_a_key_is_needed(address: tuple[str, int], responses: OneResponse) -> None:
    before = len(responses.calls)
    for method, below in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")):
        path = f"/v1/responses/resp_1{below}"
        assert ask(address, method, path, {"authorization": "Bearer wrong"}).status == 401
    assert len(responses.calls) == before


def test_a_gateway_that_keeps_nothing_says_so() -> None:
    with served(None) as address:
        reply = ask(address, "GET", "/v1/responses/resp_1", AUTHORIZED)
    assert code(reply) == (404, "endpoint_not_served") and b"STATE_URL" in reply.body
