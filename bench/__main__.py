"""Measure everything, one thing after the other, and write docs/performance.md.

    python -m bench [--rounds 5] [--page]

The numbers stand in bench/measured.json too; --page writes the page from there without measuring anew.
"""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import arithmetic, extraction, machine, notebook, page, pipeline, precision, side_by_side, training
from fitgap import params
from fitgap.images import prepared

MEASURED = Path("bench/measured.json")


def main() -> None:
    """Measure, keep the numbers, write the page."""
    asked = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--page", action="store_true", help="write the page from bench/measured.json")
    options = asked.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not options.page:
        found: dict[str, Any] = {"rounds": options.rounds, "machine": machine.description()}
        for section, part in measure(options.rounds):
            found[section] = part
            MEASURED.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    page.write(json.loads(MEASURED.read_text(encoding="utf-8")))


def measure(rounds: int) -> Iterator[tuple[str, Any]]:
    """Run all sections; the pipeline comes first, for its weights are what the others run."""
    with pipeline.copied() as copy:
        yield "pipeline", of_pipeline(copy, rounds)
        weights = copy.path / "data/backbone/vgg16_notop.weights.h5"
        yield "extraction", of_extraction(weights, rounds)
        yield "training", side_by_side.race(training.contestants(), rounds, "scratch").to_dict("records")
        yield "notebook", of_notebook(weights, rounds)
        yield "precision", precision.effect(copy, weights)
        yield "growth", pipeline.growth(copy).to_dict("records")


def of_pipeline(copy: pipeline.Copy, rounds: int) -> dict[str, Any]:
    """Run the pipeline once, then look at what is left to do."""
    total, imports = copy.run("dvc", "repro"), pipeline.import_seconds(rounds)
    kept, images = copy.timings(), prepared.read(copy.path / "data/prepared")
    counts = {name: len(images.labels[rows]) for name, rows in images.rows.items()}
    return {
        "seconds": total,
        "import_seconds": imports,
        "shares": pipeline.shares(total, kept, imports),
        "multiply_adds": arithmetic.pipeline(params.load(), counts, len(images.class_names)),
        "stages": kept[["stage_seconds", "start_seconds", "work_seconds", "seed_seconds"]]
        .reset_index()
        .to_dict("records"),
        "nothing": pipeline.nothing_to_do(copy, rounds),
        "nothing_many": pipeline.with_many_variants(copy, rounds),
    }


def of_extraction(weights: Path, rounds: int) -> list[dict[str, Any]]:
    """Extract at both sizes in both precisions."""
    found = []
    for size in extraction.BATCHES:
        for precision_ in ("float32", "bfloat16"):
            title = f"{size}x{size} {precision_}"
            measured = side_by_side.race(extraction.contestants(weights, size, precision_), rounds, title)
            multiply_adds = arithmetic.vgg16(size)
            found.append({"size": size, "precision": precision_, "multiply_adds": multiply_adds})
            found[-1]["measured"] = measured.to_dict("records")
    return found


def of_notebook(weights: Path, rounds: int) -> dict[str, Any]:
    """Train both ways: heads and block 5 on as many images as by default, and block 5 on many more."""
    default = notebook.Setting(weights, training=100, validation=400, all_images=1797)
    many = notebook.Setting(weights, training=2000, validation=400, all_images=2400, epochs=1)
    races = {
        "heads": (notebook.heads(default), min(rounds, 3)),
        "finetune": (notebook.finetunes(default), rounds),
        "finetune_many": (notebook.finetunes(many), min(rounds, 3)),
    }
    found = {name: side_by_side.race(who, times, name).to_dict("records") for name, (who, times) in races.items()}
    return {**found, "largest_difference": side_by_side.apart(notebook.largest_difference, default)}


if __name__ == "__main__":
    main()
