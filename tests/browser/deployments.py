"""Deployments to look at: whole gateways over sockets, with accounts in every state."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from lib.settings import Settings
from lib.web.app import create_app
from tests.fakes.codex_backend import CodexBackend
from tests.fakes.serving import serving
from tests.fakes.tokens import jwt

KEY = "sk-browser-canary-0123456789-wXyZ"
PREFIX = "prefix-canary-QrTy-"
HOUR = 3600.0


@contextlib.contextmanager
def deployed(**settings: Any) -> Iterator[str]:
    """A gateway's base URL; the demo upstream answers unless the settings say otherwise."""
    app = create_app(Settings(**{"_env_file": None, "auth_tokens": KEY, **settings}))
    with serving(app, access_log=False, lifespan="on") as url:
        yield url


@contextlib.contextmanager
def with_accounts(**settings: Any) -> Iterator[tuple[str, CodexBackend]]:
    """A gateway with ChatGPT accounts: once their usage is asked for, a1 and a5 are ready, a2 rests, a3 is refused and
    a4 has expired."""
    lives = {
        "acct-1": 220 * HOUR,
        "acct-2": 31 * HOUR,
        "acct-3": 100 * HOUR,
        "acct-4": -50 * HOUR,
        "acct-5": 800 * HOUR,
    }
    plans = {"acct-1": "plus", "acct-2": "pro", "acct-3": "team", "acct-4": "plus", "acct-5": "pro"}
    accounts = {name: jwt(name, plan=plans[name], expires_in_s=life) for name, life in lives.items()}
    with CodexBackend() as backend:
        backend.accounts["acct-1"].primary_percent = 37
        backend.accounts["acct-2"].exhausted_until = time.time() + 1.6 * HOUR
        backend.accounts["acct-5"].primary_percent = 84
        backend.accounts["acct-5"].secondary_percent = 61
        backend.accounts.revoked[accounts["acct-3"]] = "token_invalidated"
        fixed = {"chatgpt_access_tokens": ",".join(accounts.values()), "chatgpt_base_url": backend.url}
        with deployed(**{**fixed, **settings}) as url:
            yield url, backend
