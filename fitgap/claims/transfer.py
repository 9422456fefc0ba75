"""Claims about the three ways to use a pre-trained network, and about the features of its layers."""

import numpy as np
import pandas as pd

from fitgap.claims.choices import AS_STATED, OF_ANSWERS, TARGETS
from fitgap.claims.claim import CHECKS, CannotTellError, Claim
from fitgap.claims.comparisons import (
    ACCURACY,
    ACCURACY_MARGIN,
    BASELINE,
    IMAGES,
    RULE_ONE,
    against,
    compare,
    right_answers,
    transfer_obstacle,
)
from fitgap.claims.study import PROBE, Study
from fitgap.definitions.measurements import MEASUREMENTS
from fitgap.inference.estimates import Proportion, estimate_over_seeds
from fitgap.inference.verdicts import Comparison, Finding, judge
from fitgap.params.schema import Params

HEAD = "head@baseline"


def claims(params: Params) -> list[Claim]:
    """Return the claims about transfer learning."""
    stop = transfer_obstacle(params)
    useless = "Way 1 is rarely useful: a new classifier on the frozen base is more accurate."
    return [
        Claim(
            id="transfer_is_quick",
            topic="transfer",
            statement="Transfer learning is a quick way to a good baseline: fewer epochs to the same accuracy.",
            models=(HEAD, BASELINE),
            statistic="difference of the epochs until the validation accuracy reaches "
            f"{AS_STATED.target:.0%} of the scratch baseline's mean over its last quarter of epochs, and holds it on "
            "average with the next epoch",
            direction="below",
            rule=RULE_ONE.format(side="below") + "; where it is never reached, as one epoch more than were run",
            evaluate=fewer_epochs,
            needed=(HEAD, BASELINE),
            choices=TARGETS,
            obstacle=stop,
        ),
        Claim(
            id="way1_names_source_classes_only",
            topic=CHECKS,
            statement="Way 1, the network unchanged: it can only name the classes it was trained on.",
            models=("asis",),
            statistic="share of test images lost because its classes are not the target's",
            direction="above",
            rule="supported if the 95% interval lies above 0",
            evaluate=lost_to_source_classes,
            needed=("asis",),
            obstacle=stop,
        ),
        against("way1_rarely_useful", "transfer", useless, ("asis", HEAD), ACCURACY, -1, stop),
        _best_of_both(params, stop),
        *(claim for depth in params.finetune.depths for claim in _fine_tuning(params.finetune.head, depth, stop)),
        Claim(
            id="upper_layers_are_specific",
            topic="transfer",
            statement="Layers near the input learn general features, layers near the output specific ones.",
            models=(PROBE,),
            statistic="difference of the test accuracy of linear probes on the target data: the lower block with "
            "the lowest validation loss against the last block",
            direction="above",
            rule=f"{RULE_ONE.format(side='above')}; it allows for {IMAGES}",
            evaluate=specific_at_the_end,
            needed=(PROBE,),
            choices=("seeds",),
            obstacle=stop,
        ),
    ]


def _fine_tuning(start: str, depth: str, stop: str) -> list[Claim]:
    """Return the claims about fine-tuning from `depth`: better than the frozen base, better than from scratch."""
    frozen = f"Way 3 beats way 2: unfrozen from {depth} on, it beats the frozen base."
    scratch = f"Fine-tuning from {depth} on beats training from scratch."
    statements = {"frozen": (f"head@{start}", frozen), "scratch": (f"scratch@{start}", scratch)}
    return [
        against(
            f"finetune_{depth}_beats_{rival}", "transfer", statement, (f"finetune@{depth}", other), ACCURACY, 1, stop
        )
        for rival, (other, statement) in statements.items()
    ]


def _best_of_both(params: Params, stop: str) -> Claim:
    """Return the claim on the best of both sides; neighbouring strengths are no choice where each has its best."""
    families = {"scratch": params.variants, "head": params.variants, "finetune": params.finetune.depths}
    return Claim(
        id="best_borrower_beats_best_scratch",
        topic="transfer",
        statement="Both sides at their best: the best borrower is more accurate than the best from scratch.",
        models=tuple(f"{family}@{name}" for family, names in families.items() for name in names),
        statistic="difference of the test accuracy of the best model that borrows and the best from scratch, both "
        "chosen by their validation accuracy",
        direction="above",
        rule=RULE_ONE.format(side="above") + f"; it allows for {IMAGES}",
        evaluate=best_borrower,
        choices=OF_ANSWERS,
        obstacle=stop,
    )


def best_borrower(study: Study) -> Finding:
    """Judge the claim that the best borrower is ahead of the best from scratch; the test has no say in choosing."""
    chosen = study.contestants
    if len(chosen) < 2:
        raise CannotTellError("one of the two sides has no model with results")
    return judge(compare(study, chosen["borrowed"], [chosen["scratch"]], ACCURACY, 1))


def fewer_epochs(study: Study) -> Finding:
    """Judge the claim that a head on the frozen base gets as accurate as the scratch baseline in fewer epochs.

    The target is a choice; the report also judges by others. The highest of the baseline's accuracies is no target: the
    maximum of many noisy values lies above what the network can do, by more the more epochs there are, and one lucky
    epoch decides when it is reached. So the target is a mean over many epochs, the last quarter, and two epochs must
    reach it together. 95% of it is what a reader takes for the same accuracy, where the mean itself is half the time
    above the curve that it is the mean of. Each repetition has its own target, as it has its own validation images.
    """
    scratch, head = study.history(BASELINE), study.history(HEAD)
    targets = study.choice.target * late_accuracy(scratch)
    targets = targets[targets.index.isin(head["seed"])]
    own, longest = epochs_until(head, targets), float(head["epoch"].max())
    never = np.isinf(own)
    # A target never reached needs at least one epoch more than were run, so the difference is a lower bound.
    differences = own.where(~never, longest + 1) - epochs_until(scratch, targets)
    if (differences[never] < 0).any():
        raise CannotTellError(f"{HEAD} has not reached it within its {longest:.0f} epochs; head.epochs is too few")
    step = max(study.params.scratch.validation_freq, study.params.head.validation_freq)
    estimate = estimate_over_seeds(differences, resolution=step)
    margin = MEASUREMENTS["epochs_to_best"].margin
    finding = judge([Comparison(f"{HEAD} - {BASELINE}: epochs to get there", estimate, -1, "epochs", margin)])
    note = f"in {never.sum()} of {len(never)} repetitions it is not reached within {longest:.0f} epochs"
    return finding.with_note(note if never.any() else "")


def late_accuracy(history: pd.DataFrame) -> pd.Series:
    """Return each seed's mean validation accuracy over the last quarter of its epochs."""
    late = history[history["epoch"] > 0.75 * history["epoch"].max()]
    return late.groupby("seed")["val_accuracy"].mean()


def epochs_until(history: pd.DataFrame, targets: pd.Series) -> pd.Series:
    """Return each seed's first epoch that reaches its target, as its mean with the next epoch does; infinity if none.

    `targets` maps seeds to validation accuracies. After the last epoch nothing is asked of a next one.
    """
    curves = history.pivot(index="epoch", columns="seed", values="val_accuracy").reindex(columns=targets.index)
    with_next = (curves + curves.shift(-1).fillna(curves)) / 2
    reached = np.minimum(curves, with_next).ge(targets, axis="columns")
    return reached.idxmax().astype(float).where(reached.any(), np.inf)


def lost_to_source_classes(study: Study) -> Finding:
    """Judge the claim that images are lost because the network can only predict its source classes.

    Lost are images of classes that it does not know, and images that it classifies correctly only if its output is
    restricted to the target's classes.
    """
    measured = study.results["asis"].record.measured
    images = right_answers(study, "asis").shape[1]
    within_reach = measured["coverage"] * (measured["accuracy_known_classes"] or 0.0)  # None: no known class
    lost = 1 - measured["coverage"] + max(within_reach - measured["accuracy_all_classes"], 0.0)
    finding = judge([Comparison("asis: share of test images lost", Proportion(lost, images), 1, "share")])
    return finding.with_note(_coverage(measured, len(study.prepared.class_names)))


def _coverage(measured: dict[str, float | None], classes: int) -> str:
    known = measured["accuracy_known_classes"]
    restricted = "" if known is None else f", and {known:.1%} of the covered ones when held to the target's"
    return (
        f"it knows {measured['known_classes']} of {classes} target classes among its own "
        f"{measured['source_classes']}, which covers {measured['coverage']:.1%} of the test images; "
        f"right are {measured['accuracy_all_classes']:.1%} over all its classes{restricted}"
    )


def specific_at_the_end(study: Study) -> Finding:
    """Judge the claim that a lower block separates the target's classes better than the last block.

    The lower block is selected by its mean validation loss; test results are not used.
    """
    right, layers = study.right_by_layer(study.probe), study.probe.record.layers
    if len(layers) < 2:
        raise CannotTellError("features.layers has one block only, and it takes a lower one to compare the last with")
    lower = int(study.probe.history.groupby("block")["val_loss"].mean().to_numpy()[:-1].argmin())
    label = f"probe on {layers[lower]} - probe on {layers[-1]}: test accuracy"
    estimate = study.over_images(right[lower] - right[-1])
    shares = zip(layers, right.mean(axis=(1, 2)), strict=True)
    note = "by block: " + ", ".join(f"{name} {share:.1%}" for name, share in shares)
    return judge([Comparison(label, estimate, 1, "share", ACCURACY_MARGIN)]).with_note(note)
