from lib.dialects.messages import MESSAGES
from tests.dialects.messages_streams import request


def test_the_dialect_parses_and_renders() -> None:
    found = MESSAGES.renderer(request(), response_id="r1", now=0)
    assert MESSAGES.name == "messages"
    assert found.body({"output": []})["id"] == "msg_r1"
