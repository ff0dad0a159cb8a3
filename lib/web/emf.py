"""Request lines as CloudWatch metrics: one JSON line in the embedded metric format, from which CloudWatch makes the
metrics by itself where the log goes there, as on Lambda. The line still holds all that it holds as plain JSON.

Dimensions are of few values, because every combination is a metric of its own that is paid for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib.types import Trace

NAMESPACE = "chat2api"
DIMENSIONS = ("endpoint", "dialect", "upstream", "status_class")

_NONE = "none"
_UNITS = {
    "duration_s": "Seconds",
    "ttfb_s": "Seconds",
    "input_tokens": "Count",
    "output_tokens": "Count",
    "attempts": "Count",
    "errors": "Count",
}
_SERVER_ERROR = 500
_CLIENT_ERROR = 400


def with_metrics(line: Mapping[str, Any], trace: Trace, *, at: float) -> dict[str, Any]:
    """The members of a request's line and those that make it a metric, once by DIMENSIONS and once over all. at: epoch
    seconds."""
    members: dict[str, Any] = {
        **line,
        "endpoint": trace.endpoint or _NONE,
        "dialect": trace.dialect or _NONE,
        "upstream": trace.upstream or _NONE,
        "status_class": f"{trace.status // 100}xx",
        "errors": int(_failed(trace)),
    }
    metrics = [{"Name": name, "Unit": unit} for name, unit in _UNITS.items() if _is_number(members.get(name))]
    directive = {"Namespace": NAMESPACE, "Dimensions": [list(DIMENSIONS), []], "Metrics": metrics}
    members["_aws"] = {"Timestamp": int(at * 1000), "CloudWatchMetrics": [directive]}
    return members


def _failed(trace: Trace) -> bool:
    """Whether the gateway or an upstream failed: a caller's own mistake, or its leaving, is no error here."""
    return trace.status >= _SERVER_ERROR or (trace.error is not None and trace.status < _CLIENT_ERROR)


def _is_number(value: object) -> bool:
    """An upstream counts the tokens, and may have other ideas of a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)
