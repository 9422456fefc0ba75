"""Whether a model is better than the one that holds the title, by more than its uncertainty."""

from collections.abc import Mapping

import pandas as pd

from fitgap.report.statistics import MINIMUM_SEEDS, over_seeds

Losses = Mapping[int, float]  # seed -> lowest validation loss in nats


def contest(candidate: str, losses: Losses, holder: str, holder_losses: Losses) -> tuple[bool, str]:
    """Judge whether a candidate takes the title: its lowest validation losses must lie below the holder's.

    The difference is paired by seed, on the same validation images, and its whole 95% interval must lie below
    0; the test images have no say.

    Returns
    -------
    Whether it does, and why in one sentence; **names** are marked as in Markdown.
    """
    differences = (pd.Series(losses, dtype=float) - pd.Series(holder_losses, dtype=float)).dropna()
    estimate = over_seeds(differences)
    ahead = f"**{candidate}** now has the lowest validation loss of all models"
    if not estimate.is_enough:
        shared = f"they share {estimate.seeds} seeds, and it takes {MINIMUM_SEEDS} to tell"
        return False, f"**{holder}** keeps it: {ahead}, but {shared}."
    low, high = estimate.interval()
    said = f"{estimate.value:+.3f} nats, 95% interval {low:+.3f} to {high:+.3f}, {estimate.seeds} seeds"
    if high < 0:
        return True, f"**{candidate}** takes it from **{holder}**: its validation loss is lower ({said})."
    return False, f"**{holder}** keeps it: {ahead}, but it is not clearly lower than the holder's ({said})."
