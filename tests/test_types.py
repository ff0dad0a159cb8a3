"""The values between the floors show no secret."""

from __future__ import annotations

from lib.types import Caller, Lease, Reply


def test_no_secret_is_in_a_repr() -> None:
    values = [
        Caller("k1", token="canary", account_id="canary"),
        Lease("a1", "codex", {"authorization": "Bearer canary"}, proxy="http://canary:canary@proxy"),
        Reply(200, {}, body=b"canary"),
    ]
    assert "canary" not in repr(values)
    assert "a1" in repr(values) and "k1" in repr(values)
