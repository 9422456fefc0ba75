"""How often do other draws lead to the same verdict? `python -m bench.agreement REPETITIONS [KEY=VALUE ...]`.

The models from scratch are trained inside the pool (see bench/sizing.py) with twice as many seeds, from 100 on. Then
the seeds are divided into two halves, at random and ROUNDS times, and each half judges the statements about these
models on its own. Printed are the verdict of all seeds together, how often the two halves agree, and how often a half
is undecided. The inner test set has a third of the test images, so that small differences are harder to decide.

Needs data/prepared/ (`dvc repro prepare`).
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from bench.sizing import PREPARED, inside_the_pool, train
from fitgap.claims import judge_all
from fitgap.claims.study import Study
from fitgap.data.prepared import PreparedImages, read_prepared
from fitgap.data.record import Result
from fitgap.definitions.determinism import start_tensorflow
from fitgap.inference.verdicts import INCONCLUSIVE
from fitgap.params import reading
from fitgap.params.schema import Params
from fitgap.programs.setting import apply_changes, parse_assignment

FIRST_SEED = 100
ROUNDS = 12
OTHER_TOPICS = ("transfer", "labels")  # statements about models that are not trained here


def main(repetitions: str, *changes: str) -> None:
    """Train the models, then print one line per statement and the means."""
    seeds = list(range(FIRST_SEED, FIRST_SEED + 2 * int(repetitions)))
    assigned = {"seeds": seeds, **dict(parse_assignment(text) for text in changes)}
    params = reading.validate(apply_changes(reading.read_tree(Path("params.yaml")), assigned), Path("params.yaml"))
    start_tensorflow(0, params.compute.threads)
    names = [f"scratch@{name}" for name in params.variants] + [f"highrate@{name}" for name in params.highrate.variants]
    with tempfile.TemporaryDirectory() as folder:
        results = [train(params, name, Path(folder)) for name in names]
    print(describe(params, results, inside_the_pool(read_prepared(PREPARED)), seeds))


def describe(params: Params, results: list[Result], images: PreparedImages, seeds: list[int]) -> str:
    """Return the table, as text."""
    every, random = judge(params, results, images, seeds), np.random.default_rng(0)
    halves = []
    for _ in range(ROUNDS):
        order = random.permutation(seeds).tolist()
        halves.append([judge(params, results, images, sorted(part)) for part in np.array_split(order, 2)])
    rows = {
        claim: {
            "all seeds": verdict,
            "halves agree": np.mean([one[claim] == other[claim] for one, other in halves]),
            "undecided": np.mean([half[claim] == INCONCLUSIVE for pair in halves for half in pair]),
        }
        for claim, verdict in every.items()
    }
    table = pd.DataFrame(rows).T
    means = table[["halves agree", "undecided"]].astype(float).mean()
    return f"{table.to_string()}\nmean: halves agree {means.iloc[0]:.0%}, undecided {means.iloc[1]:.0%}"


def judge(params: Params, results: list[Result], images: PreparedImages, seeds: Sequence[int]) -> dict[str, str]:
    """Return claim id -> verdict, from these seeds alone."""
    study = Study.gather(params, [select_seeds(result, seeds) for result in results], images)
    return {claim["id"]: claim["verdict"] for claim in judge_all(study) if claim["topic"] not in OTHER_TOPICS}


def select_seeds(result: Result, seeds: Sequence[int]) -> Result:
    """Return a result with the measurements of these seeds only."""
    kept = [position for position, row in enumerate(result.record.seeds) if row["seed"] in set(seeds)]
    record = replace(result.record, seeds=[result.record.seeds[position] for position in kept])
    return Result(record, result.history[result.history["seed"].isin(seeds)], result.test_probabilities[kept])


if __name__ == "__main__":
    main(*sys.argv[1:])
