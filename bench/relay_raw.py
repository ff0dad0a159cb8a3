"""Control `relay-raw`: the thinnest relay there is in Python; it copies bytes."""

from __future__ import annotations

from bench.relay import Relay

app = Relay()
