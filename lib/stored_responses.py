"""Keeps responses in a store and finds them again, each for the caller alone who asked for it.

Keys hold a digest of the caller's whole credential: another caller's key leads nowhere, also with the right id. A
response is kept before the last bytes of its answer leave, because a sandbox may freeze right after them. One that
cannot be kept (too large, store down) is answered all the same; the log says so, and so does `store` in the answer, as
far as that has not left.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lib.errors import GatewayError, InvalidRequest, NotFound, StoreError
from lib.keeping import Store
from lib.types import Caller, Dialect

if TYPE_CHECKING:
    from lib.dialects.responses_stored import Link, StoredDialect, Turn

_LOG = logging.getLogger("chat2api.responses")
_ID = re.compile(r"resp_[A-Za-z0-9_-]{1,64}")
_MAX_SHOWN_CHARS = 80


class StoredResponses:
    """The kept responses of all callers. life_s: how long each one is kept. strict: the side of the store that raises
    while it is down, where the other goes on alone: what it took is kept, and what it does not find is not there."""

    def __init__(self, store: Store, *, life_s: float, strict: Store | None = None) -> None:
        self._store = store
        self._strict = strict or store
        self._life_s = life_s

    def concerns(self, dialect: Dialect, body: Mapping[str, Any]) -> bool:
        """Whether a request continues a kept response, or is to be kept itself."""
        return dialect.name == "responses" and (
            body.get("store") is not False or body.get("previous_response_id") is not None
        )

    async def begin(self, dialect: Dialect, body: Mapping[str, Any], caller: Caller) -> StoredTurn | None:
        """For a request that continues a kept response, or is to be kept itself; None for any other. Raises
        InvalidRequest, NotFound, and GatewayError when the store cannot be read."""
        if not self.concerns(dialect, body):
            return None
        previous = body.get("previous_response_id")
        keeps = body.get("store") is not False
        from lib.dialects.responses_stored import StoredDialect

        links, turns = ((), ()) if previous is None else await self._conversation(previous, caller)
        return StoredTurn(self, StoredDialect(links, turns, keeps=keeps), caller)

    async def find(self, response_id: str, caller: Caller) -> Turn:
        """Raises NotFound, GatewayError."""
        found = await self._read(response_id, caller)
        if found is None:
            raise _not_found(response_id)
        return found[0]

    async def delete(self, response_id: str, caller: Caller) -> None:
        """Conversations that go through it cannot be continued any more. Raises NotFound, GatewayError."""
        from lib.dialects.responses_stored import pieces_of

        key = _key(response_id, caller)
        head = (await self._get([key])).get(key) if key is not None else None
        if key is None or head is None:
            raise _not_found(response_id)
        try:
            for piece in _keys(key, pieces_of(head)):  # the first one first: without it there is no response
                await self._store.delete(piece)
        except StoreError as error:
            raise _unavailable() from error

    async def keep(self, turn: Turn, caller: Caller) -> str | None:
        """Why the turn could not be kept; None when it is."""
        from lib.dialects.responses_stored import pack

        packed = pack(turn)
        key = _key(turn.response["id"], caller)
        if packed is None or key is None:
            return "too_large"
        _, pieces = packed
        named = list(zip(_keys(key, len(pieces)), pieces, strict=True))
        try:
            await self._put(self._strict, named)
        except StoreError:
            # Who asks this instance again is served all the same, and others once the store is back. Nobody is promised
            # either: the next request may meet another instance, and this one may end.
            with contextlib.suppress(StoreError):
                await self._put(self._store, named)
            return "store_failed"
        return None

    async def _put(self, store: Store, named: Sequence[tuple[str, bytes]]) -> None:
        for name, piece in reversed(named):  # the first piece last: once it is there, all are
            await store.put(name, piece, life_s=self._life_s)

    async def _conversation(self, previous: Any, caller: Caller) -> tuple[Sequence[Link], Sequence[Turn]]:
        from lib.dialects.fields import string
        from lib.dialects.responses_stored import check_length, unpack

        string(previous, "previous_response_id")
        found = await self._read(previous, caller)
        if found is None:
            raise _no_previous(previous)
        last, link = found
        links = [*last.earlier, link]
        check_length(links)
        names = [_keys(_key(each.id, caller) or "", each.pieces) for each in last.earlier]
        values = await self._get([name for group in names for name in group])
        turns = []
        for group in names:
            turn = unpack([values[name] for name in group]) if values.keys() >= set(group) else None
            if turn is None:
                raise _no_previous(previous)
            turns.append(turn[0])
        return links, [*turns, last]

    async def _read(self, response_id: str, caller: Caller) -> tuple[Turn, Link] | None:
        """A turn, and the link to it."""
        from lib.dialects.responses_stored import Link, pieces_of, unpack

        key = _key(response_id, caller)
        if key is None:
            return None
        values = await self._get([key])
        names = _keys(key, pieces_of(values.get(key, b"")))
        values |= await self._get(names[1:])
        if not names or not values.keys() >= set(names):
            return None
        found = unpack([values[name] for name in names])
        return None if found is None else (found[0], Link(response_id, len(names), found[1]))

    async def _get(self, keys: Sequence[str]) -> dict[str, bytes]:
        if not keys:
            return {}
        try:
            found = dict(await self._store.get(keys))
            missing = [key for key in keys if key not in found]
            return found | await self._strict.get(missing) if missing else found
        except StoreError as error:
            raise _unavailable() from error


class StoredTurn:
    """One request of a conversation that is kept, or whose answer will be."""

    def __init__(self, responses: StoredResponses, dialect: StoredDialect, caller: Caller) -> None:
        self._responses = responses
        self._dialect = dialect
        self._caller = caller

    @property
    def dialect(self) -> Dialect:
        """Parses the request with what was said before it."""
        return self._dialect

    async def keep(self) -> None:
        """Keeps the answer that the dialect's renderer has made; one that cannot be kept says `store: false`, if it has
        not left yet. To be awaited before the last bytes leave. Raises nothing."""
        answer = self._dialect.answer
        if answer is None:
            return
        reason = await self._responses.keep(self._dialect.turn(answer), self._caller)
        if reason is not None:
            answer["store"] = False
            _LOG.warning("response.not_kept", extra={"fields": {"caller": self._caller.key, "reason": reason}})


def _key(response_id: str, caller: Caller) -> str | None:
    """None for what can be no response's id."""
    if not _ID.fullmatch(response_id):
        return None
    owner = hashlib.sha256(b"responses\0" + (caller.identity or caller.key.encode())).hexdigest()
    return f"response:{owner}:{response_id}"


def _keys(key: str, pieces: int) -> list[str]:
    return [key if place == 0 else f"{key}:{place}" for place in range(pieces)]


def _shown(response_id: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in response_id[:_MAX_SHOWN_CHARS])


def _not_found(response_id: str) -> NotFound:
    return NotFound(
        f"Response with id '{_shown(response_id)}' not found. It may have expired, or belong to another key.",
        param="response_id",
    )


def _no_previous(response_id: str) -> InvalidRequest:
    return InvalidRequest(
        f"Previous response with id '{_shown(response_id)}' not found. It, or a response before it, may have expired, "
        "been too large to be kept, or belong to another key. Send the whole conversation in 'input'.",
        param="previous_response_id",
        code="previous_response_not_found",
    )


def _unavailable() -> GatewayError:
    return GatewayError(
        "The gateway's store cannot be reached, so kept responses cannot be read now. Try again, or send the whole "
        "conversation in 'input'.",
        status=503,
        code="store_unavailable",
        should_retry=True,
    )
