"""A remedy that this test alone defines goes through `dvc repro` to the report and MLflow.

CONTRIBUTING.md shows the same file: a remedy is one module, and nothing else needs to name it.
"""

import json

import pandas as pd
import pytest

MAX_NORM = '''
"""Max-norm: after every update, weights are scaled down to a largest norm (JMLR 15:1929-1958)."""

from typing import Any, ClassVar

from fitgap.definitions.fields import Strength
from fitgap.remedies.remedy import Remedy


class MaxNorm(Remedy):
    """A constraint on each kernel."""

    candidates: ClassVar[dict[str, tuple]] = {"max_norm": (0.6, 0.5)}

    max_norm: Strength = 0.0  # largest Euclidean norm along a kernel's first axis: of a unit's weights in a dense layer

    def kernel_options(self) -> dict[str, Any]:
        """Return Keras's constraint."""
        import keras

        return {"kernel_constraint": keras.constraints.MaxNorm(self.max_norm)}
'''


@pytest.mark.slow
def test_one_file_and_one_entry_are_enough(clone):
    (clone.path / "fitgap/remedies/max_norm.py").write_text(MAX_NORM)
    variants = {"baseline": {}, "dropout": {"dropout": 0.5}}
    clone.edit(variants={**variants, "maxnorm": {"max_norm": "tune"}})
    ran = clone.repro()
    assert {"scratch@maxnorm", "head@maxnorm", "report"} <= set(ran)
    assert not {"prepare", "backbone", "features"} & set(ran)
    record = json.loads((clone.path / "results/scratch/maxnorm/record.json").read_text())
    assert record["params"]["max_norm"] == record["choice"]["max_norm"]
    assert record["choice"]["max_norm"] in (0.5, 0.6)
    norms = {name: last_norm(clone, name) for name in ("baseline", "maxnorm")}
    assert norms["maxnorm"] < norms["baseline"]
    assert {"scratch@maxnorm", "head@maxnorm"} <= set(clone.summary.index)
    runs = clone.store.search_runs(["1"], "tags.variant = 'maxnorm' and tags.chosen = 'true'")
    assert {run.data.tags["stage"] for run in runs} == {"scratch", "head"}


def last_norm(clone, variant: str) -> float:
    history = pd.read_csv(clone.path / f"results/scratch/{variant}/history.csv")
    return history["weight_norm"].iloc[-1]
