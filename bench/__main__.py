"""Measure everything, one thing after the other, and write docs/performance.md.

    python -m bench [--rounds 5] [--only SECTION ...] [--page]

The numbers are also written to bench/measured.json. --only repeats some sections, and the page lists which; --page
writes the page without measuring anything.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import (
    arithmetic,
    cluster,
    extraction,
    kernels,
    machine,
    notebook,
    page,
    pipeline,
    precision,
    preparing,
    scheduling,
    side_by_side,
    training,
)
from fitgap.data import prepared
from fitgap.data.draws import draw_rows
from fitgap.definitions.vgg16_layers import SMALL
from fitgap.params.reading import load_params
from fitgap.system.processor import usable_cores

MEASURED = Path("bench/measured.json")
HEATS = 2  # sets of processes for close races, which a few percent decide
SHORT = 3  # factor on the rounds of short passes: the speed of a shared machine fluctuates
SECTIONS: dict[str, Callable[[pipeline.Copy, int], Any]] = {
    "pipeline": lambda copy, rounds: of_pipeline(copy, rounds),  # first: the others need its weights
    "extraction": lambda copy, rounds: of_extraction(copy.weights, rounds),
    "training": lambda copy, rounds: of_training(rounds),
    "notebook": lambda copy, rounds: of_notebook(copy, rounds),
    "precision": lambda copy, rounds: precision.effect(copy, copy.weights),
    "preparing": lambda copy, rounds: preparing.measure(rounds),
    "growth": lambda copy, rounds: pipeline.growth(copy).to_dict("records"),
    "scheduling": lambda copy, rounds: scheduling.growth(),
    "cluster": lambda copy, rounds: cluster.measure(copy),  # {} without Ray
}
WITHOUT_WEIGHTS = {"pipeline", "scheduling"}  # sections that do not need the pipeline to have run before


def main() -> None:
    """Measure, write the numbers and write the page."""
    asked = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--only", nargs="+", choices=SECTIONS, default=[], metavar="SECTION", help=", ".join(SECTIONS))
    asked.add_argument("--page", action="store_true", help=f"write the page from {MEASURED}")
    options = asked.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Stages set this too (`fitgap.definitions.determinism`); set it for all contestants, for a fair comparison.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if not options.page:
        measure(options.rounds, options.only)
    page.write(json.loads(MEASURED.read_text(encoding="utf-8")))


def measure(rounds: int, only: list[str]) -> None:
    """Run all sections, or those in `only`; write the numbers after each section."""
    if only and not MEASURED.exists():
        sys.exit(f"bench: --only measures parts of an earlier run anew, and {MEASURED} holds none: run it without")
    before = json.loads(MEASURED.read_text(encoding="utf-8")) if only else {}
    apart = sorted({*before.get("apart", []), *only})
    found = {**before, "rounds": rounds, "machine": machine.description(), "apart": apart}
    with pipeline.copied() as copy:
        if only and "pipeline" not in only and not WITHOUT_WEIGHTS.issuperset(only):
            copy.run("dvc", "repro")
        for section in only or SECTIONS:
            found[section] = SECTIONS[section](copy, rounds)
            MEASURED.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def of_pipeline(copy: pipeline.Copy, rounds: int) -> dict[str, Any]:
    """Measure the pipeline: stages in sequence, as `make repro` runs them, and with nothing to do."""
    whole = copy.measure(sys.executable, "-m", "dvc", "repro")
    total, imports = whole["seconds"], pipeline.import_seconds(rounds)
    kept, images = copy.timings(), prepared.read_prepared(copy.path / "data/prepared")
    nothing, (nothing_many, of_nothing) = (
        pipeline.nothing_to_do(copy, rounds),
        pipeline.with_many_variants(copy, rounds),
    )
    params = load_params()
    drawn = {name: len(rows) for name, rows in draw_rows(images, params.data, seed=0).items()}
    sizes = {**drawn, "all": len(images.labels)}, len(images.class_names)
    return {
        "seconds": total,
        "cores": usable_cores(),
        "core_seconds": whole["core_seconds"],
        "import_seconds": imports,
        "shares": pipeline.shares(total, kept, imports["stages"]),
        "multiply_adds": arithmetic.pipeline(params, *sizes),
        "without_zeros": arithmetic.pipeline(params, *sizes, with_zeros=False),
        "stages": kept[["stage_seconds", "start_seconds", "work_seconds", "seed_seconds"]]
        .reset_index()
        .to_dict("records"),
        "nothing": nothing,
        "nothing_many": nothing_many,
        "of_nothing": of_nothing,
        # Last, because DVC with nothing to do takes a third longer right after it.
        "side_by_side": pipeline.side_by_side(),
    }


def of_extraction(weights: Path, rounds: int) -> list[dict[str, Any]]:
    """Measure feature extraction at both image sizes, in float32 and, if the processor supports it, in bfloat16."""
    found, has_bfloat16 = [], side_by_side.apart(precision.slowdown) < precision.CLEAR
    for size in extraction.BATCHES:
        times = rounds * SHORT if size < SMALL else rounds
        for precision_ in ("float32", "bfloat16") if has_bfloat16 else ("float32",):
            title = f"{size}x{size} {precision_}"
            measured = side_by_side.race(extraction.contestants(weights, size, precision_), times, title, HEATS)
            part = {"size": size, "precision": precision_, "multiply_adds": arithmetic.vgg16(size)}
            shares = kernels.shares(weights, size, precision_)
            found.append({**part, "measured": measured.to_dict("records"), "kernels": shares})
    return found


def of_training(rounds: int) -> dict[str, Any]:
    """Measure training of the notes' network in all libraries, and the kernels of an update here and in PyTorch."""
    measured = side_by_side.race(training.contestants(), rounds * SHORT, "scratch")
    return {"measured": measured.to_dict("records"), "kernels": kernels.updates()}


def of_notebook(copy: pipeline.Copy, rounds: int) -> dict[str, Any]:
    """Measure cached features against the notebook way: heads and block 5 on the default images, block 5 on more."""
    default = notebook.Setting(copy.weights, training=100, validation=400, all_images=1797)
    many = notebook.Setting(copy.weights, training=2000, validation=400, all_images=2400, epochs=1)
    races = {
        "heads": (notebook.heads(default), min(rounds, 3)),
        "finetune": (notebook.finetunes(default), rounds),
        "finetune_many": (notebook.finetunes(many), rounds),
    }
    found = {name: side_by_side.race(who, times, name).to_dict("records") for name, (who, times) in races.items()}
    data = copy.path / "data/prepared"
    return {**found, "largest_difference": side_by_side.apart(notebook.largest_difference, copy.weights, data)}


if __name__ == "__main__":
    main()
