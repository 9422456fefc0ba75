"""choice: choose the best model from scratch and the best that borrows VGG16, both by their validation accuracy.

reads   params.yaml (backbone.weights, and which models it declares), results/scratch/, results/head/, results/finetune/
writes  results/choice/: the settings of the two, and nothing that was measured; a run in MLflow
"""

from collections.abc import Mapping
from pathlib import Path

from fitgap import lifecycle
from fitgap.data.record import Record, Result, read_result
from fitgap.data.results import WAYS, best_of_both, declared_models
from fitgap.definitions.families import family_of
from fitgap.params.reading import load_params

RESULTS = Path("results")
NOTHING_BORROWED = "backbone.weights is none: a random network has learned nothing to borrow"


def main() -> None:
    """Choose among the models that params.yaml declares."""
    clock, params = lifecycle.Clock(), load_params()
    families = [family for way in WAYS.values() for family in way]
    names = [name for name in declared_models(params) if family_of(name) in families]
    results = {name: read_result(RESULTS / name.replace("@", "/")) for name in names}
    chosen = choose(results, NOTHING_BORROWED if params.backbone.weights == "none" else "")
    lifecycle.finish(chosen, clock, RESULTS / "choice")


def choose(results: Mapping[str, Result], obstacle: str = "") -> Result:
    """Return the choice: its record has the settings of the models, or why there is nothing to compare."""
    chosen = best_of_both(results.values())
    missing = "; ".join(f"no model of the way {way!r} has finite losses" for way in WAYS if way not in chosen)
    return Result(
        Record(
            stage="choice",
            variant=None,
            params={way: result.name for way, result in chosen.items()},
            inputs={name: identity for result in chosen.values() for name, identity in result.record.inputs.items()},
            contestants={way: _trainings(results, result) for way, result in chosen.items()},
            not_applicable=obstacle or missing or None,
        )
    )


def _trainings(results: Mapping[str, Result], chosen: Result) -> list[dict]:
    """Return the settings of a model, and before them those of the head that fine-tuning starts from."""
    record = chosen.record
    records = [results[f"head@{record.params['head']}"].record] if record.stage == "finetune" else []
    return [Record(own.stage, own.variant, own.params, own.inputs).to_dict() for own in [*records, record]]


if __name__ == "__main__":
    lifecycle.run(main)
