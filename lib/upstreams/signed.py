"""The signed upstream's way to say who asks: each request is signed with a key pair, whose secret never travels.

The scheme is in `docs/signed.md`. All else is as with any OpenAI-compatible API.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping

from lib import signing
from lib.errors import UpstreamError, Verdict
from lib.types import Clock, Lease
from lib.upstreams.http import HttpAnswer
from lib.upstreams.openai_api import OpenAIApi
from lib.upstreams.openai_errors import MAX_ERROR_BYTES, error_of
from lib.upstreams.refusals import decoded, safe_message

NAME = "signed"


class Signer:
    """The `authorize` of a signed upstream's API. Every attempt is signed anew, with the time at which it is made.

    key_id: the public half; letters, digits, dots, hyphens and underscores. now: epoch seconds.
    """

    def __init__(self, key_id: str, secret: str, *, now: Clock = time.time) -> None:
        self._key_id = key_id
        self._secret = secret.encode()
        self._now = now

    def __repr__(self) -> str:
        return f"Signer({self._key_id!r})"

    def __call__(self, lease: Lease, method: str, path: str, body: bytes) -> Mapping[str, str]:
        """The headers of one request. `path`: of the URL, with its query; `body`: as it is sent. The lease brings no
        credential of its own."""
        date = str(int(self._now()))
        message = signing.string_to_sign(method, path, date, hashlib.sha256(body).hexdigest())
        credential = signing.Credential(self._key_id, signing.sign(self._secret, message))
        return {"authorization": f"Bearer {signing.encode(credential)}", signing.DATE_HEADER: date}


class SignedApi(OpenAIApi):
    """An OpenAI-compatible API that is asked with signatures.

    A 401 never counts against the key pair, which would be out for as long as this process lives: clocks are set, pairs
    are added over there, and the next request is signed anew. Nor is it the caller's 401. It keeps the other gateway's
    words, which name neither id nor secret.
    """

    async def refusal(self, answer: HttpAnswer, head: bytes = b"") -> UpstreamError:
        """As with any API, but for a 401."""
        if answer.status != 401:
            return await super().refusal(answer, head)
        try:
            body = head + await answer.read(MAX_ERROR_BYTES)
        except UpstreamError:
            body = head
        told = safe_message((error_of(decoded(body)) or {}).get("message")) or "it gives no reason."
        return UpstreamError(
            f"The signed upstream refused this gateway's request: {told}",
            verdict=Verdict.REQUEST,
            status=502,
            code="upstream_unauthorized",
            should_retry=False,
        )
