"""A strict fake of the Codex backend over real sockets, for synchronous tests.

    with CodexBackend() as backend:
        backend.script(usage_limit(60), account="acct-1")      # the next valid request of acct-1 meets a 429
        backend.script(stream("reasoning", cut=7))             # the next one of anybody else a scripted stream
        ...                                                    # drive the client at backend.url
        assert [request.account for request in backend.requests] == ["acct-1", "acct-2"]
        assert backend.requests[-1].json["store"] is False

Requests are judged by the rules first; only a valid one consumes a script, others get the backend's own refusal.
Without a script the answer reacts to the request. What an honest client never sends (cookies, imitated names, …) is a
violation: the request is refused, and leaving the `with` raises AssertionError unless the test clears the list.
"""

from __future__ import annotations

import functools
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.fakes import codex_errors as errors
from tests.fakes import codex_models as models
from tests.fakes import codex_rules as rules
from tests.fakes.codex_accounts import Account, Accounts, Authority
from tests.fakes.codex_answers import answer
from tests.fakes.codex_behaviours import Behaviour, Http, Scene, Stream, challenge, http_error
from tests.fakes.codex_composer import CREATED_AT, Fields, measured
from tests.fakes.codex_http import Exchange, Server
from tests.fakes.codex_images import images
from tests.fakes.serving import LoopThread, loopback_socket, wait_until
from tests.fakes.tokens import at_owner, sealed

RESPONSES = "/backend-api/codex/responses"
COMPACT = "/backend-api/codex/responses/compact"
MODELS = "/backend-api/codex/models"
GENERATIONS = "/backend-api/codex/images/generations"
EDITS = "/backend-api/codex/images/edits"
USAGE = "/backend-api/wham/usage"
WHOAMI = "/api/accounts/v1/user-auth-credential/whoami"
TOKEN = "/oauth/token"
METHODS = {
    **dict.fromkeys((RESPONSES, COMPACT, GENERATIONS, EDITS, TOKEN), "POST"),
    **dict.fromkeys((MODELS, USAGE, WHOAMI), "GET"),
}


@dataclass(slots=True, eq=False)
class Recorded:
    """One request as it arrived, and what became of it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    """Lower-case names."""
    body: bytes
    connection: int
    """Number of the TCP connection, from 1."""
    json: Any = None
    """The decoded body; a dictionary for form bodies too."""
    token: str | None = None
    account: str | None = None
    """The account id that the request was for, once its credentials were accepted."""
    status: int = 0
    """Of the answer; 0 if no status line was sent."""
    refused: Any = None
    """The body of a refusal by the rules; None for a request that passed."""
    finished: bool = False
    """The whole answer, or its terminal event, was written."""
    client_left: bool = False
    """The client closed the connection before that."""
    closed: threading.Event = field(default_factory=threading.Event)
    """Set when the exchange is over."""


class CodexBackend:
    """The fake. Public members are safe to use from the test's thread while it runs.

    now: epoch seconds, for token expiry and windows. strict_client: whether violations are refused and raised.
    """

    def __init__(self, *, now: Callable[[], float] = time.time, strict_client: bool = True) -> None:
        self.requests: list[Recorded] = []
        self.violations: list[str] = []
        self.accounts = Accounts(now)
        self.authority = Authority()
        self.blocked = False
        """Whether everything is answered with a challenge page."""
        self._strict_client = strict_client
        self._scripts: dict[tuple[str, str | None], deque[Behaviour]] = {}
        self._always: dict[tuple[str, str | None], Behaviour] = {}
        self._lock = threading.Lock()
        self._threads = LoopThread()
        self._server = Server(self._handle)
        self._routes: dict[str, Callable[[Recorded, Account], Behaviour]] = {
            RESPONSES: self._responses,
            COMPACT: self._compact,
            MODELS: self._models,
            GENERATIONS: images,
            EDITS: images,
            USAGE: lambda _, account: http_error(200, self.accounts.usage(account)),
        }

    def __enter__(self) -> CodexBackend:
        listener = loopback_socket()
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        """The origin: what `https://chatgpt.com` and `https://auth.openai.com` are in production."""
        self._threads.__enter__()
        self._threads.run(self._server.start(listener))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._threads.run(self._server.stop())
        self._threads.__exit__()
        if kind is None and (self.violations or self._server.errors):
            raise AssertionError(f"violations: {self.violations}; errors: {self._server.errors}")

    @property
    def connections(self) -> int:
        """TCP connections that are open now."""
        return len(self._server.connections)

    @property
    def accepted(self) -> int:
        """TCP connections accepted so far."""
        return self._server.accepted

    @property
    def generations(self) -> list[Recorded]:
        """The recorded `POST /responses` requests."""
        return [request for request in self.requests if request.path == RESPONSES]

    def script(self, *behaviours: Behaviour, account: str | None = None, path: str = RESPONSES) -> None:
        """Queues behaviours, one for each valid request on this path; those keyed by account go first."""
        with self._lock:
            self._scripts.setdefault((path, account), deque()).extend(behaviours)

    def always(self, behaviour: Behaviour, *, account: str | None = None, path: str = RESPONSES) -> None:
        """What valid requests meet when no queued behaviour is left."""
        self._always[path, account] = behaviour

    def recover(self) -> None:
        """From here on requests are answered as if nothing had been scripted."""
        with self._lock:
            self._scripts.clear()
            self._always.clear()

    def scripts_left(self) -> int:
        """Queued behaviours that no request has consumed."""
        return sum(len(queue) for queue in self._scripts.values())

    def wait_requests(self, count: int, timeout_s: float = 2) -> bool:
        """Waits until so many requests have arrived."""
        return wait_until(lambda: len(self.requests) >= count, timeout_s)

    def wait_closed(self, timeout_s: float = 2) -> bool:
        """Waits until every request so far is over: answered, or given up by its client."""
        end = time.monotonic() + timeout_s
        return all(request.closed.wait(max(0, end - time.monotonic())) for request in list(self.requests))

    async def _handle(self, exchange: Exchange) -> None:
        record = Recorded(
            exchange.method,
            exchange.path,
            dict(urllib.parse.parse_qsl(exchange.query, keep_blank_values=True)),
            dict(exchange.headers),
            exchange.body,
            exchange.connection,
        )
        record.json = _decoded(record)
        exchange.on_head = functools.partial(setattr, record, "status")
        self.requests.append(record)
        with self._settled(record, exchange):
            try:
                account, behaviour = self._judge(record)
            except errors.Refused as refused:
                record.refused = refused.body
                account = None if record.account is None else self.accounts[record.account]
                behaviour = http_error(refused.status, refused.body, refused.headers)
            headers = {} if account is None else self.accounts.headers(account)
            await behaviour.play(exchange, Scene(lambda: answer(record.json, record.account or ""), headers))

    @contextmanager
    def _settled(self, record: Recorded, exchange: Exchange) -> Iterator[None]:
        try:
            yield
        finally:
            record.finished = exchange.finished
            record.client_left = not exchange.finished
            record.closed.set()

    def _judge(self, record: Recorded) -> tuple[Account | None, Behaviour]:
        """The behaviour that a request meets. Raises Refused."""
        if self.blocked:
            return None, challenge()
        method = METHODS.get(record.path)
        if method is None:
            errors.edge("Not Found", 404)
        if record.method != method:
            if record.path == RESPONSES and record.headers.get("upgrade", "").lower() == "websocket":
                errors.edge("Upgrade Required", 426)
            errors.edge("Method Not Allowed", 405)
        if record.path == TOKEN:
            return None, self._scripted(record) or http_error(200, self.authority.exchange(record.json or {}))
        record.token = record.headers.get("authorization", "").removeprefix("Bearer ") or None
        if record.path == WHOAMI:
            return None, self._scripted(record) or _whoami(record.token or "")
        account = self.accounts.authenticate(record.headers)
        record.account = account.id
        self._check_client(record)
        behaviour = self._routes[record.path](record, account)
        return account, self._scripted(record) or behaviour

    def _check_client(self, record: Recorded) -> None:
        found = rules.violations(record.headers, record.path, record.account)
        if self._strict_client and found:
            self.violations.extend(found)
            errors.edge(f"Violation: {'; '.join(found)}")

    def _scripted(self, record: Recorded) -> Behaviour | None:
        with self._lock:
            for key in ((record.path, record.account), (record.path, None)):
                if self._scripts.get(key):
                    return self._scripts[key].popleft()
                if key in self._always:
                    return self._always[key]
        return None

    def _responses(self, record: Recorded, account: Account) -> Behaviour:
        body = rules.json_body(record.headers.get("content-type", ""), record.body)
        rules.check_responses(body, account_id=account.id, plan=account.plan, version=_version(record))
        self.accounts.check_limit(account)
        return Stream()

    def _compact(self, record: Recorded, account: Account) -> Behaviour:
        body = rules.json_body(record.headers.get("content-type", ""), record.body)
        rules.check_compact(body, account_id=account.id, plan=account.plan, version=_version(record))
        self.accounts.check_limit(account)
        kept = [item for item in body["input"] if item["type"] == "message" and item["role"] == "user"]
        compaction = {"type": "compaction", "id": "cmp_made_up", "encrypted_content": sealed(account.id, "compaction")}
        fields: Fields = {"id": "resp_made_up", "object": "response.compaction", "created_at": CREATED_AT}
        return http_error(200, {**fields, "output": [*kept[-1:], compaction], "usage": measured(420, 12)})

    def _models(self, record: Recorded, account: Account) -> Behaviour:
        version = models.version_of(record.query.get("client_version"))
        if version is None:
            errors.edge("client_version is required")
        found = models.visible(account.plan, version)
        return Http(200, msgspec.json.encode({"models": found}), {**errors.JSON, "etag": f'W/"models-{len(found)}"'})


def _version(record: Recorded) -> models.Version | None:
    """The client version that the gates compare: the `version` header's, else the User-Agent's."""
    named = models.version_of(record.headers.get("version"))
    return named or models.version_of(record.headers.get("user-agent"))


def _whoami(token: str) -> Behaviour:
    owner = at_owner(token)
    if owner is None:
        errors.edge("Unauthorized", 401)
    names = ("chatgpt_account_id", "chatgpt_plan_type")
    fixed = {"email": None, "chatgpt_user_id": "user-1", "chatgpt_account_is_fedramp": False}
    return http_error(200, {**fixed, **dict(zip(names, owner, strict=True))})


def _decoded(record: Recorded) -> Any:
    if record.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(urllib.parse.parse_qsl(record.body.decode()))
    try:
        return msgspec.json.decode(record.body) if record.body else None
    except msgspec.DecodeError:
        return None
