"""A small internet: made-up names with public addresses, all of which lead to one server on this machine."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from lib.upstreams.guarded import GuardedClient, dial

PUBLIC = "93.184.216.34"
OTHER = "93.184.216.35"


class Web:
    """names: name → its answers to one look-up after the other; the last one stays. Addresses are their own names."""

    def __init__(self, port: int, names: Mapping[str, Sequence[Sequence[str]]] | None = None) -> None:
        self._port = port
        self._names = {name: list(answers) for name, answers in (names or {"example.org": [[PUBLIC]]}).items()}
        self.asked: list[str] = []
        self.dialled: list[tuple[str, int]] = []

    def client(self, **options: Any) -> GuardedClient:
        return GuardedClient(**{"timeout_s": 2.0, "resolve": self.resolve, "dial": self.dial, **options})

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host[-1].isdigit() or ":" in host:
            return [host]
        if host not in self._names:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        answers = self._names[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def dial(self, address: str, port: int) -> socket.socket:
        self.dialled.append((address, port))
        return await dial("127.0.0.1", self._port)
