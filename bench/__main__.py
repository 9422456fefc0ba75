"""Measure the speed of fitgap, one thing after the other, and write docs/performance.md.

    python -m bench [--rounds 3] [--only SECTION ...] [--page]

The numbers are also written to bench/measured.json. --only repeats some sections; --page writes the page from the
numbers, without measuring anything.
"""

import argparse
import json
import os
import platform
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import base, gains, page, pipeline, trainings
from fitgap.system.processor import describe_processor, usable_cores

MEASURED = Path("bench/measured.json")
PEERS = ("torch", "onnx", "onnxruntime", "openvino")
PACKAGES = ("tensorflow", "keras", "torch", "onnxruntime", "openvino", "mlflow", "dvc")
SECTIONS = {"base": base, "trainings": trainings, "gains": gains, "pipeline": pipeline}


def main() -> None:
    """Measure, write the numbers and write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=[], metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--page", action="store_true", help=f"write the page from {MEASURED}")
    options = parser.parse_args()
    # fitgap sets these too (`fitgap.definitions.determinism`); set them for all contestants, for a fair comparison.
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1", "KERAS_BACKEND": "tensorflow"}
    if not options.page:
        measure(options.rounds, options.only)
    page.write(json.loads(MEASURED.read_text(encoding="utf-8")))


def measure(rounds: int, only: list[str]) -> None:
    """Run all sections, or those in `only`; write the numbers after each section."""
    if missing := [name for name in PEERS if not find_spec(name)]:
        sys.exit(f"bench: not installed: {', '.join(missing)}; `make bench` installs what fitgap is compared with")
    if only and not MEASURED.exists():
        sys.exit(f"bench: --only repeats parts of an earlier run, and there is no {MEASURED}: run it without")
    measured = json.loads(MEASURED.read_text(encoding="utf-8")) if only else {}
    measured = {"rounds": rounds, **measured, "machine": describe_machine()}  # as many rounds as before
    with TemporaryDirectory() as folder:
        for section in only or SECTIONS:
            measured[section] = SECTIONS[section].measure(Path(folder), measured["rounds"])
            MEASURED.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def describe_machine() -> str:
    """Return the processor, the usable cores, the operating system and the versions of relevant packages."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{describe_processor()}, {usable_cores()} cores, {system}; {versions}"


if __name__ == "__main__":
    main()
