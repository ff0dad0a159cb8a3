from __future__ import annotations

import pytest

from lib.dialects.forward_wires import CHAT, RESPONSES, SPEECH, TRANSCRIPT, Wire


@pytest.mark.parametrize(
    ("wire", "piece", "ends"),
    [
        (CHAT, b"data: [DONE]\n\n", True),
        (CHAT, b"data: 1\n\ndata:[DONE] \n\n\n", True),
        (CHAT, b'data: "data: [DONE]"\n\n', False),
        (CHAT, b"xdata: [DONE]\n\n", False),
        (CHAT, b"event: response.completed\ndata: {}\n\n", False),
        (RESPONSES, b"data: [DONE]\n\n", False),
        (RESPONSES, b'data: {"type":"response.output_text.delta","delta":"response.completed"}\n\n', False),
        (RESPONSES, b'event: response.completed\ndata: {}\n\ndata: {"type":"x"}\n\n', False),
        (RESPONSES, b'id: 4\nevent: response.completed\ndata: {"a":1,\ndata: "type":"response.completed"}\n\n', True),
        (RESPONSES, b"data: 5\n\n", False),
        (SPEECH, b'data: {"type":"speech.audio.done"}\n\n', True),
        (SPEECH, b'data: {"type":"transcript.text.done"}\n\n', False),
        (TRANSCRIPT, b'data: {"type": "transcript.text.done","text":""}\n\n', True),
        (TRANSCRIPT, b"event: error\ndata: {}\n\n", True),
    ],
)
def test_a_stream_ends_with_its_own_last_event_alone(wire: Wire, piece: bytes, ends: bool) -> None:
    assert wire.ends(piece) is ends
