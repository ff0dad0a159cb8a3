"""Log lines: one event each, as logfmt or JSON, on stderr; requests also as CloudWatch metrics.

A record is an event name and fields: `logger.info("request.done", extra={"fields": {"status": 200}})`; an ordinary
message from elsewhere becomes the event. Values are escaped, so that nothing a client or an upstream sends can begin
a line of its own. Unexpected exceptions are logged by class and place: their text may hold what was in flight.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, cast

from lib.types import Trace

LOGGER = logging.getLogger("chat2api")

MAX_VALUE_CHARS = 200

Form = Literal["logfmt", "json", "emf"]

_BARE = re.compile(r"[!#-<>-\[\]-~]+")  # visible ASCII but for quotes, equals signs and backslashes
_FRAMES = 12


class LineHandler(logging.Handler):
    """Writes to whatever `sys.stderr` is at the moment: platforms replace it after the import."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._render = _RENDERERS[form]

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self._render(record) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - a request must not fail for its log line; the standard way to say so
            self.handleError(record)


class RequestLog(Protocol):
    """Who is told of a request that is over: `log_request`, or nobody."""

    def __call__(self, trace: Trace, *, now: float) -> object: ...


def configure(level: str, form: str) -> None:
    """Give the logger its level and its one handler; form: `logfmt`, `json` or `emf`. The root logger is left alone, as
    it is the platform's."""
    LOGGER.setLevel(logging.getLevelNamesMapping().get(level.upper(), logging.INFO))
    LOGGER.handlers = [LineHandler(cast(Form, form))]
    LOGGER.propagate = False


def log_request(trace: Trace, *, now: float) -> None:
    """The one line of a request."""
    if not LOGGER.isEnabledFor(logging.INFO):
        return
    fields = {
        "request_id": trace.request_id,
        "method": trace.method,
        "path": trace.path,
        "dialect": trace.dialect or None,
        "caller": trace.caller or None,
        "model": trace.model,
        "upstream": trace.upstream or None,
        "accounts": ",".join(trace.accounts) or None,
        "attempts": len(trace.accounts) or None,
        "status": trace.status,
        "error": trace.error,
        "ttfb_s": _since(trace.started_at, trace.first_byte_at),
        "duration_s": _since(trace.started_at, now),
        "input_tokens": trace.input_tokens,
        "output_tokens": trace.output_tokens,
    }
    # Not `LOGGER.info`, which walks the stack for a place in the code that no line shows, at a third of the cost.
    extra = {"fields": fields, "trace": trace}
    LOGGER.handle(LOGGER.makeRecord(LOGGER.name, logging.INFO, __file__, 0, "request.done", (), None, extra=extra))


def log_failure(event: str, error: BaseException, **fields: Any) -> None:
    """An exception that nobody expected: what and where, never its text."""
    LOGGER.error(event, extra={"fields": {**fields, "error": type(error).__name__, "at": _places(error)}})


def log_problem(variable: str, problem: str) -> None:
    """A setting that could not be used. `problem` does not hold the value."""
    LOGGER.warning("settings.problem", extra={"fields": {"variable": variable, "problem": problem}})


def _since(start: float, end: float | None) -> float | None:
    return None if end is None else round(end - start, 4)


def _places(error: BaseException) -> str:
    """`lib/relay.py:41:reply < lib/web/routes.py:80:_generate`, innermost first, then the cause's class."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = [f"{'/'.join(frame.filename.split('/')[-3:])}:{frame.lineno}:{frame.name}" for frame in frames]
    text = " < ".join(reversed(places))
    cause = error.__cause__ or error.__context__
    return text if cause is None else f"{text} from {type(cause).__name__}"


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = getattr(record, "fields", {})
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        return {**fields, "error": type(error).__name__, "at": _places(error)}
    return fields


def _logfmt(record: logging.LogRecord) -> str:
    parts = [_escaped(record.getMessage())]
    if record.levelno != logging.INFO:
        parts.append(f"level={record.levelname.lower()}")
    parts.extend(f"{name}={_value(value)}" for name, value in _fields(record).items() if value is not None)
    return " ".join(parts)


def _value(value: Any) -> str:
    if not isinstance(value, str):
        return str(value)
    if _BARE.fullmatch(value) and len(value) <= MAX_VALUE_CHARS:
        return value
    return '"' + _escaped(_bounded(value)).replace('"', '\\"') + '"'


def _bounded(value: str) -> str:
    limit = 10 * MAX_VALUE_CHARS if " < " in value else MAX_VALUE_CHARS  # places are our own and worth their length
    return value if len(value) <= limit else value[:limit] + "..."


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")


def _json(record: logging.LogRecord) -> str:
    return _encoded(_line(record))


def _emf(record: logging.LogRecord) -> str:
    """JSON, and a request's line with what makes it a metric."""
    from lib.web.emf import with_metrics

    line, trace = _line(record), getattr(record, "trace", None)
    return _encoded(line if trace is None else with_metrics(line, trace, at=record.created))


def _line(record: logging.LogRecord) -> dict[str, Any]:
    line: dict[str, Any] = {"event": record.getMessage(), "level": record.levelname.lower()}
    for name, value in _fields(record).items():
        if isinstance(value, str):
            line[name] = _bounded(value).encode("utf-8", "backslashreplace").decode()
        elif value is not None:
            line[name] = value
    return line


def _encoded(line: Mapping[str, Any]) -> str:
    import msgspec

    return msgspec.json.encode(line).decode()


_RENDERERS: Mapping[Form, Callable[[logging.LogRecord], str]] = {"logfmt": _logfmt, "json": _json, "emf": _emf}
