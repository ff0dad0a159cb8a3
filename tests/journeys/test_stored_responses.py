"""Kept responses through the official SDK: two instances of the gateway share a store."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import pytest

from lib.failover import Budget, Failover
from lib.relay import Relay
from lib.routing import Router
from lib.settings import Settings
from lib.stored_responses import StoredResponses
from lib.web.app import build_app
from lib.web.asgi import App
from lib.web.auth import Authenticator
from lib.web.routes import Api
from lib.web.stored import StoredApi
from lib.wired_upstreams import Upstreams
from tests.fakes.codex_backend import CodexBackend
from tests.fakes.codex_behaviours import stream
from tests.fakes.memory_store import FakeStore
from tests.fakes.serving import serving
from tests.journeys.gateway import KEY, TOKENS
from tests.journeys.seen import body_of, events_of

OTHER_KEY = "sk-other-caller-0123456789"


@dataclass
class Instances:
    """Two processes' worth of gateways."""

    backend: CodexBackend
    store: FakeStore
    urls: tuple[str, str]
    http: httpx.Client

    def sdk(self, instance: int = 0, key: str = KEY) -> openai.OpenAI:
        fixed: Any = {"max_retries": 0, "http_client": self.http}
        return openai.OpenAI(api_key=key, base_url=f"{self.urls[instance]}/v1", **fixed)

    def sent(self) -> list[str]:
        """The texts that the upstream got last, and the types of items without any."""
        found: list[str] = []
        for item in self.backend.generations[-1].json["input"]:
            parts = item.get("content") or [{"text": item["type"]}]
            found += [part["text"] for part in parts]
        return found


def app(backend: CodexBackend, store: FakeStore) -> App:
    settings = Settings(_env_file=None, chatgpt_access_tokens=",".join(TOKENS), chatgpt_base_url=backend.url)
    upstreams = Upstreams(settings, time.time)
    router = Router(upstreams.targets(), upstreams.passthrough, default_model=None, cache_s=300, now=time.time)
    responses = StoredResponses(store, life_s=60)
    relay = Relay(
        router,
        Failover(Budget(), now=time.time),
        commit_wait_s=1,
        now=time.time,
        new_id=lambda: secrets.token_hex(16),
        accounts=upstreams.counts,
        history=responses,
    )
    auth = Authenticator([KEY, OTHER_KEY])
    stored = StoredApi(lambda: responses, auth, max_request_bytes=2**20)
    api = Api(relay, auth, max_request_bytes=2**20, others=stored.endpoints())
    return build_app(api, close=upstreams.clients.aclose)


@pytest.fixture(scope="module")
def instances(http: httpx.Client) -> Iterator[Instances]:
    store = FakeStore()
    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(CodexBackend())
        urls = [stack.enter_context(serving(app(backend, store), lifespan="on")) for _ in range(2)]
        yield Instances(backend, store, (urls[0], urls[1]), http)


def create(client: openai.OpenAI, input: Any = "Hi", **fields: Any) -> Any:
    return client.responses.create(**{"model": "gpt-5.5", "input": input, **fields})


def test_a_conversation_goes_on_at_another_instance(instances: Instances) -> None:
    first = create(instances.sdk(0), "My name is Ada.", instructions="Be brief.")
    second = create(instances.sdk(1), "What is my name?", previous_response_id=first.id)
    third = create(instances.sdk(0), "And now?", previous_response_id=second.id)
    said = ["My name is Ada.", first.output_text, "What is my name?", second.output_text, "And now?"]
    assert instances.sent() == said
    assert instances.backend.generations[-1].json["instructions"] == ""
    assert (third.previous_response_id, second.previous_response_id) == (second.id, first.id)
    assert len({instances.backend.generations[-back].account for back in (1, 2, 3)}) == 1


def test_a_stream_is_kept_and_continued(instances: Instances) -> None:
    client = instances.sdk(0)
    with client.responses.stream(model="gpt-5.5", input="One") as events:
        first = events.until_done().get_final_response()
    *_, last = create(instances.sdk(1), "Two", previous_response_id=first.id, stream=True)
    assert instances.sent() == ["One", first.output_text, "Two"]
    assert client.responses.retrieve(last.response.id).to_dict() == last.response.to_dict()


def test_a_kept_stream_has_one_id_from_its_first_event_on(instances: Instances) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    answer = instances.http.post(
        f"{instances.urls[0]}/v1/responses", json=body_of("responses", stream=True), headers=headers
    )
    ids = {event["response"]["id"] for event in events_of(answer) if "response" in event}
    assert len(ids) == 1
    [id] = ids
    assert instances.sdk(1).responses.retrieve(id).id == id


def test_reasoning_goes_on(instances: Instances) -> None:
    first = create(instances.sdk(0), "Think", reasoning={"effort": "high", "summary": "auto"})
    [reasoning] = [item for item in first.output if item.type == "reasoning"]
    create(instances.sdk(1), "Go on", previous_response_id=first.id)
    items = instances.backend.generations[-1].json["input"]
    replayed = [item["encrypted_content"] for item in items if item["type"] == "reasoning"]
    assert reasoning.encrypted_content and replayed == [reasoning.encrypted_content]


def test_a_tool_loop_sends_only_outputs(instances: Instances) -> None:
    instances.backend.script(stream("function_call"))
    asked = create(instances.sdk(0), "Weather?")
    call = next(item for item in asked.output if item.type == "function_call")
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    assert create(instances.sdk(1), [output], previous_response_id=asked.id).status == "completed"
    kinds = [item["type"] for item in instances.backend.generations[-1].json["input"]]
    assert kinds[-2:] == ["function_call", "function_call_output"]


def test_an_incomplete_answer_is_kept(instances: Instances) -> None:
    instances.backend.script(stream("incomplete"))
    first = create(instances.sdk(0))
    assert first.status == "incomplete"
    assert instances.sdk(1).responses.retrieve(first.id).status == "incomplete"
    assert create(instances.sdk(1), "Go on", previous_response_id=first.id).status == "completed"


def test_a_response_is_retrieved_as_it_was(instances: Instances) -> None:
    made = create(instances.sdk(0), metadata={"a": "b"}, temperature=0.5)
    found = instances.sdk(1).responses.retrieve(made.id, include=["reasoning.encrypted_content"])
    assert found.to_dict() == made.to_dict()
    assert found.to_dict()["store"] is True


def test_input_items_are_listed_in_pages(instances: Instances) -> None:
    client = instances.sdk(0)
    made = create(client, [{"role": "user", "content": f"part {number}"} for number in range(3)])
    everything: list[Any] = list(instances.sdk(1).responses.input_items.list(made.id, limit=2))  # follows the pages
    assert [item.content[0].text for item in everything] == ["part 2", "part 1", "part 0"]
    rest = client.responses.input_items.list(made.id, order="asc", after=everything[1].id)
    assert [item.id for item in rest.data] == [everything[0].id] and rest.has_more is False


def test_a_deleted_response_is_gone(instances: Instances) -> None:
    made = create(instances.sdk(0))
    instances.sdk(1).responses.delete(made.id)
    client = instances.sdk(0)
    acts: list[Any] = [client.responses.retrieve, client.responses.delete, client.responses.input_items.list]
    for act in acts:
        with pytest.raises(openai.NotFoundError):
            act(made.id)
    with pytest.raises(openai.BadRequestError) as refusal:
        create(client, previous_response_id=made.id)
    assert (refusal.value.code, refusal.value.param) == ("previous_response_not_found", "previous_response_id")


def test_a_response_that_is_complete_cannot_be_cancelled(instances: Instances) -> None:
    made = create(instances.sdk(0))
    with pytest.raises(openai.BadRequestError, match="synchronous"):
        instances.sdk(1).responses.cancel(made.id)
    with pytest.raises(openai.NotFoundError):
        instances.sdk(1).responses.cancel("resp_unknown")


def test_another_key_finds_nothing(instances: Instances) -> None:
    made = create(instances.sdk(0))
    stranger = instances.sdk(0, OTHER_KEY)
    responses = stranger.responses
    acts: list[Any] = [responses.retrieve, responses.delete, responses.cancel, responses.input_items.list]
    for act in acts:
        with pytest.raises(openai.NotFoundError):
            act(made.id)
    with pytest.raises(openai.BadRequestError):
        create(stranger, previous_response_id=made.id)
    assert instances.sdk(0).responses.retrieve(made.id).id == made.id


def test_what_is_not_to_be_stored_is_not(instances: Instances) -> None:
    before = set(instances.store.values)
    made = create(instances.sdk(0), store=False)
    assert made.to_dict()["store"] is False
    with pytest.raises(openai.NotFoundError):
        instances.sdk(0).responses.retrieve(made.id)
    assert set(instances.store.values) == before


def test_store_has_its_effect_and_is_not_named_as_ignored(instances: Instances) -> None:
    raw = instances.sdk(0).responses.with_raw_response.create(
        model="gpt-5.5", input="Hi", store=True, extra_headers={"x-gateway-strict": "true"}
    )
    assert "x-gateway-ignored" not in raw.headers


@pytest.mark.parametrize("stream", [True, False])
def test_a_store_that_is_down_fails_no_request(instances: Instances, stream: bool) -> None:
    instances.store.down = {"put"}
    try:
        headers = {"authorization": f"Bearer {KEY}"}
        body = body_of("responses", stream=stream)
        answer = instances.http.post(f"{instances.urls[0]}/v1/responses", json=body, headers=headers)
    finally:
        instances.store.down = set()
    assert answer.status_code == 200
    if stream:
        last = events_of(answer)[-1]
        assert (last["type"], last["response"]["store"]) == ("response.completed", False)
    else:
        assert answer.json()["store"] is False


def test_a_kept_response_expires(instances: Instances) -> None:
    made = create(instances.sdk(0))
    instances.store.now += 61
    with pytest.raises(openai.NotFoundError):
        instances.sdk(0).responses.retrieve(made.id)


@pytest.mark.parametrize("field", [{"background": True}, {"conversation": "conv_1"}], ids=str)
def test_what_needs_more_than_a_store_stays_refused(instances: Instances, field: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        create(instances.sdk(0), **field)
    assert refusal.value.param == next(iter(field))


def test_a_kept_response_is_not_streamed_again(instances: Instances) -> None:
    made = create(instances.sdk(0))
    with pytest.raises(openai.BadRequestError, match="cannot be streamed"):
        instances.sdk(0).responses.retrieve(made.id, stream=True)
