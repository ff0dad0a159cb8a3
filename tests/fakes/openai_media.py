"""The endpoints of the fake OpenAI API that a gateway only forwards: sound, embeddings, moderations, completions.

    with OpenAIBackend(models=None) as backend:
        serve_media(backend)

As strict as the real ones: unknown members and wrong types are refused. Forms are read with the standard library, which
is not what the gateway reads them with. `backend.script(…, path="/audio/speech")` works as for the other endpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import msgspec

from tests.fakes.codex_behaviours import Behaviour, http_error, raw
from tests.fakes.codex_http import Exchange
from tests.fakes.openai_backend import OpenAIBackend, Recorded, play
from tests.fakes.openai_rules import json_object, refuse

SOUND = b"ID3\x04" + bytes(range(256)) * 40
"""What every text sounds like."""
PIECES = 8
"""Chunks in which sound is sent."""
HEARD = "Grüße aus dem Äther."
"""What every file says."""
EMBEDDING = [0.25, -0.5, 1e-9]

_SPEECH: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("model", "input", "instructions", "response_format", "stream_format"), (str,)),
    "voice": (str, dict),
    "speed": (int, float),
}
_EMBEDDINGS = {"model": (str,), "input": (str, list), "encoding_format": (str,), "dimensions": (int,), "user": (str,)}
_MODERATIONS = {"model": (str,), "input": (str, list)}
_COMPLETIONS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("model", "suffix", "user"), (str,)),
    **dict.fromkeys(("max_tokens", "n", "best_of", "logprobs", "seed"), (int,)),
    **dict.fromkeys(("temperature", "top_p", "frequency_penalty", "presence_penalty"), (int, float)),
    "prompt": (str, list),
    "echo": (bool,),
    "stream": (bool,),
    "stream_options": (dict,),
    "stop": (str, list),
    "logit_bias": (dict,),
}
_FORM = {"file", "model", "prompt", "response_format", "temperature", "language", "stream", "include[]"}
_FORM |= {"timestamp_granularities[]", "chunking_strategy"}
_USAGE = {"type": "tokens", "input_tokens": 14, "output_tokens": 5, "total_tokens": 19}


def serve_media(backend: OpenAIBackend) -> None:
    """Adds the endpoints."""
    answers: dict[str, Callable[[Recorded], Behaviour | None]] = {
        "/audio/transcriptions": _heard,
        "/audio/translations": _heard,
        "/embeddings": _embeddings,
        "/moderations": _moderations,
        "/completions": _completions,
    }
    backend.handlers["/audio/speech"] = lambda exchange, record: _speech(backend, exchange, record)
    for path, answer in answers.items():
        backend.handlers[path] = _handler(backend, answer)


def _handler(backend: OpenAIBackend, answer: Callable[[Recorded], Behaviour | None]) -> Any:
    async def handle(exchange: Exchange, record: Recorded) -> None:
        own = answer(record)
        behaviour = backend.scripted(record) or own
        assert behaviour is not None
        await play(exchange, behaviour)

    return handle


def form_of(record: Recorded) -> dict[str, list[tuple[str | None, bytes]]]:
    """The fields of a multipart body: (file name, content) in order."""
    kind = record.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        refuse(f"Invalid content type: '{kind}'.", status=400)
    message = BytesParser(policy=HTTP).parsebytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + record.body)
    if not message.is_multipart() or message.defects:
        refuse("Could not parse multipart form.")
    fields: dict[str, list[tuple[str | None, bytes]]] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(name, str) and isinstance(content, bytes)
        fields.setdefault(name, []).append((part.get_filename(), content))
    return fields


async def _speech(backend: OpenAIBackend, exchange: Exchange, record: Recorded) -> None:
    body = _checked(record, _SPEECH, ("model", "input", "voice"))
    scripted = backend.scripted(record)
    if scripted is not None:
        await play(exchange, scripted)
        return
    if body.get("stream_format") == "sse":
        await play(exchange, _events({"type": "speech.audio.delta", "audio": "SUQz"}, _done("speech.audio.done")))
        return
    headers = {"content-type": "audio/mpeg", "transfer-encoding": "chunked", "set-cookie": "a=b", "x-request-id": "r"}
    exchange.head(200, headers)
    step = len(SOUND) // PIECES + 1
    for start in range(0, len(SOUND), step):
        exchange.chunk(SOUND[start : start + step])
        await exchange.sleep(0.005)
    exchange.end()
    exchange.finished = True


def _heard(record: Recorded) -> Behaviour:
    form = form_of(record)
    for name in form:
        if name not in _FORM:
            refuse(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    for name in ("file", "model"):
        if len(form.get(name, ())) != 1:
            refuse(f"Missing required parameter: '{name}'.", param=name)
    filename, data = form["file"][0]
    if not filename or not data:
        refuse("Invalid file format.", param="file")
    kind = _text(form, "response_format") or "json"
    if _text(form, "stream") == "true":
        return _events({"type": "transcript.text.delta", "delta": HEARD}, _done("transcript.text.done", text=HEARD))
    if kind == "json":
        return http_error(200, {"text": HEARD, "usage": _USAGE})
    if kind == "verbose_json":
        return http_error(200, {"task": "transcribe", "language": "german", "duration": 1.5, "text": HEARD})
    plain = {"text": HEARD, "srt": f"1\n00:00:00,000 --> 00:00:01,500\n{HEARD}\n", "vtt": f"WEBVTT\n\n{HEARD}\n"}
    if kind not in plain:
        refuse(f"Invalid value: '{kind}'.", param="response_format")
    return raw(plain[kind].encode(), content_type="text/plain; charset=utf-8")


def _embeddings(record: Recorded) -> Behaviour:
    body = _checked(record, _EMBEDDINGS, ("model", "input"))
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    data = [{"object": "embedding", "index": index, "embedding": EMBEDDING} for index in range(len(inputs))]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    return http_error(200, {"object": "list", "data": data, "model": body["model"], "usage": usage})


def _moderations(record: Recorded) -> Behaviour:
    body = _checked(record, _MODERATIONS, ("input",))
    result = {"flagged": False, "categories": {"violence": False}, "category_scores": {"violence": 0.01}}
    model = body.get("model", "omni-moderation-latest")
    return http_error(200, {"id": "modr-1", "model": model, "results": [result]})


def _completions(record: Recorded) -> Behaviour:
    body = _checked(record, _COMPLETIONS, ("model",))
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1_795_000_000, "model": body["model"]}

    def made(text: str, finish: str | None) -> dict[str, Any]:
        choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
        return {**head, "choices": [choice]}

    if body.get("stream"):
        frames = [made("Hi", None), made(" there", None), made("", "stop")]
        return raw(b"".join(b"data: %b\n\n" % msgspec.json.encode(each) for each in frames) + b"data: [DONE]\n\n")
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    return http_error(200, {**made("Hi there", "stop"), "usage": usage})


def _checked(record: Recorded, rows: Mapping[str, tuple[type, ...]], required: tuple[str, ...]) -> dict[str, Any]:
    body: dict[str, Any] = json_object(record.headers.get("content-type", ""), record.body)
    for name, value in body.items():
        if name not in rows:
            refuse(f"Unrecognized request argument supplied: {name}")
        if type(value) not in rows[name]:
            refuse(f"Invalid type for '{name}'.", param=name, code="invalid_type")
    for name in required:
        if name not in body:
            refuse(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    return body


def _text(form: Mapping[str, list[tuple[str | None, bytes]]], name: str) -> str | None:
    return form[name][0][1].decode() if name in form else None


def _done(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields, "usage": _USAGE}


def _events(*events: dict[str, Any]) -> Behaviour:
    return raw(b"".join(b"data: %b\n\n" % msgspec.json.encode(event) for event in events))
