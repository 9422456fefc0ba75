"""The measurements of a model in one table: name, title, unit and margin."""

from dataclasses import dataclass

# The epochs at which every training is measured, as suffixes of measured names: the lowest validation loss, the highest
# validation accuracy (the first of equals), the last epoch.
MOMENTS = ("best", "peak", "last")
# unit -> display factor and suffix
UNITS = {"share": (100, " points"), "nats": (1, " nats"), "epochs": (1, " epochs"), "": (1, "")}


@dataclass(frozen=True)
class Measurement:
    """A number measured once per model and seed."""

    name: str  # key in record.json, in summary.csv (with `_mean` and `_sd`) and in MLflow
    title: str  # in the report
    unit: str  # a key of `UNITS`: "share" (of images), "nats", "epochs", or "" for a number without a unit
    is_headline: bool = True  # whether it has a column in the report and in `dvc metrics show`
    margin: float | None = None  # smaller differences are not relevant; fixed before the shipped seeds were run


MEASUREMENTS = {
    measurement.name: measurement
    for measurement in (
        Measurement("test_accuracy", "test accuracy", "share", margin=0.02),
        Measurement("test_accuracy_last", "test accuracy at the last epoch", "share", margin=0.02),
        Measurement("val_accuracy_best", "best validation accuracy", "share", margin=0.02),
        Measurement("val_loss_best", "best validation loss", "nats", margin=0.05),
        Measurement("gap_last", "final gap", "nats", margin=0.1),
        Measurement("accuracy_gap_last", "final gap in accuracy", "share", margin=0.02),
        Measurement("gap_best", "gap at best epoch", "nats", margin=0.1),
        Measurement("epochs_to_best", "epochs to best", "epochs", margin=2),
        Measurement("weight_norm_last", "norm of the weights", "", is_headline=False),
    )
}
HEADLINES = tuple(name for name, measurement in MEASUREMENTS.items() if measurement.is_headline)


def name_at(name: str, moment: str) -> str:
    """Return the name of a test's measurement at a moment: test_loss at the first of MOMENTS, or test_loss_last."""
    return name if moment == MOMENTS[0] else f"{name}_{moment}"
