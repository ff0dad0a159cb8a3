"""The cold start of what is deployed: the bundle of `make package`, unpacked, on every Python that is installed.

    python -m bench.packaged [--quick] [--rounds N] [--python 3.12 …] [--json FILE]

For each Python the pinned wheels are installed for it and for this machine, and make two folders: the packaged one,
which comes out of the zip with its unchecked bytecode, and an unpackaged one, the same sources without any. Nothing
else is on the path, nothing writes bytecode, and the standard library has its own in both, as on the platforms.
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.__main__ import machine
from bench.cold import ANSWERS, CONTROL, IMPORTS, start
from bench.loads import NORMAL, QUICK, Size
from bench.processes import BenchError, gateway_environment, upstream
from bench.report import OURS, Aim, Metric, Samples
from tools.package import MAX_ZIP_BYTES, compile_all, copy_sources, find_python, install, write_zip

PYTHONS = ("3.11", "3.12", "3.13")
UNPACKAGED = "unpackaged, no bytecode"

_ARCH = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")


@dataclass(frozen=True, slots=True)
class Metrics:
    """What is measured on one Python. `packaged` and `plain` compare with the control on the same folder, `gain` the
    two folders."""

    packaged_import: Metric
    packaged_answer: Metric
    plain_import: Metric
    plain_answer: Metric
    gain: Metric
    size: Metric

    @classmethod
    def of(cls, version: str) -> Metrics:
        near = Aim(at_most=1.15, ratio=True)
        return cls(
            Metric(f"{version}: import, packaged", "ms", CONTROL, aim=near),
            Metric(f"{version}: import and first answer, packaged", "ms", CONTROL),
            Metric(f"{version}: import, no bytecode", "ms", CONTROL, aim=near),
            Metric(f"{version}: import and first answer, no bytecode", "ms", CONTROL),
            Metric(f"{version}: first answer, packaged or not", "ms", UNPACKAGED, aim=Aim(at_most=0.6, ratio=True)),
            Metric(f"{version}: zip", "MB", "", 1, Aim(at_most=MAX_ZIP_BYTES / 1e6)),
        )


@dataclass(frozen=True, slots=True)
class Bundle:
    """One Python's folders."""

    python: str
    packaged: Path
    plain: Path
    zip_mb: float


def measure(samples: Samples, size: Size, versions: Sequence[str]) -> None:
    """Import and first answer, in turn with the controls. Raises BenchError."""
    for version in versions:
        with bundle(version) as made, upstream() as backend:
            measure_one(samples, size, Metrics.of(version), made, gateway_environment(backend.port))


def measure_one(samples: Samples, size: Size, metrics: Metrics, made: Bundle, environment: dict[str, str]) -> None:
    """The same for one Python, whose folders are there."""
    samples.add(metrics.size, OURS, made.zip_mb)
    runs = [
        (metric, folder, *run)
        for metric, folder, programs in (
            (metrics.packaged_import, made.packaged, IMPORTS),
            (metrics.packaged_answer, made.packaged, ANSWERS),
            (metrics.plain_import, made.plain, IMPORTS),
            (metrics.plain_answer, made.plain, ANSWERS),
        )
        for run in programs
    ]
    for _, folder, _, code in runs:  # proves every run once, and brings the files into the page cache
        start(folder, code, environment, python=made.python)
    for round_ in range(size.cold_starts):
        sys.stderr.write(f"bench: {metrics.size.name.partition(':')[0]}: round {round_ + 1} of {size.cold_starts}\n")
        for metric, folder, target, code in runs:
            taken_ms = start(folder, code, environment, python=made.python)
            samples.add(metric, target, taken_ms)
            if target == OURS and metric is metrics.packaged_answer:
                samples.add(metrics.gain, OURS, taken_ms)
            elif target == OURS and metric is metrics.plain_answer:
                samples.add(metrics.gain, UNPACKAGED, taken_ms)


@contextmanager
def bundle(version: str) -> Iterator[Bundle]:
    """Both folders for one Python. Exits when there is no such Python, or when the wheels cannot be fetched."""
    python = find_python(version)
    with tempfile.TemporaryDirectory(prefix="bench-packaged-") as name:
        tree, plain, packaged = Path(name, "tree"), Path(name, "plain"), Path(name, "packaged")
        tree.mkdir()
        install(tree, version, _ARCH)
        copy_sources(tree)
        shutil.copytree(tree, plain)
        compile_all(tree, python)
        archive = Path(name, "lambda.zip")
        write_zip(tree, archive)
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(packaged)
        yield Bundle(python, packaged, plain, archive.stat().st_size / 1e6)


def installed() -> list[str]:
    """Of the Pythons that are supported, those that are here; stderr tells of the others."""
    found = []
    for version in PYTHONS:
        try:
            find_python(version)
        except SystemExit:
            sys.stderr.write(f"bench: there is no Python {version} here, so it is left out\n")
        else:
            found.append(version)
    return found


def main(arguments: Sequence[str]) -> int:
    """0 when everything was measured, met or not; 1 when a start failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.packaged", description="The packaged bundle's cold start.")
    parser.add_argument("--quick", action="store_true", help="few starts: shows that it works, measures little")
    parser.add_argument("--rounds", type=int, help="cold starts of each kind, instead of the usual number")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="only this one; may be given again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    asked = parser.parse_args(arguments)
    size = QUICK if asked.quick else NORMAL
    if asked.rounds:
        size = dataclasses.replace(size, cold_starts=asked.rounds)
    samples = Samples()
    failed = False
    try:
        measure(samples, size, asked.python or installed())
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        failed = True
    print(samples.table())
    if asked.json is not None:
        document = {"machine": machine(), "size": dataclasses.asdict(size), "figures": samples.document()}
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
