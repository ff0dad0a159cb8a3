"""POST /v1/keys: new scoped keys (`lib/scoped_keys.py`) for the holder of one of the gateway's own keys."""

from __future__ import annotations

from lib.errors import NotAllowed, NotFound
from lib.types import Clock
from lib.web.asgi import Receive, Scope, Send, send_json
from lib.web.auth import Authenticator, caller_of
from lib.web.bodies import read_json
from lib.web.paths import Endpoint

MAX_BYTES = 16 * 1024


class KeysApi:
    """The endpoint. secret: the one that new keys are made from; None: there is none, and no key either."""

    def __init__(self, secret: bytes | None, auth: Authenticator, *, now: Clock) -> None:
        self._secret = secret
        self._auth = auth
        self._now = now

    def endpoints(self) -> list[Endpoint]:
        """The row for the table."""
        row = Endpoint("/v1/keys", {"POST": self.mint}, "A new key with limits of its own")
        return [self._auth.guarded(row, max_bytes=MAX_BYTES)]

    async def mint(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /v1/keys: the key is in this answer and nowhere else."""
        if not self._auth.is_local(caller_of(scope)):
            raise NotAllowed(
                "New keys are for the holder of one of the gateway's own keys (AUTH_TOKENS).", code="local_key_required"
            )
        if self._secret is None:
            raise NotFound(
                "This gateway makes no keys. Its operator sets KEY_SECRET to at least 32 random characters, as from "
                "`openssl rand -hex 32`.",
                code="endpoint_not_served",
            )
        from lib.web.minting import described, limits_of, minted, new_id

        limits = limits_of(await read_json(scope, receive, max_bytes=MAX_BYTES), self._now())
        key_id = new_id(limits.label)
        answer = {"object": "gateway.key", "id": key_id, "key": minted(self._secret, key_id, limits)}
        await send_json(send, 200, answer | described(limits), [(b"cache-control", b"no-store")])
