"""`make serve`: the gateway under uvicorn on this machine, or in a container.

HOST (127.0.0.1) and PORT (3040) stand beside the gateway's own variables, in the environment or in `.env`. Where no
AUTH_TOKENS are set, a key is made up for this run and printed: a laptop needs no set-up, while a deployment without
keys goes on to refuse everyone.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import socket
import sys
from urllib.parse import urlsplit

import uvicorn
from dotenv import dotenv_values

from lib.accounts.pool import ACCOUNT_VARIABLES
from lib.settings import Settings
from lib.upstreams.openai_api import OPENAI_URL
from lib.wired_upstreams import uses_demo

DEMO_KEY = "sk-local-demo-only"
"""The key that opens the demo on a loopback address: there is nothing behind it to protect."""

GRACE_S = 10


def main() -> None:
    """Serves until SIGINT or SIGTERM; running answers get GRACE_S seconds to end. Exits with a sentence when it
    cannot listen."""
    try:
        _serve()
    except KeyboardInterrupt:  # raised anew by uvicorn once everything is closed; Ctrl-C is how this command ends
        sys.stdout.write("\n")


def _serve() -> None:
    listener = _listen(*_place())
    settings = Settings()
    key = None if settings.gateway_keys else local_key(settings, listener)
    if key:
        os.environ["AUTH_TOKENS"] = key
    from api.index import app  # only now: it reads the environment

    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",  # an upgrade then reaches the app as HTTP, which says what to do instead
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    sys.stdout.write(banner(settings, listener, key))
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listener])


def local_key(settings: Settings, listener: socket.socket) -> str:
    """The gateway key of a run without AUTH_TOKENS: a fixed one for the demo on loopback, else a random one."""
    if uses_demo(settings) and listener.getsockname()[0] in ("127.0.0.1", "::1"):
        return DEMO_KEY
    return f"sk-local-{secrets.token_urlsafe(24)}"


def banner(settings: Settings, listener: socket.socket, key: str | None) -> str:
    """What to know and what to type. Shows a key only when it was made for this run."""
    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    shown = f"{key}  (for this run, as AUTH_TOKENS is not set)" if key else "one of your AUTH_TOKENS"
    return f"""
  chat2api   {address}/v1
  upstream   {_upstream(settings)}
  local key  {shown}

  curl -N {address}/v1/chat/completions \\
    -H "Authorization: Bearer {key or "<one of your AUTH_TOKENS>"}" -H "Content-Type: application/json" \\
    -d '{{"model": "auto", "stream": true, "messages": [{{"role": "user", "content": "Hello!"}}]}}'

"""


def _upstream(settings: Settings) -> str:
    if uses_demo(settings):
        return f"the built-in demo; set {ACCOUNT_VARIABLES} for a real one"
    named = []
    if accounts := len(settings.accounts):
        named.append(f"{accounts} ChatGPT account{'s' if accounts > 1 else ''}")
    if settings.openai_api_key or settings.openai_base_url:
        named.append(f"an OpenAI-compatible API at {urlsplit(settings.openai_base_url or OPENAI_URL).hostname}")
    if settings.signed_base_url:
        named.append(f"a gateway at {urlsplit(settings.signed_base_url).hostname}, by signature")
    if named:
        return ", ".join(named)
    if settings.private_prefixes:
        return "no account; callers bring their own access tokens"
    return "none: the environment names accounts, but no usable one"


def _place() -> tuple[str, str]:
    """Host and port; the environment wins over `.env`, as for all settings."""
    try:
        kept = dotenv_values(".env", encoding="utf-8-sig")
    except (OSError, UnicodeError):  # the settings read the same file, and the log says what is wrong with it
        kept = {}
    host, port = (os.environ.get(name) or kept.get(name) for name in ("HOST", "PORT"))
    return host or "127.0.0.1", port or "3040"


def _listen(host: str, port: str) -> socket.socket:
    if not (re.fullmatch(r"[0-9]{1,5}", port) and int(port) < 65536):
        sys.exit(f"PORT={port} is not a port number")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            sys.exit(f"{host}:{port} is in use; choose another port: make serve PORT=3041")
        sys.exit(f"cannot listen on {host}:{port}: {error.strerror or error}")
    return listener


if __name__ == "__main__":
    main()
