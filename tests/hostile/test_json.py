"""The row "JSON": bodies that are none, too deep, too long or odd, at every endpoint that takes JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx
import msgspec
import pytest

from lib.dialects import chat_request, images_request, messages_request, responses_request
from lib.dialects.fields import Table, Treatment
from tests.hostile.asking import AUTHORIZED, BODIES, DIALECTS, Asked, conversation

BROKEN: Mapping[str, Callable[[bytes], bytes]] = {
    "deep objects": lambda good: b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "deep arrays": lambda good: b"[" * 10_000 + b"]" * 10_000,
    "deep member": lambda good: good[:-1] + b',"metadata":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "unclosed": lambda good: b'{"a":[' * 10_000,
    "NaN": lambda good: good[:-1] + b',"temperature":NaN}',
    "Infinity": lambda good: good[:-1] + b',"temperature":-Infinity}',
    "beyond floats": lambda good: good[:-1] + b',"temperature":1e400}',
    "UTF-16": lambda good: good.decode().encode("utf-16"),
    "UTF-16 without a mark": lambda good: good.decode().encode("utf-16-le"),
    "UTF-32": lambda good: good.decode().encode("utf-32"),
    "lone surrogate": lambda good: good[:-1] + b',"user":"\\ud800"}',
    "encoded surrogate": lambda good: good[:-1] + b',"user":"\xed\xa0\x80"}',
    "bad UTF-8": lambda good: good[:-1] + b',"user":"\xff"}',
    "cut": lambda good: good[:-2],
    "two": lambda good: good + good,
    "array": lambda good: b"[" + good + b"]",
    "text": lambda good: b'"' + b"x" * 1000 + b'"',
    "null": lambda good: b"null",
    "nothing": lambda good: b" ",
    "single quotes": lambda good: good.replace(b'"', b"'"),
    "form": lambda good: b"model=m&input=Hi",
}
ODD: Mapping[str, Callable[[bytes], bytes]] = {
    "byte order mark": lambda good: b"\xef\xbb\xbf" + good,
    "duplicate keys": lambda good: b'{"model":[1],' + good[1:].replace(b'{"', b'{"model":"m","'),
    "4 MB of an unknown member": lambda good: good[:-1] + b',"unknown":"' + b"x" * 4_000_000 + b'"}',
    "10^400": lambda good: good[:-1] + b',"seed":1' + b"0" * 400 + b"}",
    "escaped names": lambda good: good.replace(b'"model"', b'"\\u006dodel"'),
}
ENDLESS = "x" * 4_000_000
BULKY_S = 3.0
"""What is long and good may take longer than a refusal: it is read and answered."""
TABLES: Mapping[str, Table] = {
    "/v1/chat/completions": chat_request.FIELDS,
    "/v1/responses": responses_request.FIELDS,
    "/v1/messages": messages_request.FIELDS,
    "/v1/images/generations": images_request.GENERATION,
    "/v1/images/edits": images_request.EDIT,
}


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("how", BROKEN)
def test_what_is_no_json_object_is_refused(gateway: Asked, path: str, how: str) -> None:
    good = msgspec.json.encode(BODIES[path])
    error = gateway.refused(path, BROKEN[how](good))
    assert path.startswith("/v1/messages") or error["code"] == "invalid_json"


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("how", ODD)
def test_odd_bodies_do_no_harm(gateway: Asked, path: str, how: str) -> None:
    answer = gateway.send("POST", path, ODD[how](msgspec.json.encode(BODIES[path])))
    assert answer.status == 200 or (answer.status == 400 and answer.json()["error"]["message"])


@pytest.mark.parametrize("path", TABLES)
def test_a_wrong_type_in_any_field_is_refused_by_its_name(address: tuple[str, int], path: str) -> None:
    wrong: list[Any] = [True, -7, 0.5, "x", [None], {"x": None}]
    with httpx.Client(headers=AUTHORIZED, trust_env=False, timeout=5) as http:
        url = f"http://{address[0]}:{address[1]}{path}"
        for row in TABLES[path].values():
            if row.treatment is Treatment.REFUSED and len(row.check.types) > 3:
                continue  # refused whatever it is
            for value in wrong:
                if type(value) in row.check.types:
                    continue
                answer = http.post(url, json={**BODIES[path], row.name: value})
                assert answer.status_code == 400, (row.name, value)
                error = answer.json()["error"]
                assert f"'{row.name}'" in error["message"]
                assert error.get("param", row.name) == row.name


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("stream", ["true", 1, [], {}])
def test_stream_is_a_boolean(gateway: Asked, path: str, stream: Any) -> None:
    assert "stream" in gateway.refused(path, {**BODIES[path], "stream": stream})["message"]


@pytest.mark.parametrize("path", DIALECTS)
@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([], id="empty"),
        pytest.param([[]], id="nested"),
        pytest.param([None], id="null"),
        pytest.param(["Hi"], id="texts"),
        pytest.param([{}], id="nothing"),
        pytest.param([{"role": "wizard", "content": "Hi"}], id="role"),
        pytest.param([{"role": ["user"], "content": "Hi"}], id="role of a wrong type"),
        pytest.param([{"role": "user\r\nx: y", "content": "Hi"}], id="role with line ends"),
        pytest.param({"role": "user", "content": "Hi"}, id="object"),
    ],
)
def test_odd_conversations_are_refused(gateway: Asked, path: str, messages: Any) -> None:
    name = "input" if path == "/v1/responses" else "messages"
    if path == "/v1/responses" and messages == []:
        assert gateway.post(path, {**BODIES[path], name: messages}).status in (200, 400)
        return
    assert gateway.refused(path, {**BODIES[path], name: messages})["message"]


@pytest.mark.parametrize("path", DIALECTS)
@pytest.mark.parametrize(
    "content",
    [
        pytest.param([[["Hi"]]], id="nested lists"),
        pytest.param([None], id="null part"),
        pytest.param([{"type": "wizard"}], id="unknown part"),
        pytest.param([{"type": ["text"], "text": "Hi"}], id="type of a wrong type"),
        pytest.param([{"type": "text", "text": 1}, {"type": "input_text", "text": 1}], id="text of a wrong type"),
        pytest.param({"type": "text", "text": "Hi"}, id="object"),
        pytest.param(7, id="number"),
    ],
)
def test_odd_contents_are_refused(gateway: Asked, path: str, content: Any) -> None:
    assert gateway.refused(path, conversation(path, content))["message"]


@pytest.mark.parametrize("path", DIALECTS)
@pytest.mark.parametrize("content", [None, "", []], ids=["null", "empty text", "empty list"])
def test_empty_contents_do_no_harm(gateway: Asked, path: str, content: Any) -> None:
    assert gateway.post(path, conversation(path, content)).status in (200, 400)


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/v1/chat/completions", "n", -1),
        ("/v1/chat/completions", "n", 10**30),
        ("/v1/images/generations", "n", -1),
        ("/v1/images/generations", "n", 1_000_000),
        ("/v1/completions", "n", -1),
        ("/v1/completions", "n", 1_000_000),
        ("/v1/embeddings", "dimensions", -1),
        ("/v1/embeddings", "dimensions", 10**18),
        ("/v1/audio/speech", "speed", 1e300),
        ("/v1/messages", "max_tokens", -1),
        ("/v1/responses", "max_output_tokens", 0),
    ],
)
def test_counts_out_of_bounds_are_refused(gateway: Asked, path: str, field: str, value: Any) -> None:
    assert field in gateway.refused(path, {**BODIES[path], field: value})["message"]


@pytest.mark.parametrize("path", DIALECTS)
def test_a_hundred_thousand_messages_do_not_hold_the_gateway_up(gateway: Asked, path: str) -> None:
    name = "input" if path == "/v1/responses" else "messages"
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}] * 50_000
    assert gateway.post(path, {**BODIES[path], name: said}, max_s=BULKY_S).status in (200, 400, 413)


@pytest.mark.parametrize("path", [path for path in BODIES if not path.startswith("/v1/images")])
def test_texts_of_4_mb_do_not_hold_the_gateway_up(gateway: Asked, path: str) -> None:
    body = BODIES[path]
    long = {name: ENDLESS if name in ("input", "prompt") else value for name, value in body.items()}
    answer = gateway.post(path, conversation(path, ENDLESS) if "messages" in body else long, max_s=BULKY_S)
    assert answer.status in (200, 400, 413)
    assert len(answer.body) < 100_000
