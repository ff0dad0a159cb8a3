"""Packaged bundles' cold starts are measured; here on folders of the installed packages. The figures mean nothing."""

from __future__ import annotations

import dataclasses
import sys

from bench import packaged
from bench.cold import CONTROL, bundles
from bench.loads import QUICK
from bench.packaged import UNPACKAGED, Bundle, Metrics
from bench.processes import gateway_environment, upstream
from bench.report import OURS, Samples

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_import_and_first_answer_are_measured_in_both_folders() -> None:
    samples, metrics = Samples(), Metrics.of(VERSION)
    with bundles() as (compiled, plain), upstream() as backend:
        made = Bundle(sys.executable, compiled, plain, zip_mb=11.0)
        once = dataclasses.replace(QUICK, cold_starts=1)
        packaged.measure_one(samples, once, metrics, made, gateway_environment(backend.port))
    figures = {entry["metric"]: entry["targets"] for entry in samples.document()}
    assert set(figures[metrics.packaged_import.name]) == {"nothing", CONTROL, OURS}
    assert set(figures[metrics.plain_answer.name]) == {CONTROL, OURS}
    assert set(figures[metrics.gain.name]) == {UNPACKAGED, OURS}
    assert samples.verdict(metrics.size) == (11.0, True)


def test_aims_are_the_ones_that_are_promised() -> None:
    metrics = Metrics.of("3.12")
    assert str(metrics.packaged_import.aim) == str(metrics.plain_import.aim) == "≤ 1.15 × control"
    assert str(metrics.gain.aim) == "≤ 0.6 × control"
    assert str(metrics.size.aim) == "≤ 12"


def test_installed_pythons_are_found() -> None:
    assert VERSION not in packaged.PYTHONS or VERSION in packaged.installed()
