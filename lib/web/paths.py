"""Paths → endpoints. Decided on the ASGI path alone: no `Host`, no header, no absolute URL has a say.

An endpoint under `/v1` also answers without it; doubled and trailing slashes are forgiven; an unknown path is told the
nearest one that exists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lib.web.asgi import OPENAI, ApiFamily, App

_VERSION = "/v1"
_SLASHES = re.compile(r"//+")
_REFUSED = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]|(?:^|/)\.\.?(?:/|$)")
_MAX_SHOWN_CHARS = 100
_MAX_COMPARED_CHARS = 200


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the table: a path, and who answers which method on it.

    `{id}` in a path takes whatever stands there, slashes included, as `scope["path_params"]["id"]`; of two such paths
    the one that is listed first is taken.
    """

    path: str
    methods: Mapping[str, App]
    summary: str
    needs_key: bool = True
    shown: bool = True
    """Whether the documentation lists it."""
    family: ApiFamily = OPENAI
    """Also that of every unknown path below this one."""

    def allow(self) -> bytes:
        """The value of the `Allow` header."""
        methods = {*self.methods, "OPTIONS"}
        if "GET" in methods:
            methods.add("HEAD")
        return ", ".join(sorted(methods)).encode()


class Table:
    """All endpoints, by path."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._exact: dict[str, Endpoint] = {}
        self._patterns: list[tuple[str, str, Endpoint]] = []
        """What stands before and behind the id."""
        self._shown: list[str] = []
        self._families: dict[str, ApiFamily] = {}
        for endpoint in endpoints:
            for path in _spellings(endpoint.path):
                if endpoint.family is not OPENAI:
                    self._families[path] = endpoint.family
                before, parameter, after = path.partition("{id}")
                if parameter:
                    self._patterns.append((before, after, endpoint))
                else:
                    self._exact[path] = endpoint
            if endpoint.shown and "{id}" not in endpoint.path:
                self._shown.append(endpoint.path)

    def find(self, path: str) -> tuple[Endpoint, dict[str, str]] | None:
        """The endpoint and its path parameters; None for a path that is unknown or that hides something."""
        endpoint = self._exact.get(path)
        if endpoint is not None:
            return endpoint, {}
        if _REFUSED.search(path):
            return None
        path = _SLASHES.sub("/", path)
        path = path.rstrip("/") or "/"
        endpoint = self._exact.get(path)
        if endpoint is not None:
            return endpoint, {}
        for before, after, endpoint in self._patterns:
            if path.startswith(before) and path.endswith(after) and len(path) > len(before) + len(after):
                return endpoint, {"id": path[len(before) : len(path) - len(after)]}
        return None

    def family(self, path: str) -> ApiFamily:
        """Whose manners an answer has on this path, known or not."""
        if path in self._exact:
            return self._exact[path].family
        path = _SLASHES.sub("/", path)
        for known, family in self._families.items():
            if path.startswith(known) and path[len(known) : len(known) + 1] in ("", "/"):
                return family
        return OPENAI

    def hint(self, path: str) -> str:
        """What to tell a client that asked for an unknown path."""
        shown = "".join(char if char.isprintable() else "?" for char in path[:_MAX_SHOWN_CHARS])
        nearest = self._nearest(path)
        if nearest is None:
            return f"There is no {shown} here. The endpoints are {', '.join(self._shown)}."
        return f"There is no {shown} here. Did you mean {nearest}?"

    def _nearest(self, path: str) -> str | None:
        from difflib import get_close_matches

        path = _SLASHES.sub("/", path).rstrip("/").lower()
        candidates = {spelling.lower(): known for known in self._shown for spelling in _spellings(known)}
        candidates.pop("/", None)
        # A base URL that already held the whole path, or a foreign prefix: the end is right, the beginning is not.
        ends = [spelling for spelling in candidates if path.endswith(spelling)]
        if ends:
            return candidates[max(ends, key=len)]
        close = get_close_matches(path[:_MAX_COMPARED_CHARS], candidates, n=1)
        return candidates[close[0]] if close else None


def _spellings(path: str) -> tuple[str, ...]:
    if path.startswith(f"{_VERSION}/"):
        return path, path.removeprefix(_VERSION)
    return (path,)
