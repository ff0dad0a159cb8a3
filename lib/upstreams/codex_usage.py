"""How far an account's usage windows are used, asked for without using any: `GET /backend-api/wham/usage`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from lib.errors import UpstreamError, Verdict
from lib.types import Lease, Window
from lib.upstreams.codex_api import CodexApi
from lib.upstreams.codex_limits import MAIN_BUCKET, has_credits

MAX_ANSWER_BYTES = 256 * 1024


async def usage(api: CodexApi, lease: Lease, *, timeout_s: float | None = None) -> Sequence[Window]:
    """The windows of the lease's account, in the buckets of the `x-codex-*` headers. Raises UpstreamError."""
    answer = await api.open("GET", "/usage", lease, accept="application/json", timeout_s=timeout_s, area="/wham")
    try:
        if answer.status != 200:
            raise await api.refusal(answer)
        body = await answer.read(MAX_ANSWER_BYTES)
    finally:
        await answer.aclose()
    return parse(body, api.now())


def parse(body: bytes, now: float) -> list[Window]:
    """Lengths are seconds here, where headers and events say minutes. Unknown members are left alone; a missing window
    says nothing. Raises UpstreamError for what is no usage report."""
    try:
        report = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable() from error
    if not isinstance(report, dict) or "rate_limit" not in report:
        raise _unreadable()
    windows = [*_windows(MAIN_BUCKET, report["rate_limit"], now)]
    windows += _windows("code-review", report.get("code_review_rate_limit"), now)
    extra = report.get("additional_rate_limits")
    for limit in extra if isinstance(extra, list) else ():
        bucket = limit.get("metered_feature") or limit.get("limit_name") if isinstance(limit, dict) else None
        if isinstance(bucket, str):
            # A header's name has dashes where the report has underscores.
            windows += _windows(bucket.replace("_", "-").lower(), limit.get("rate_limit"), now)
    return [replace(window, has_credits=True) for window in windows] if has_credits(report.get("credits")) else windows


def _windows(bucket: str, limit: Any, now: float) -> Iterator[Window]:
    for name in ("primary_window", "secondary_window"):
        window = limit.get(name) if isinstance(limit, dict) else None
        used = _number(window.get("used_percent")) if isinstance(window, dict) else None
        if used is None or not isinstance(window, dict):
            continue
        length_s, reset_at = _number(window.get("limit_window_seconds")), _number(window.get("reset_at"))
        after_s = _number(window.get("reset_after_seconds"))
        yield Window(
            bucket=bucket,
            used_percent=used,
            window_minutes=int(length_s // 60) if length_s else None,
            reset_at=reset_at or (None if after_s is None else now + after_s),
        )


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        return None
    return float(value)


def _unreadable() -> UpstreamError:
    return UpstreamError(
        "The upstream's usage report is not readable.", verdict=Verdict.SERVICE, code="upstream_bad_response"
    )
