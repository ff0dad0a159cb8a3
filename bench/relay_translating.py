"""Control `relay-translating`: the thin relay, translating Responses events to chat chunks with as little as it takes.

Events are decoded for the two fields that matter, chunks are a template around the encoded piece of text, and what
arrived in one read leaves in one send. It knows text and a good ending, nothing else.
"""

from __future__ import annotations

import msgspec

from bench.answers import MODEL
from bench.relay import Relay, Translate


class _Event(msgspec.Struct):
    type: str
    delta: str = ""


_decode = msgspec.json.Decoder(_Event).decode
_encode = msgspec.json.Encoder().encode
_HEAD = b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1787300000,"model":"%b",' % (
    MODEL.encode()
)
_ROLE = _HEAD + b'"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
_BEFORE = _HEAD + b'"choices":[{"index":0,"delta":{"content":'
_AFTER = b'},"finish_reason":null}]}\n\n'
_END = _HEAD + b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def translator() -> Translate:
    """The translation of one answer; a cut event is held until its rest comes."""
    rest = b""

    def translate(batch: bytes) -> bytes:
        nonlocal rest
        *blocks, rest = (rest + batch).split(b"\n\n")
        out: list[bytes] = []
        for block in blocks:
            event = _decode(block[block.index(b"data: ") + 6 :])
            if event.type == "response.output_text.delta":
                out += (_BEFORE, _encode(event.delta), _AFTER)
            elif event.type == "response.created":
                out.append(_ROLE)
            elif event.type == "response.completed":
                out.append(_END)
        return b"".join(out)

    return translate


app = Relay(translator)
