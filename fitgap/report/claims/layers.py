"""The claim that a network's layers near the input are general, and those near the output specific."""

from dataclasses import replace

import numpy as np

from fitgap.backbone.layers import POOLS
from fitgap.params import Params
from fitgap.report.claims.claim import Claim
from fitgap.report.claims.transfer import obstacle
from fitgap.report.statistics import over_images
from fitgap.report.study import PROBE, Study
from fitgap.report.verdicts import Comparison, Finding, judge


def specific_at_the_end(study: Study) -> Finding:
    """Judge that some lower block tells the target's classes apart better than the last one does.

    The lower block is the one with the lowest validation loss: the test images have no say in the choice.
    """
    probe = study.probe
    lower = probe.history["val_loss"].iloc[:-1].idxmin()
    right = (probe.test_probabilities.argmax(axis=-1) == study.prepared.split("test")[1]).astype(float)
    label = f"probe on {POOLS[lower]} - probe on {POOLS[-1]}: test accuracy"
    finding = judge([Comparison(label, over_images(right[lower] - right[-1]), 1, "share")])
    return replace(finding, note=_in_words(right.mean(axis=1)))


def _in_words(accuracies: np.ndarray) -> str:
    by_block = ", ".join(f"{name} {share:.1%}" for name, share in zip(POOLS, accuracies, strict=True))
    return f"by block: {by_block}; nothing in a probe is left to chance, so the interval is over test images alone"


def claims(params: Params) -> list[Claim]:
    """List the one claim about what layers know."""
    return [
        Claim(
            id="upper_layers_are_specific",
            statement="Layers near the input learn general features, layers near the output specific ones.",
            models=(PROBE,),
            statistic="difference of the test accuracy of linear probes on the target data: the lower block with "
            "the lowest validation loss against the last block",
            direction="above",
            rule="supported if the 95% interval lies above 0; contradicted if it lies below; over test images",
            evaluate=specific_at_the_end,
            needed=(PROBE,),
            obstacle=obstacle(params),
        )
    ]
