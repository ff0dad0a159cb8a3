"""What can be told from the settings and the platform alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib.doctor.finding import Finding, duration, size

if TYPE_CHECKING:
    from lib.settings import Settings

SHORT_KEY_CHARS = 16
SHORT_DEADLINE_S = 55.0
"""A model that thinks hard is silent for about a minute."""


@dataclass(frozen=True, slots=True)
class Platform:
    """Where the gateway runs, and what that place carries."""

    name: str
    """`vercel`, `lambda` or `server`."""
    max_request_bytes: int
    """What the platform lets through."""
    limit_bytes: int
    """What the gateway takes."""
    max_answer_bytes: int | None = None
    """The longest answer in one piece; None: no limit, or the entry point's business."""


def settings_findings(settings: Settings) -> list[Finding]:
    """Every variable that could not be used as it is, and combinations that do less than they seem to."""
    found = list(_problems(settings)) or [Finding("settings", "ok", "Every variable that is set can be used.")]
    return [*found, *_keys(settings), *_renewal(settings)]


def platform_findings(platform: Platform, deadline_at: float | None, now: float) -> list[Finding]:
    """Limits of size and time."""
    return [_body_limit(platform), _deadline(platform, deadline_at, now)]


def _problems(settings: Settings) -> Iterator[Finding]:
    ways = {(problem.variable, problem.problem) for problem in settings.misdirected.values()}
    for each in settings.problems:
        stops = (each.variable, each.problem) in ways
        yield Finding(
            "settings",
            "problem" if stops else "warning",
            f"{each.variable}: {each.problem}.",
            "Requests that go that way are refused until it is mended."
            if stops
            else "Correct the variable; until then its usable part or its default counts.",
        )


def _keys(settings: Settings) -> Sequence[Finding]:
    short = sum(len(key) < SHORT_KEY_CHARS for key in settings.gateway_keys)
    if short:
        return [
            Finding(
                "keys",
                "warning",
                f"{short} of the {len(settings.gateway_keys)} keys in AUTH_TOKENS have fewer than {SHORT_KEY_CHARS} "
                "characters.",
                "Anybody may guess at a public address: make keys as from `openssl rand -hex 24`.",
            )
        ]
    return [Finding("keys", "ok", f"{len(settings.gateway_keys)} in AUTH_TOKENS, none of them short.")]


def _renewal(settings: Settings) -> Sequence[Finding]:
    count = sum(bool(config.refresh_token) for config in settings.accounts)
    if not count:
        return []
    mode, is_shared = settings.token_refresh, settings.state_url is not None
    have = f"{count} accounts have a refresh token" if count > 1 else "One account has a refresh token"
    if mode == "off":
        return [Finding("token renewal", "ok", f"{have}; TOKEN_REFRESH=off, so none is renewed.")]
    if is_shared:
        return [Finding("token renewal", "ok", f"{have}, and STATE_URL keeps what they are renewed to.")]
    if mode == "on":
        return [
            Finding(
                "token renewal",
                "problem",
                f"{have}, TOKEN_REFRESH=on and there is no durable store: a refresh token is good for one use, and the "
                "new one is lost with this process.",
                "Set STATE_URL, or TOKEN_REFRESH=off.",
            )
        ]
    return [
        Finding(
            "token renewal",
            "warning",
            f"{have}, but none is renewed: TOKEN_REFRESH=auto does that with a durable store only.",
            "Set STATE_URL (docs/deploy.md), or replace the tokens by hand before they expire.",
        )
    ]


def _body_limit(platform: Platform) -> Finding:
    carried, limit = platform.max_request_bytes, platform.limit_bytes
    if limit > carried and platform.name != "server":
        return Finding(
            "body limit",
            "problem",
            f"MAX_REQUEST_BYTES is {size(limit)}, and {platform.name} carries about {size(carried)}: callers get the "
            "platform's own error in between.",
            "Unset MAX_REQUEST_BYTES.",
        )
    answers = "" if platform.max_answer_bytes is None else f", whole answers up to {size(platform.max_answer_bytes)}"
    return Finding("body limit", "ok", f"Requests up to {size(limit)}{answers} ({platform.name}).")


def _deadline(platform: Platform, deadline_at: float | None, now: float) -> Finding:
    if deadline_at is None:
        if platform.name == "server":
            return Finding("deadline", "ok", "Nothing limits how long an answer may take.")
        return Finding(
            "deadline",
            "unknown",
            f"{platform.name} did not say when this invocation ends.",
            "Set MAX_DURATION_S below the platform's own limit, so that long answers end cleanly.",
        )
    left_s = max(0.0, deadline_at - now)
    if left_s < SHORT_DEADLINE_S:
        return Finding(
            "deadline",
            "warning",
            f"An answer may take {duration(left_s)}.",
            "Models that think take longer. Raise the function's time limit (Vercel: maxDuration, Lambda: timeout) or "
            "MAX_DURATION_S.",
        )
    return Finding("deadline", "ok", f"An answer may take {duration(left_s)}.")
