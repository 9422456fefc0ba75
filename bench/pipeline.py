"""The default pipeline in a fresh clone: `make repro`, where its time goes, and `dvc repro` with nothing to do."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

from bench.arithmetic import pipeline
from bench.race import apart
from fitgap.data.prepared import read_prepared
from fitgap.params.reading import load_params
from fitgap.system.processor import usable_cores

REPOSITORY = Path(__file__).parent.parent
BIN = Path(sys.executable).parent  # of the environment, whose programs and packages the clone uses


def measure(folder: Path, _rounds: int) -> dict[str, Any]:
    """Run the pipeline, as committed, in a clone inside `folder`."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(clone)], check=True)
    whole = run(clone, "make", "--silent", "--old-file=install", f"BIN={BIN}", "repro")
    nothing = statistics.median(run(clone, sys.executable, "-m", "dvc", "repro")["seconds"] for _ in range(3))
    images, params = read_prepared(clone / "data/prepared"), load_params(clone / "params.yaml")
    counts = {"test": len(images.part("test")[1]), "all": len(images.labels)}
    counts |= {"train": params.data.train_images, "validation": params.data.validation_images}
    return {
        **whole,
        "nothing": nothing,
        "cores": usable_cores(),
        "images": counts["all"],
        "multiply_adds": apart(pipeline, params, counts, len(images.class_names)),
        "families": by_family(clone / "timings"),
    }


def run(folder: Path, *command: str) -> dict[str, float]:
    """Run a command; return its wall time, and the CPU time of all its processes, in seconds."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_", "GIT_"))}
    environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
    log, begin = folder / "bench.log", time.perf_counter()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file)
        _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"bench: {' '.join(command)}: ended badly:\n{log.read_text(encoding='utf-8')}")
    return {"seconds": time.perf_counter() - begin, "core_seconds": used.ru_utime + used.ru_stime}


def by_family(timings: Path) -> list[dict[str, Any]]:
    """Sum by family: `stages`, the processor's seconds until their work begins (`start`), wall seconds of `work`."""
    rows = pd.DataFrame([json.loads(file.read_text(encoding="utf-8")) for file in timings.glob("*.json")])
    rows["family"] = rows["stage"].str.partition("@")[0]
    sums = {"stages": ("stage", "size"), "start": ("start_seconds", "sum"), "work": ("work_seconds", "sum")}
    together = rows.groupby("family").agg(**sums)
    return together.sort_values("work", ascending=False).reset_index().to_dict("records")
