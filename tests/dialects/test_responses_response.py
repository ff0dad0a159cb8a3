import json
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from lib import sse
from lib.canonical.events import Event
from lib.dialects.responses import RESPONSES
from lib.dialects.responses_response import ResponsesRenderer
from lib.errors import InvalidRequest, UpstreamError, Verdict
from tests.dialects.responses_streams import RESPONSE, STREAMS, Fields, call, event, message, reasoning, stream

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
BROKEN = UpstreamError("The upstream broke off.", verdict=Verdict.SERVICE, code="upstream_truncated")


def renderer(**body: Any) -> ResponsesRenderer:
    request = RESPONSES.parse({"input": "hi", "model": "gpt-demo", "stream": True, **body})
    made = RESPONSES.renderer(request, response_id="r1", now=1_700_000_000.5)
    assert isinstance(made, ResponsesRenderer)
    return made


def frames(data: bytes) -> list[sse.Frame]:
    return sse.Decoder(1 << 20).feed(data)


def fields_of(data: bytes) -> list[Fields]:
    return [json.loads(payload) for _, payload in frames(data)]


def rendered(events: list[Event], **body: Any) -> bytes:
    making = renderer(**body)
    return b"".join([making.feed(each) for each in events]) + making.finish()


def strict(sent: list[Fields]) -> None:
    """What the contract says of every stream, and the official models of every event."""
    assert [each["sequence_number"] for each in sent] == list(range(len(sent)))
    assert sent[0]["type"] == "response.created"
    ends = [each for each in sent if each["type"] in ("response.completed", "response.incomplete", "response.failed")]
    assert ends == sent[-1:]
    for each in sent:
        if each["type"] == "error":
            continue  # the nested half is the SDK's own reading, not in its model
        EVENTS.validate_python(each, strict=False)
        if "response" in each:
            Response.model_validate(each["response"])


@pytest.mark.parametrize("name", STREAMS)
def test_streams_satisfy_the_official_models(name: str) -> None:
    data = rendered(STREAMS[name])
    strict(fields_of(data))
    assert [kind.decode() for kind, _ in frames(data)] == [each["type"] for each in fields_of(data)]


@pytest.mark.parametrize("name", STREAMS)
def test_streamed_and_whole_answers_agree(name: str) -> None:
    events = STREAMS[name]
    whole = renderer().body(events[-1].fields["response"])
    assert fields_of(rendered(events))[-1]["response"] == whole
    assert whole["status"] == ("incomplete" if name == "cut off" else "completed")


@pytest.mark.parametrize("name", STREAMS)
def test_every_event_is_kept_with_its_members(name: str) -> None:
    for event_, sent in zip(STREAMS[name], fields_of(rendered(STREAMS[name])), strict=True):
        for member, value in event_.fields.items():
            if member not in ("sequence_number", "response", "item"):
                assert sent[member] == value


def test_complete_event_passes_byte_for_byte_and_undecoded() -> None:
    events = STREAMS["odd text"]
    data = rendered(events)
    deltas = [each for each in events if each.type == "response.output_text.delta"]
    assert len(deltas) == 6
    for each in [Event(each.type, each.data) for each in deltas]:
        assert b"event: response.output_text.delta\ndata: " + each.data + b"\n\n" in data
    making, fresh = renderer(), [Event(each.type, each.data) for each in events]
    for each in fresh:
        making.feed(each)
    assert all(each.decoded is None for each in fresh if each.type == "response.output_text.delta")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"x","sequence_number":7}',
        b'{"sequence_number":7,"type":"x","a":{"sequence_number":1}}',
        b'{"type":"x","a":{"sequence_number":1},"sequence_number": 7,"b":1}',
        b'{"type":"x","a":{"sequence_number":1}}',
        b'{"type":"x"}',
        b'{"type":"x","t":"\\"sequence_number\\":7}"}',
        b'{"type":"x","sequence_number":' + b"7" * 5000 + b"}",
    ],
)
def test_number_is_put_right_wherever_it_stands(raw: bytes) -> None:
    making = renderer()
    making.feed(STREAMS["text"][0])
    before = json.loads(raw) if len(raw) < 1000 else {"type": "x"}
    for number in (1, 2):
        [sent] = fields_of(making.feed(Event("x", raw)))
        assert sent == {**before, "sequence_number": number}


def test_numbers_run_without_gaps_where_the_upstream_kept_events_back() -> None:
    [created, progress, *rest] = stream(*message("a", "b", "c", "d"))
    numbered = [created, progress, *[event(each.type, 5 * at, **_bare(each)) for at, each in enumerate(rest, 1)]]
    sent = fields_of(rendered(numbered))
    strict(sent)
    assert "".join(each["delta"] for each in sent if each["type"].endswith(".delta")) == "abcd"


def _bare(event_: Event) -> Fields:
    return {name: value for name, value in event_.fields.items() if name not in ("type", "sequence_number")}


def test_events_made_of_members_render_like_those_made_of_bytes() -> None:
    events = STREAMS["reasoning and text"]
    assert fields_of(rendered([Event.of(each.fields) for each in events])) == fields_of(rendered(events))


def test_json_on_several_lines_stays_one_frame() -> None:
    making = renderer()
    making.feed(STREAMS["text"][0])
    raw = b'{"type":"x",\n"a": 1,\n"sequence_number":1}'
    assert frames(making.feed(Event("x", raw)))[0][1] == raw.replace(b"\n", b" ")


def test_delta_on_several_lines_stays_one_frame_though_others_were_whole() -> None:
    events = STREAMS["text"]
    first, second = [each for each in events if each.type == "response.output_text.delta"]
    split = Event(second.type, second.data.replace(b",", b",\n"))
    sent = fields_of(rendered([split if each is second else each for each in events]))
    strict(sent)
    assert [each["delta"] for each in sent if each["type"] == first.type] == ["Hel", "lo"]


def nameless(fields: Fields, index: int) -> Fields:
    item = {name: value for name, value in fields.get("item", {}).items() if name != "id"}
    bare = {name: value for name, value in fields.items() if name not in ("item_id", "item")}
    return {**bare, **({"item": item} if item else {}), "output_index": index}


@pytest.mark.parametrize("kept", [".delta", ".done", ".added", "response."])
def test_items_without_ids_have_the_same_one_everywhere(kept: str) -> None:
    """With gaps in the indices, and however little of an item was streamed."""
    parts = [
        *reasoning("Hm"),
        *message("Hel", "lo", index=1),
        *message("Bye", index=2, id="msg_2"),
        *call("{}", index=3),
    ]
    bare = [(kind, nameless(fields, 3 * fields["output_index"] + 1)) for kind, fields in parts if kept in kind]
    sent = fields_of(rendered(stream(*bare)))
    assert [each["sequence_number"] for each in sent] == list(range(len(sent)))
    told: dict[int, set[str]] = {}
    for each in sent:
        if "output_index" in each:
            told.setdefault(each["output_index"], set()).add(each.get("item_id") or each["item"]["id"])
    assert all(len(ids) == 1 and "_r1_" in next(iter(ids)) for ids in told.values())
    ids = [item["id"] for item in sent[-1]["response"]["output"]]
    assert len(set(ids)) == len(ids) > 0
    assert set(ids) <= set.union(*told.values())


def test_made_ids_tell_what_they_are_of() -> None:
    bare = [(kind, nameless(fields, 0)) for kind, fields in call("{}") if kind.endswith("arguments.delta")]
    assert fields_of(rendered(stream(*bare)))[2]["item_id"] == "fc_r1_0"


def test_item_that_changes_its_id_keeps_the_first() -> None:
    events = message("Hi")
    last = events[-1][1]
    changed = [*events[:-1], (events[-1][0], {**last, "item": {**last["item"], "id": "msg_other"}})]
    sent = fields_of(rendered(stream(*changed)))
    assert sent[-2]["item"]["id"] == sent[-1]["response"]["output"][0]["id"] == "msg_1"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"response.output_text.delta","item_id":"m","logprobs":[],"delta":"x',
        b'{"type":"response.output_text.delta","item_id":"m","logprobs":[],"x":' + b"[" * 100_000,
    ],
)
def test_event_that_has_to_be_read_and_cannot_be_is_the_upstreams_failure(raw: bytes) -> None:
    making = renderer()
    before = b"".join(map(making.feed, STREAMS["text"][:5]))
    with pytest.raises(UpstreamError):
        making.feed(Event("response.output_text.delta", raw))
    strict(fields_of(before + making.fail(BROKEN)))


def test_counts_that_are_no_numbers_are_zero() -> None:
    usage = {"input_tokens": "5", "output_tokens": 1, "total_tokens": None}
    found = fields_of(rendered(stream(usage=usage)))[-1]["response"]["usage"]
    assert (found["input_tokens"], found["output_tokens"], found["total_tokens"]) == (0, 1, 1)


def test_line_end_in_a_type_cannot_break_the_frame() -> None:
    making = renderer()
    making.feed(STREAMS["text"][0])
    [(_, payload)] = frames(making.feed(Event.of({"type": "x\ndata: 1\n\ny"})))
    assert json.loads(payload)["type"] == "x\ndata: 1\n\ny"


def test_members_that_strict_clients_need_are_filled_in() -> None:
    item: Fields = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
    bare = [
        ("response.output_item.added", {"item": {"type": "message"}, "output_index": 0}),
        (
            "response.content_part.added",
            {"output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": ""}},
        ),
        ("response.output_text.delta", {"output_index": 0, "content_index": 0, "delta": "H"}),
        ("response.output_text.delta", {"output_index": 0, "content_index": 0, "delta": "i"}),
        ("response.output_text.done", {"output_index": 0, "content_index": 0, "text": "Hi"}),
        ("response.output_item.done", {"item": item, "output_index": 0}),
    ]
    sent = fields_of(rendered(stream(*bare)))
    strict(sent)
    assert {each["item_id"] for each in sent if "item_id" in each} == {"msg_r1_0"}
    whole = [{"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}]
    done = {"id": "msg_r1_0", "type": "message", "role": "assistant", "status": "completed", "content": whole}
    assert sent[-2]["item"] == done
    assert sent[-1]["response"]["output"] == [done]


def test_arguments_done_names_its_function() -> None:
    events = stream(*call("{}", index=0, name="one"), *call("{}", index=1, name="two"))
    done = [each for each in fields_of(rendered(events)) if each["type"] == "response.function_call_arguments.done"]
    assert [each["name"] for each in done] == ["one", "two"]


def test_name_inside_the_arguments_is_not_taken_for_the_function() -> None:
    sent = fields_of(rendered(stream(*call('{"name":"x"}'))))
    [done] = [each for each in sent if each["type"] == "response.function_call_arguments.done"]
    assert (done["name"], done["arguments"]) == ("look", '{"name":"x"}')


def test_broken_and_unknown_events_pass() -> None:
    odd: list[tuple[str, Fields]] = [
        ("response.output_item.added", {"item": None, "output_index": 0}),
        ("response.content_part.added", {"part": None, "output_index": 0}),
        ("response.function_call_arguments.done", {"arguments": "{}", "item_id": "fc_1", "output_index": ["?"]}),
        ("response.something.new", {"value": 1}),
    ]
    sent = fields_of(rendered(stream(*odd)))
    assert [each["type"] for each in sent[2:-1]] == [kind for kind, _ in odd]
    assert [each["sequence_number"] for each in sent] == list(range(len(sent)))


def test_obfuscation_is_left_out_on_request() -> None:
    assert b'"obfuscation":"x1"' in rendered(STREAMS["text"])
    data = rendered(STREAMS["text"], stream_options={"include_obfuscation": False})
    assert b"obfuscation" not in data
    strict(fields_of(data))


def test_beginning_is_made_up_when_the_upstream_left_it_out() -> None:
    sent = fields_of(rendered(STREAMS["text"][2:]))
    strict(sent)
    assert [each["type"] for each in sent[:2]] == ["response.created", "response.in_progress"]
    assert sent[0]["response"]["id"] == "resp_r1"


def test_lone_terminal_event_gets_a_beginning_with_its_own_id() -> None:
    sent = fields_of(rendered(STREAMS["text"][-1:]))
    strict(sent)
    assert [each["response"]["id"] for each in sent] == ["resp_up1"] * 3
    assert sent[0]["response"]["output"] == []


def test_progress_without_creation_is_not_doubled() -> None:
    sent = fields_of(rendered(STREAMS["text"][1:]))
    strict(sent)
    assert [each["type"] for each in sent[:3]][1:] == ["response.in_progress", "response.output_item.added"]


def test_second_creation_is_dropped() -> None:
    events = STREAMS["text"]
    strict(fields_of(rendered([events[0], *events])))


def test_nothing_follows_the_terminal_event() -> None:
    making = renderer()
    for each in STREAMS["text"]:
        making.feed(each)
    assert making.feed(STREAMS["text"][3]) == making.fail(BROKEN) == making.finish() == b""


@pytest.mark.parametrize("ends_well", [True, False])
def test_the_end_of_an_answer_that_is_kept_waits_for_what_became_of_it(ends_well: bool) -> None:
    making = ResponsesRenderer(RESPONSES.parse({"input": "Hi"}), response_id="7", now=1.0, kept=True)
    begun = b"".join(map(making.feed, STREAMS["text"]))
    assert b"response.completed" not in begun
    assert making.answer is not None and making.answer["store"] is True
    making.answer["store"] = False
    end = making.finish() if ends_well else making.fail(BROKEN)
    strict(fields_of(begun + end))
    [last] = fields_of(end)
    assert (last["type"], last["response"]["store"]) == ("response.completed", False)
    assert making.feed(STREAMS["text"][3]) == making.finish() == b""


def test_upstream_output_that_is_missing_at_the_end_is_what_was_finished() -> None:
    events = [*STREAMS["text"][:-1], event("response.completed", 99, response={**RESPONSE, "output": None})]
    assert fields_of(rendered(events))[-1]["response"]["output"][0]["content"][0]["text"] == "Hello"


# --- Failures -------------------------------------------------------------------------------------------------------


def failed(events: list[Event], error: Any = BROKEN) -> list[Fields]:
    making = renderer()
    data = b"".join([making.feed(each) for each in events]) + making.fail(error) + making.finish()
    assert making.fail(error) == b""
    sent = fields_of(data)
    strict(sent)
    return sent


def test_failure_before_anything_is_a_whole_stream() -> None:
    sent = failed([])
    assert [each["type"] for each in sent] == ["response.created", "response.in_progress", "error", "response.failed"]


def test_failure_in_mid_stream_keeps_what_was_finished() -> None:
    sent = failed(stream(*message("Hello"), *message("cut", index=1, id="msg_2"))[:-4])
    assert [item["id"] for item in sent[-1]["response"]["output"]] == ["msg_1"]
    assert sent[-1]["response"]["id"] == "resp_up1"
    assert sent[-1]["response"]["status"] == "failed"


def test_error_event_is_flat_and_nested() -> None:
    error = failed(STREAMS["text"][:4])[-2]
    flat = {"code": "upstream_truncated", "message": "The upstream broke off.", "param": None}
    number = error.pop("sequence_number")
    assert number == 4
    assert error == {"type": "error", **flat, "error": {"type": "server_error", **flat}}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BROKEN, "server_error"),
        (UpstreamError("x", verdict=Verdict.LIMIT, status=429, code="usage_limit_reached"), "rate_limit_exceeded"),
        (UpstreamError("x", verdict=Verdict.LIMIT, status=429), "rate_limit_exceeded"),
        (UpstreamError("x", verdict=Verdict.REQUEST, status=400, code="context_length_exceeded"), "invalid_prompt"),
        (UpstreamError("x", verdict=Verdict.REQUEST, status=400, code="invalid_image_format"), "invalid_image_format"),
        (InvalidRequest("x"), "invalid_prompt"),
    ],
)
def test_error_code_of_the_response_is_one_of_the_schema(error: Any, code: str) -> None:
    assert failed([], error)[-1]["response"]["error"] == {"code": code, "message": error.message}


def test_failed_event_of_an_upstream_is_completed_and_ends_the_stream() -> None:
    bare = {"id": "resp_up1", "status": "failed", "error": {"code": "server_is_overloaded", "message": "Busy."}}
    sent = fields_of(rendered([*STREAMS["text"][:4], event("response.failed", 4, response=bare)]))
    strict(sent)
    assert sent[-1]["response"]["error"] == {"code": "server_error", "message": "Busy."}


def test_pictures_and_citations_pass_with_all_their_members() -> None:
    cited = {"type": "url_citation", "start_index": 0, "end_index": 2, "title": "T", "url": "https://example.org/"}
    part = {"type": "output_text", "text": "Hi", "annotations": [cited], "logprobs": []}
    items: list[Fields] = [
        {
            "id": "ig_1",
            "type": "image_generation_call",
            "status": "completed",
            "result": None,
            "url": "https://a.example/",
        },
        {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]},
    ]
    at = {"output_index": 1, "item_id": "msg_1", "content_index": 0, "annotation_index": 0}
    events = stream(
        ("response.output_item.done", {"output_index": 0, "item": items[0]}),
        ("response.output_text.annotation.added", {**at, "annotation": cited}),
        ("response.output_item.done", {"output_index": 1, "item": items[1]}),
    )
    sent = fields_of(rendered(events))
    assert [each["item"] for each in sent if "item" in each] == items
    assert [each["annotation"] for each in sent if "annotation" in each] == [cited]
    assert renderer().body({"output": items})["output"] == items
