"""The dialect as the official SDK meets it: over a socket, with its stream accumulator and its typed models."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import openai
import pytest

from lib.dialects.responses import RESPONSES
from lib.errors import UpstreamError, Verdict
from tests.dialects.responses_streams import STREAMS


def test_dialect_has_its_name() -> None:
    assert RESPONSES.name == "responses"
    assert RESPONSES.renderer(RESPONSES.parse({"input": "x"}), response_id="r", now=0).keep_alive == b": keep-alive\n\n"


@contextmanager
def served(name: str, *, cut_after: int | None = None) -> Iterator[openai.OpenAI]:
    """A client of a server that answers each request with one stream of `STREAMS`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            request = RESPONSES.parse(body)
            renderer = RESPONSES.renderer(request, response_id="r1", now=1_700_000_000)
            events = STREAMS[name]
            if request.stream:
                kind, data = "text/event-stream", b"".join(renderer.feed(each) for each in events[:cut_after])
                if cut_after is not None:
                    data += renderer.fail(UpstreamError("Broke off.", verdict=Verdict.SERVICE))
                data += renderer.finish()
            else:
                whole = renderer.body(events[-1].fields["response"])
                kind, data = "application/json", json.dumps(whole).encode()
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        base = f"http://127.0.0.1:{server.server_port}/v1"
        with openai.OpenAI(base_url=base, api_key="test", max_retries=0) as client:
            yield client
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("name", [name for name in STREAMS if name != "cut off"])
def test_sdk_gathers_the_same_answer_streamed_and_whole(name: str) -> None:
    with served(name) as client:
        whole = client.responses.create(model="gpt-demo", input="hi")
        with client.responses.stream(model="gpt-demo", input="hi") as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_response()
    assert kinds == [event.type for event in STREAMS[name]]
    assert final.output_text == whole.output_text
    assert [item.type for item in final.output] == [item.type for item in whole.output]
    assert final.usage == whole.usage


def test_sdk_sees_text_and_calls() -> None:
    with served("odd text") as client:
        assert client.responses.create(model="m", input="hi").output_text == (
            ' \n\n[DONE]\ndata: {}\n\nexec_command\u2028\u2029\u0085"item_id":'
        )
    with served("function call") as client, client.responses.stream(model="m", input="hi") as stream:
        [call] = stream.get_final_response().output
        assert call.type == "function_call"
        assert (call.name, call.arguments) == ("look", '{"city":"Lima"}')


def test_sdk_raises_when_the_stream_broke() -> None:
    with served("text", cut_after=5) as client, pytest.raises(openai.APIError, match="Broke off"):
        for _ in client.responses.create(model="m", input="hi", stream=True):
            pass
