"""Control `relay-raw` for the section `forward`: it copies bytes, of an upstream that speaks Chat Completions."""

from __future__ import annotations

from bench.answers import CHAT_UPSTREAM_PATH
from bench.relay import Relay

app = Relay(path=CHAT_UPSTREAM_PATH)
