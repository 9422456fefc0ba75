"""The mean curves of all models as one long table, for `dvc plots show` and `dvc plots diff`."""

import pandas as pd

from fitgap.report.study import Study

SPLITS = {"training": "train", "validation": "val"}


def curves_table(study: Study) -> pd.DataFrame:
    """Give one row per model, split and epoch.

    Columns: model, split ("training" or "validation"), epoch, loss and accuracy (means over seeds). Left out
    are the trainings at the higher rate: a first loss of 50 would flatten all other curves on common axes.
    """
    names = [name for name in study.results if name not in study.names("highrate")]
    parts = [_of_model(name, study.history(name)) for name in names if study.history(name) is not None]
    return pd.concat(parts, ignore_index=True)


def _of_model(name: str, history: pd.DataFrame) -> pd.DataFrame:
    means = history.groupby("epoch", as_index=False).mean()
    return pd.concat(
        pd.DataFrame(
            {
                "model": name,
                "split": split,
                "epoch": means["epoch"],
                "loss": means[f"{column}_loss"],
                "accuracy": means[f"{column}_accuracy"],
            }
        )
        for split, column in SPLITS.items()
    )
