"""Sound, embeddings, moderations and the older completions through the official SDK: to an upstream that serves them,
and to the demo upstream of a gateway that has nothing but a key."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import struct
import time
import wave
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from lib.settings import Settings
from lib.web.app import create_app
from tests.fakes.codex_behaviours import Http, raw
from tests.fakes.openai_backend import rate_limited
from tests.fakes.openai_media import EMBEDDING, HEARD, SOUND, form_of
from tests.fakes.serving import serving
from tests.journeys.compatible import KEYS, Compatible, Start, compatible
from tests.journeys.gateway import KEY, Host

PATHS = ("/audio/speech", "/audio/transcriptions", "/audio/translations", "/embeddings", "/moderations", "/completions")
FILE = ("grüße.wav", b"RIFF\x00\x01\r\n--not-a-boundary\r\n" + bytes(range(256)) * 20, "audio/wav")

OLD = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
"""The SDK calls translations so."""


@pytest.fixture
def start(host: Host, http: httpx.Client) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(compatible(host, http, **settings))


@pytest.fixture
def gateway(start: Start) -> Compatible:
    return start(keys=KEYS)


@pytest.fixture(scope="module")
def demo() -> Iterator[openai.OpenAI]:
    app = create_app(Settings(_env_file=None, auth_tokens=KEY))
    with serving(app, lifespan="on") as url, httpx.Client(verify=False, trust_env=False, timeout=10) as http:
        options: dict[str, Any] = {"api_key": KEY, "base_url": f"{url}/v1", "max_retries": 0, "http_client": http}
        yield openai.OpenAI(**options)


# --- An upstream that serves them -------------------------------------------------------------------------------------


def test_speech_arrives_as_it_is(gateway: Compatible) -> None:
    fields: Any = {"model": "tts-1", "voice": {"id": "voice_1"}, "input": "Grüße", "speed": 1.25}
    answer = gateway.sdk().audio.speech.create(**fields)
    assert answer.content == SOUND
    headers = answer.response.headers
    assert headers["content-type"] == "audio/mpeg" and "set-cookie" not in headers
    assert gateway.sent == fields
    assert (gateway.backend.requests[0].path, gateway.backend.requests[0].key in KEYS) == ("/audio/speech", True)


def test_speech_is_heard_while_it_is_made(gateway: Compatible) -> None:
    arrived = []
    with gateway.sdk().audio.speech.with_streaming_response.create(model="m", voice="v", input="Hi") as answer:
        for piece in answer.iter_bytes():
            arrived.append((time.monotonic(), piece))
    assert b"".join(piece for _, piece in arrived) == SOUND
    assert arrived[-1][0] - arrived[0][0] > 0.01, "it came in one piece"


def test_speech_as_events(gateway: Compatible) -> None:
    body = {"model": "m", "voice": "v", "input": "Hi", "stream_format": "sse"}
    answer = gateway.send("POST", "/v1/audio/speech", json=body)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert '"speech.audio.delta"' in answer.text and answer.text.rstrip().splitlines()[-1].find("speech.audio.done") > 0
    assert "input_tokens=14" in gateway.line()


def test_a_transcription_keeps_file_and_fields(gateway: Compatible) -> None:
    found = gateway.sdk().audio.transcriptions.create(
        model="whisper-1", file=FILE, language="de", prompt="Äther", temperature=0.2, timestamp_granularities=["word"]
    )
    assert found.text == HEARD
    form = form_of(gateway.backend.requests[0])
    assert form["file"][0][1] == FILE[1]
    assert {name: values[0][1].decode() for name, values in form.items() if name != "file"} == {
        "model": "whisper-1",
        "language": "de",
        "prompt": "Äther",
        "temperature": "0.2",
        "timestamp_granularities[]": "word",
    }


def test_a_form_is_forwarded_byte_for_byte_unless_its_model_has_another_name(start: Start) -> None:
    boundary = "X-" + "y" * 20
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="model"\r\nContent-Length: 4\r\n\r\n'
    body = (
        (
            f"{head}fast\r\n--{boundary}\r\nContent-Disposition: form-data; "
            f'name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
        ).encode()
        + FILE[1]
        + f"\r\n--{boundary}--\r\n".encode()
    )
    headers = {"content-type": f'multipart/form-data; boundary="{boundary}"'}
    gateway = start()
    assert gateway.send("POST", "/v1/audio/transcriptions", content=body, headers=headers).json()["text"] == HEARD
    assert gateway.backend.requests[0].body == body
    renamed = start(model_map="fast=whisper-large")
    assert renamed.send("POST", "/v1/audio/translations", content=body, headers=headers).json()["text"] == HEARD
    expected = body.replace(b"Length: 4", b"Length: 13").replace(b"fast", b"whisper-large")
    assert renamed.backend.requests[0].body == expected


@OLD
def test_a_streamed_transcription_and_other_formats(gateway: Compatible) -> None:
    create: Any = gateway.sdk().audio.transcriptions.create
    events = list(create(model="m", file=FILE, stream=True))
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert create(model="m", file=FILE, response_format="text").strip() == HEARD
    assert create(model="m", file=FILE, response_format="verbose_json").duration == 1.5
    assert "WEBVTT" in create(model="m", file=FILE, response_format="vtt")
    assert gateway.sdk().audio.translations.create(model="m", file=FILE).text == HEARD


def test_embeddings_moderations_and_completions(gateway: Compatible) -> None:
    sdk = gateway.sdk()
    found = sdk.embeddings.create(model="e", input=["a", "b"], encoding_format="float", dimensions=3)
    assert [each.embedding for each in found.data] == [EMBEDDING] * 2
    assert sdk.moderations.create(input="Hi").results[0].flagged is False
    whole = sdk.completions.create(model="c", prompt="Hi", max_tokens=5, n=1, logprobs=2)
    assert whole.choices[0].text == "Hi there"
    said = list(sdk.completions.create(model="c", prompt=["Hi"], stream=True))
    assert "".join(each.choices[0].text for each in said) == "Hi there"
    assert [request.path for request in gateway.backend.requests] == [
        "/embeddings",
        "/moderations",
        "/completions",
        "/completions",
    ]


@pytest.mark.parametrize("path", ["/audio/speech", "/embeddings", "/completions", "/moderations"])
@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_another_key_takes_over(gateway: Compatible, path: str, prefix: str) -> None:
    gateway.backend.script(rate_limited(), path=path)
    body = {"model": "m", "input": "Hi"}
    body = {"model": "m", "prompt": "Hi"} if path == "/completions" else body
    answer = gateway.send("POST", prefix + path, json={**body, **({"voice": "v"} if path == "/audio/speech" else {})})
    assert answer.status_code == 200, answer.text
    assert set(gateway.keys()) == set(KEYS)


def test_sound_that_breaks_off_is_no_whole_sound(gateway: Compatible) -> None:
    class Broken:
        async def play(self, exchange: Any, scene: Any) -> None:
            exchange.head(200, {"content-type": "audio/mpeg", "transfer-encoding": "chunked"})
            exchange.chunk(SOUND[:500])
            await exchange.sleep(0.05)
            exchange.close()

    gateway.backend.script(Broken(), path="/audio/speech")
    with pytest.raises(openai.APIConnectionError):
        gateway.sdk().audio.speech.create(model="m", voice="v", input="Hi")
    assert "error=upstream_truncated" in gateway.line()


def test_completions_that_break_off_end_with_an_error(gateway: Compatible) -> None:
    frame = b'data: {"id":"c","object":"text_completion","choices":[{"index":0,"text":"Hi","finish_reason":null}]}\n\n'
    gateway.backend.script(raw(frame), path="/completions")
    with pytest.raises(openai.APIError, match="ended before"):
        list(gateway.sdk().completions.create(model="m", prompt="Hi", stream=True))


@pytest.mark.parametrize("path", PATHS)
def test_a_gateway_without_such_an_upstream_says_what_to_set(start: Start, path: str) -> None:
    gateway = start(openai_api_key="", openai_base_url="", chatgpt_access_tokens="at-" + "x" * 40)
    if "transcriptions" in path or "translations" in path:
        answer = gateway.send("POST", f"/v1{path}", files={"file": FILE}, data={"model": "m"})
    else:
        answer = gateway.send("POST", f"/v1{path}", json={"model": "m", "input": "Hi", "voice": "v"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (404, "endpoint_not_served")
    assert "OPENAI_API_KEY" in error["message"] and f"/v1{path}" in error["message"]


# --- The demo upstream ------------------------------------------------------------------------------------------------


def test_the_demo_speaks(demo: openai.OpenAI) -> None:
    answer = demo.audio.speech.create(model="tts-1", voice="alloy", input="Hello there.", response_format="wav")
    assert answer.response.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.content)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (24_000, 1, 2)
        assert sound.getnframes() > 10_000
    with demo.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input="Hello there.", response_format="pcm"
    ) as streamed:
        pieces = list(streamed.iter_bytes())
    assert len(pieces) > 1 and len(b"".join(pieces)) == len(answer.content) - 44
    assert struct.unpack("<4s", answer.content[:4]) == (b"RIFF",)


@OLD
def test_the_demo_hears_nothing_and_says_so(demo: openai.OpenAI) -> None:
    sound = demo.audio.speech.create(model="m", voice="v", input="Hi.", response_format="wav").content
    whole = demo.audio.transcriptions.create(model="m", file=("a.wav", sound, "audio/wav"))
    assert "a.wav" in whole.text
    events = list(demo.audio.transcriptions.create(model="m", file=("a.wav", sound), stream=True))
    assert events[-1].type == "transcript.text.done"
    assert "a.wav" in demo.audio.translations.create(model="m", file=("a.wav", sound)).text


def test_the_demo_embeds_in_both_encodings(demo: openai.OpenAI) -> None:
    plain = demo.embeddings.create(model="e", input="Ærø", encoding_format="float", dimensions=64).data[0].embedding
    packed = demo.embeddings.create(model="e", input="Ærø", dimensions=64).data[0].embedding  # the SDK asks for base64
    assert len(plain) == 64 and packed == pytest.approx(plain, abs=1e-6)
    own: Any = demo.embeddings.create(model="e", input="Ærø", encoding_format="base64", dimensions=64).data[0].embedding
    assert len(base64.b64decode(own)) == 4 * 64


def test_the_demo_moderates_and_completes(demo: openai.OpenAI) -> None:
    assert demo.moderations.create(input=["a", "b"]).results[1].flagged is False
    whole = demo.completions.create(model="m", prompt="Once upon").choices[0].text
    streamed = demo.completions.create(model="m", prompt="Once upon", stream=True)
    assert "".join(each.choices[0].text for each in streamed if each.choices) == whole and "Once upon" in whole


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_the_demo_answers_and_refuses_in_openais_words(demo: openai.OpenAI, path: str, prefix: str) -> None:
    root = str(demo.base_url).removesuffix("/v1/")
    with httpx.Client(trust_env=False, headers={"authorization": f"Bearer {KEY}"}) as http:
        for content in (b"{}", b"[]", b"{", b"", b'{"model":1}', b'{"model":"m"}', b'{"model":"m","input":5}'):
            answer = http.post(root + prefix + path, content=content)
            if path in ("/completions", "/moderations") and content in (b'{"model":"m"}', b'{"model":"m","input":5}'):
                continue  # a prompt may be left out
            assert 400 <= answer.status_code < 500, (content, answer.text)
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


# --- Odd answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["", "text/plain", "application/octet-stream", "application/json; charset=utf-8"])
def test_a_server_that_does_not_say_json_is_read_as_json(gateway: Compatible, kind: str) -> None:
    body = b' {"object":"list","data":[],"model":"m"}'
    for path, sent in (("/embeddings", {"model": "m", "input": "Hi"}), ("/completions", {"model": "m", "prompt": "a"})):
        gateway.backend.script(Http(200, body, {"content-type": kind} if kind else {}), path=path)
        answer = gateway.send("POST", f"/v1{path}", json=sent)
        assert (answer.content, answer.headers["content-type"]) == (body, "application/json")
    gateway.backend.script(Http(200, b"\n<!doctype html>", {"content-type": kind} if kind else {}), path="/embeddings")
    assert gateway.send("POST", "/v1/embeddings", json={"model": "m", "input": "Hi"}).status_code == 200
    assert len(gateway.backend.requests) == 4, "another key took over from the web page"


def test_compressed_answers_are_unpacked(gateway: Compatible) -> None:
    packed = {"content-type": "audio/mpeg", "content-encoding": "gzip"}
    gateway.backend.script(Http(200, gzip.compress(SOUND), packed), path="/audio/speech")
    answer = gateway.sdk().audio.speech.create(model="m", voice="v", input="Hi")
    assert answer.content == SOUND and "content-encoding" not in answer.response.headers
    whole = gzip.compress(b'{"object":"list","data":[],"model":"m"}')
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    gateway.backend.script(Http(200, whole, packed), path="/embeddings")
    assert gateway.send("POST", "/v1/embeddings", json={"model": "m", "input": "Hi"}).json()["model"] == "m"


@pytest.mark.parametrize("streamed", [True, False])
def test_a_request_may_come_compressed_and_with_a_byte_order_mark(gateway: Compatible, streamed: bool) -> None:
    plain = b'{"model":"m","prompt":"Hi","stream":%s}' % (b"true" if streamed else b"false")
    headers = {"content-encoding": "gzip"}
    answer = gateway.send("POST", "/v1/completions", content=gzip.compress(b"\xef\xbb\xbf" + plain), headers=headers)
    assert answer.status_code == 200, answer.text
    assert gateway.backend.requests[0].body == plain


class Sound:
    """Begins a sound with a length or in chunks; then the connection closes, or nothing more comes."""

    def __init__(self, *, length: bool, hangs: bool) -> None:
        self.length = length
        self.hangs = hangs

    async def play(self, exchange: Any, scene: Any) -> None:
        framing = {"content-length": str(len(SOUND))} if self.length else {"transfer-encoding": "chunked"}
        exchange.head(200, {"content-type": "audio/mpeg", **framing})
        if self.length:
            exchange.write(SOUND[:500])
        else:
            exchange.chunk(SOUND[:500])
        await exchange.sleep(0.03)
        if self.hangs:
            await exchange.until_left()
        exchange.close()


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("hangs", [True, False])
def test_half_a_sound_never_looks_whole(start: Start, length: bool, hangs: bool) -> None:
    gateway = start(idle_timeout_s=0.2)
    gateway.backend.script(Sound(length=length, hangs=hangs), path="/audio/speech")
    with pytest.raises(openai.APIConnectionError):
        gateway.sdk().audio.speech.create(model="m", voice="v", input="Hi")
    assert f"error=upstream_{'stalled' if hangs else 'truncated'}" in gateway.line()


def test_a_listener_who_leaves_stops_the_speaker(start: Start) -> None:
    gateway = start(idle_timeout_s=5)
    gateway.backend.script(Sound(length=False, hangs=True), path="/audio/speech")
    with gateway.sdk().audio.speech.with_streaming_response.create(model="m", voice="v", input="Hi") as answer:
        assert next(answer.iter_bytes()) == SOUND[:500]
    begun = time.monotonic()
    assert gateway.backend.wait_closed(1) and time.monotonic() - begun < 0.5
    assert "status=499" in gateway.line()


@pytest.mark.parametrize("path", ["/audio/speech", "/embeddings"])
def test_a_refusal_keeps_the_upstreams_words(gateway: Compatible, path: str) -> None:
    voice = {"voice": "v"} if path == "/audio/speech" else {}
    answer = gateway.send("POST", f"/v1{path}", json={"model": "m", "input": "Hi", "wrong": 1, **voice})
    assert answer.status_code == 400 and "wrong" in answer.json()["error"]["message"]
    assert len(gateway.backend.requests) == 1
