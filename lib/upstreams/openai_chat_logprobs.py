"""Log probabilities of a chat's tokens → canonical ones.

Servers differ here, too. What has no token or no number is left out; `bytes`, which the canonical form never has as
null, is made of the token where a server leaves it out. Log probabilities of a refusal have no place there.
"""

from __future__ import annotations

from typing import Any

Logprob = dict[str, Any]
"""`{"token", "logprob", "bytes", "top_logprobs"}`"""


def logprobs_of(found: Any) -> list[Logprob]:
    """Of a choice's `logprobs`; none for what is of another shape."""
    return [
        {**_token(each), "top_logprobs": [_token(top) for top in _tokens(each.get("top_logprobs"))]}
        for each in _tokens(found.get("content") if isinstance(found, dict) else None)
    ]


def _tokens(found: Any) -> list[dict[str, Any]]:
    return [each for each in found if _is_token(each)] if isinstance(found, list) else []


def _is_token(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("token"), str) and _is_number(found.get("logprob"))


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


def _token(found: dict[str, Any]) -> Logprob:
    octets = found.get("bytes")
    if not isinstance(octets, list):
        octets = list(found["token"].encode())
    return {"token": found["token"], "logprob": found["logprob"], "bytes": octets}
