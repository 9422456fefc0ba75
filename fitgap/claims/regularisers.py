"""Claims about L1, L2 and ElasticNet: steadier validation curves and smaller weights."""

from functools import partial

import numpy as np
import pandas as pd

from fitgap.claims.claim import CannotTellError, Claim
from fitgap.claims.comparisons import BASELINE, RULE_ONE, judge_against, variant_obstacle
from fitgap.claims.study import Study
from fitgap.inference.estimates import estimate_over_seeds
from fitgap.inference.verdicts import Comparison, Finding, judge
from fitgap.params.schema import Params

REGULARISERS = {"l1": ("L1", {"l1"}), "l2": ("L2", {"l2"}), "elasticnet": ("ElasticNet", {"l1", "l2"})}
MARGIN = 0.02  # nats; smaller differences of the jumps are not relevant
FEWEST_EPOCHS = 4  # gives two second differences; a single one is no measure of steadiness


def unsteadiness(history: pd.DataFrame) -> pd.Series:
    """Measure how much each seed's validation loss jumps around its local trend, in nats.

    This is the residual standard deviation from second differences: each epoch against the mean of its neighbours.
    A smooth fall or rise counts as steady however steep it is; a zigzag does not. Gasser, Sroka, Jennen-Steinmetz,
    Residual variance and residual pattern in nonlinear regression, Biometrika 73 (1986),
    doi:10.1093/biomet/73.3.625.

    Parameters
    ----------
    history : DataFrame
        Columns seed, epoch, val_loss.

    Returns
    -------
    Series
        One value per seed.

    Raises
    ------
    CannotTellError
        If there are fewer than FEWEST_EPOCHS epochs.
    """
    curves = history.pivot(index="epoch", columns="seed", values="val_loss").sort_index()
    if len(curves) < FEWEST_EPOCHS:
        raise CannotTellError(f"{len(curves)} epochs are too few to speak of a curve's steadiness")
    jumps = np.diff(curves.to_numpy(), n=2, axis=0)  # variance of each: 6 sigma^2
    return pd.Series(np.sqrt((jumps**2).mean(axis=0) / 6), index=curves.columns)


def steadier(study: Study, model: str) -> Finding:
    """Judge the claim that a model's validation loss jumps less than the baseline's."""
    values = [unsteadiness(study.history(name)) for name in (model, BASELINE)]
    estimate = estimate_over_seeds(values[0] - values[1])
    return judge([Comparison(f"{model} - {BASELINE}: jumps of the validation loss", estimate, -1, "nats", MARGIN)])


def claims(params: Params) -> list[Claim]:
    """Return the claims about regularisers, two for each."""
    return [claim for variant in REGULARISERS for claim in _of_one(params, variant)]


def _of_one(params: Params, variant: str) -> list[Claim]:
    title, remedies = REGULARISERS[variant]
    model = f"scratch@{variant}"
    shared = {
        "models": (model, BASELINE),
        "direction": "below",
        "rule": RULE_ONE.format(side="below"),
        "needed": (model, BASELINE),
        "obstacle": variant_obstacle(params, variant, remedies),
    }
    return [
        Claim(
            id=f"{variant}_steadier",
            topic="regularisers",
            statement=f"{title} regularisation gives steadier validation curves.",
            statistic="difference of the validation loss's jumps around its local trend "
            "(residual sd from second differences over epochs), nats",
            evaluate=partial(steadier, model=model),
            **shared,
        ),
        Claim(
            id=f"{variant}_smaller_weights",
            topic="regularisers",
            statement=f"{title} regularisation shrinks the weights.",
            statistic="difference of the kernels' Euclidean norm after the last epoch",
            evaluate=partial(judge_against, model=model, other=BASELINE, measurement="weight_norm_last", side=-1),
            **shared,
        ),
    ]
