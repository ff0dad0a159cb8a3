"""What stores say in the log."""

from __future__ import annotations

import logging


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def told(lines: list[logging.LogRecord]) -> list[tuple[str, str | None]]:
    return [(line.message, line.__dict__["fields"].get("reason")) for line in lines]
