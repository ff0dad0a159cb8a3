"""Who is calling: credential headers → `Caller`, or a 401. `Authenticator.guarded` stands before every endpoint that
needs a key, so that none of them can forget it.

One rule for `Authorization: Bearer …`, `x-api-key` and `api-key`, and no header is ever more permissive than another:

1. the exact local key, compared in constant time over digests;
2. else the longest private prefix: `<prefix><token>` or `<prefix><token>,<account id>` carries the caller's own token;
3. else, in `Authorization` alone, the credential of a signed request (`lib/signing.py`), which counts once the body has
   been read and the signature fits;
4. else a scoped key (`lib/scoped_keys.py`), with the limits that it carries;
5. else 401. Whatever is missing, malformed, given twice or contradictory is a 401 as well.

No message repeats any part of what was sent.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import time
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lib import signing
from lib.errors import AuthenticationError, PayloadTooLarge
from lib.types import Caller, Clock
from lib.web.asgi import TRACE_KEY, App, ClientGone, Message, Receive, Scope, Send
from lib.web.paths import Endpoint

if TYPE_CHECKING:
    from lib.web.scopes import Scoped, Scopes

CALLER_KEY = "chat2api.caller"
"""Where the request's `Caller` lies in the scope of a guarded endpoint."""

MAX_CREDENTIAL_BYTES = 16 * 1024
MIN_PREFIX_CHARS = 8

_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] ([!-~]+)")
_BARE = re.compile(rb"([!-~]+)")
_FORMS = {b"authorization": _BEARER, b"x-api-key": _BARE, b"api-key": _BARE}
_ACCOUNT_ID = re.compile(rb"[A-Za-z0-9_-]{1,128}")
_JWT = re.compile(rb"eyJ[\w-]*\.[\w-]+\.[\w-]*")

_UNCONFIGURED = (
    "This gateway has no keys, so it refuses every request. Its operator sets AUTH_TOKENS (gateway keys), "
    "ACCESS_TOKEN_PREFIX (callers bring their own access token), KEY_PAIRS (callers sign their requests) or KEY_SECRET "
    "(keys that carry limits of their own)."
)
_MISSING = "No API key was given. Send one as `Authorization: Bearer <key>`."
_MALFORMED = "The credential header is malformed. Send it once, as `Authorization: Bearer <key>`."
_CONTRADICTORY = "The credential headers contradict each other. Send one, as `Authorization: Bearer <key>`."
_UNKNOWN = "Incorrect API key."
_WITHOUT_PREFIX = (
    "Incorrect API key. This looks like an access token: those are accepted only behind the private prefix "
    "that the gateway's operator has set (ACCESS_TOKEN_PREFIX)."
)
_BAD_PASSTHROUGH = "What follows the private prefix must be `<access token>` or `<access token>,<account id>`."
_NO_DATE = (
    "A signed request has a date: the header `x-date` (seconds since 1970) or, without it, `date` "
    "(Sun, 06 Nov 1994 08:49:37 GMT), given once."
)
_BAD_SIGNATURE = (
    "The request's signature is not valid. It is made with the key id's secret over method, path, query, date and body "
    "as they are sent."
)
_ENDPOINTS_ONLY = "A key with limits of its own opens endpoints alone."
_NO_SIGNATURES = "Signed requests are not accepted here. Send a key as `Authorization: Bearer <key>`."


@dataclass(frozen=True, slots=True)
class _Claim:
    """A signed request whose signature is still to be checked; its date is in order."""

    credential: signing.Credential
    date: str


class Authenticator:
    """Knows the gateway's keys (as digests), private prefixes and key pairs; prefixes under eight characters are left
    out.

    pairs: (key id, secret) of those who may sign their requests. now: epoch seconds, for the dates of these. scopes:
    what knows scoped keys; None: there are none.
    """

    def __init__(
        self,
        keys: Iterable[str],
        prefixes: Iterable[str] = (),
        *,
        pairs: Iterable[tuple[str, str]] = (),
        now: Clock = time.time,
        scopes: Scopes | None = None,
    ) -> None:
        digests = {hashlib.sha256(key.encode()).digest() for key in keys if key.strip()}
        self._local = {digest: Caller(key=digest.hex()[:8], identity=digest) for digest in digests}
        usable = {prefix.encode() for prefix in prefixes if len(prefix.strip()) >= MIN_PREFIX_CHARS}
        self._prefixes = sorted(usable, key=len, reverse=True)
        self._pairs = {key_id: secret.encode() for key_id, secret in pairs}
        # Unknown ids are checked like known ones, against a secret that nobody has: nothing tells them apart.
        self._decoy = os.urandom(32)
        self._now = now
        self._scopes = scopes

    def __repr__(self) -> str:
        return f"Authenticator({len(self._local)} keys, {len(self._prefixes)} prefixes)"

    def guarded(self, endpoint: Endpoint, *, max_bytes: int) -> Endpoint:
        """The endpoint as only callers reach it: `caller_of(scope)` says who it is. `max_bytes`: of a signed body."""
        if not endpoint.needs_key:
            return endpoint
        methods = {method: self._guard(app, endpoint.path, max_bytes) for method, app in endpoint.methods.items()}
        return replace(endpoint, methods=methods)

    def caller(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """The caller behind raw ASGI headers (lower-case names), which cannot be the sender of a signed request: its
        body is needed as well; nor a scoped key, whose limits the guard minds. Raises AuthenticationError."""
        found = self._identify(headers)
        if not isinstance(found, Caller):
            raise AuthenticationError(_NO_SIGNATURES if isinstance(found, _Claim) else _ENDPOINTS_ONLY)
        return found

    def is_local(self, caller: Caller) -> bool:
        """Whether the caller holds one of the gateway's own keys: no token of another service, no signature."""
        return caller.token is None and self._is_local(caller.identity)

    def _guard(self, app: App, path: str, max_bytes: int) -> App:
        def guard(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            """Not a coroutine function: the endpoint's own coroutine is handed on, which saves one for each piece."""
            found = self._identify(scope["headers"])
            if isinstance(found, _Claim):
                return self._signed(app, found, max_bytes, scope, receive, send)
            if not isinstance(found, Caller):
                _note(scope, found.caller)  # first of all: the log says whose key was refused
                return app(scope, receive, found.admit(path, send))
            _note(scope, found)
            return app(scope, receive, send)

        return guard

    async def _signed(
        self, app: App, claim: _Claim, max_bytes: int, scope: Scope, receive: Receive, send: Send
    ) -> None:
        body, body_hash = await _read(receive, max_bytes)
        _note(scope, self._confirmed(claim, scope, body_hash))
        await app(scope, _again(body, receive), send)

    def _identify(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller | _Claim | Scoped:
        if not self._local and not self._prefixes and not self._pairs and self._scopes is None:
            raise AuthenticationError(_UNCONFIGURED)
        credential, is_bearer = _credential(headers)
        digest = hashlib.sha256(credential).digest()
        if self._is_local(digest):
            return self._local[digest]
        for prefix in self._prefixes:
            if hmac.compare_digest(credential[: len(prefix)], prefix):
                return self._passthrough(credential[len(prefix) :])
        signed = signing.decode(credential.decode("ascii")) if self._pairs and is_bearer else None
        if signed is not None:
            return _Claim(signed, self._date(headers))
        scoped = self._scopes.identify(credential.decode("ascii")) if self._scopes is not None else None
        if scoped is not None:
            return scoped
        raise AuthenticationError(_WITHOUT_PREFIX if _JWT.match(credential) else _UNKNOWN)

    def _date(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The date header of a signed request, unless it is too far from the clock."""
        date = _date_header(headers)
        sent_at = signing.epoch(date)
        if sent_at is None:
            raise AuthenticationError(_NO_DATE)
        ahead_s = sent_at - self._now()
        if abs(ahead_s) > signing.MAX_SKEW_S:
            raise AuthenticationError(
                f"The request's date is {abs(ahead_s):.0f} seconds {'ahead of' if ahead_s > 0 else 'behind'} this "
                f"gateway's clock, and at most {signing.MAX_SKEW_S} are allowed. Set the clock and sign anew.",
            )
        return date

    def _confirmed(self, claim: _Claim, scope: Scope, body_hash: str) -> Caller:
        key_id = claim.credential.key_id
        message = signing.decoded_string_to_sign(
            scope[TRACE_KEY].method,  # of the request line: endpoints see HEAD as GET
            scope["path"],
            scope["query_string"].decode("utf-8", "replace"),
            claim.date,
            body_hash,
        )
        expected = signing.sign(self._pairs.get(key_id, self._decoy), message)
        if not hmac.compare_digest(expected, claim.credential.mac):
            raise AuthenticationError(_BAD_SIGNATURE)
        identity = hashlib.sha256(b"pair\0" + key_id.encode()).digest()  # no key holds a zero byte
        return Caller(key=hashlib.sha256(key_id.encode()).hexdigest()[:8], identity=identity)

    def _is_local(self, digest: bytes) -> bool:
        found = False
        for known in self._local:  # no early end: the time taken says nothing about the keys
            found |= hmac.compare_digest(digest, known)
        return found

    def _passthrough(self, rest: bytes) -> Caller:
        token, comma, account_id = rest.partition(b",")
        doubled = any(token.startswith(prefix) for prefix in self._prefixes)
        if not token or doubled or (comma and not _ACCOUNT_ID.fullmatch(account_id)):
            raise AuthenticationError(_BAD_PASSTHROUGH)
        return Caller(
            key=hashlib.sha256(token).hexdigest()[:8],
            token=token.decode("ascii"),
            account_id=account_id.decode("ascii") if comma else None,
            identity=hashlib.sha256(b"token\0" + token).digest(),
        )


def caller_of(scope: Scope) -> Caller:
    """Who calls a guarded endpoint."""
    caller: Caller = scope[CALLER_KEY]
    return caller


def _note(scope: Scope, caller: Caller) -> None:
    scope[CALLER_KEY] = caller
    scope[TRACE_KEY].caller = caller.key


async def _read(receive: Receive, max_bytes: int) -> tuple[bytes, str]:
    """The body as it is sent, and its hash. Raises PayloadTooLarge, ClientGone."""
    chunks: list[bytes] = []
    size = 0
    digest = hashlib.sha256()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise PayloadTooLarge(f"The request body is larger than this gateway takes ({max_bytes} bytes).")
        chunks.append(chunk)
        digest.update(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks), digest.hexdigest()


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that begins with the body, which was read before."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return left.pop() if left else await receive()

    return replayed


def _date_header(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """`x-date`, else `date`; empty when neither is given, or one of them twice."""
    for name in (signing.DATE_HEADER.encode(), b"date"):
        values = [value for key, value in headers if key == name]
        if values:
            return values[0].decode("latin-1").strip(" \t") if len(values) == 1 else ""
    return ""


def _credential(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bool]:
    """The one credential that all credential headers agree on, and whether `Authorization` is among them."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        form = _FORMS.get(name)
        if form is None:
            continue
        value = value.rstrip(b" \t")  # white space after a value is no part of it (RFC 9110, 5.5)
        match = form.fullmatch(value) if len(value) <= MAX_CREDENTIAL_BYTES else None
        if match is None or name in found:
            raise AuthenticationError(_MALFORMED)
        found[name] = match[1]
    if not found:
        raise AuthenticationError(_MISSING)
    credential, *others = found.values()
    if any(other != credential for other in others):
        raise AuthenticationError(_CONTRADICTORY)
    return credential, b"authorization" in found
