"""Figures of many rounds → medians, ratios against the controls, a table and a JSON file."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

OURS = "gateway"


@dataclass(frozen=True, slots=True)
class Aim:
    """What the gateway's figure should be; with `ratio`, its ratio to the control's figure."""

    at_most: float | None = None
    at_least: float | None = None
    ratio: bool = False

    def met(self, value: float) -> bool:
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)

    def __str__(self) -> str:
        bound = f"≤ {self.at_most:g}" if self.at_most is not None else f"≥ {self.at_least:,g}"
        return f"{bound} × control" if self.ratio else bound


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that is measured, and the control that the gateway is compared with."""

    name: str
    unit: str
    control: str
    digits: int = 0
    """Digits after the point when it is printed."""
    aim: Aim | None = None


class Samples:
    """The figures of one run: for each metric and target, one for each round, in order."""

    def __init__(self) -> None:
        self._figures: dict[Metric, dict[str, list[float]]] = {}

    def add(self, metric: Metric, target: str, figure: float) -> None:
        self._figures.setdefault(metric, {}).setdefault(target, []).append(figure)

    def ratios(self, metric: Metric) -> list[float]:
        """The gateway's figure over the control's, round by round: what a round shares cancels out."""
        figures = self._figures[metric]
        if metric.control not in figures or OURS not in figures:
            return []
        # Not strict: a section that failed halfway leaves a round without its pair.
        return [ours / theirs for ours, theirs in zip(figures[OURS], figures[metric.control], strict=False)]

    def verdict(self, metric: Metric) -> tuple[float, bool] | None:
        """The figure or ratio that the aim is about and whether it is met; None without an aim or without figures."""
        if metric.aim is None:
            return None
        figures = self.ratios(metric) if metric.aim.ratio else self._figures[metric].get(OURS)
        if not figures:
            return None
        value = statistics.median(figures)
        return value, metric.aim.met(value)

    def table(self) -> str:
        """Markdown: a row for each metric and target, medians with the lowest and highest round; controls are bold."""
        head = ("what", "target", "median", "min to max", "ratio to control", "aim", "")
        rows = [row for metric, figures in self._figures.items() for row in self._rows(metric, figures)]
        lines = [head, tuple("---" for _ in head), *rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def document(self) -> list[dict[str, Any]]:
        """All figures for the JSON file."""
        return [self._entry(metric, figures) for metric, figures in self._figures.items()]

    def _rows(self, metric: Metric, figures: dict[str, list[float]]) -> Iterator[tuple[str, ...]]:
        what = f"{metric.name}, {metric.unit}" if metric.unit else metric.name
        for target, values in figures.items():
            ratio, aim, met = self._judged(metric) if target == OURS else ("", "", "")
            middle, span = _number(statistics.median(values), metric.digits), _span(values, metric.digits)
            yield what, f"**{target}**" if target == metric.control else target, middle, span, ratio, aim, met

    def _judged(self, metric: Metric) -> tuple[str, str, str]:
        """Ratio, aim and whether it is met, as the table shows them."""
        ratios, verdict = self.ratios(metric), self.verdict(metric)
        ratio = f"{_number(statistics.median(ratios), 2)} ({_span(ratios, 2)})" if ratios else ""
        if verdict is None:
            return ratio, "", ""
        return ratio, str(metric.aim), "met" if verdict[1] else "missed"

    def _entry(self, metric: Metric, figures: dict[str, list[float]]) -> dict[str, Any]:
        verdict = self.verdict(metric)
        return {
            "metric": metric.name,
            "unit": metric.unit,
            "control": metric.control,
            "aim": str(metric.aim) if metric.aim is not None else None,
            "ratios": self.ratios(metric),
            "value": verdict[0] if verdict is not None else None,
            "met": verdict[1] if verdict is not None else None,
            "targets": {
                target: {"median": statistics.median(values), "rounds": values} for target, values in figures.items()
            },
        }


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _span(values: Sequence[float], digits: int) -> str:
    return f"{_number(min(values), digits)} to {_number(max(values), digits)}"
