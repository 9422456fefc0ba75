"""Test trials: as many for every model, on draws of their own, by validation alone."""

from collections import Counter

import numpy as np
import pytest
import synthetic_results as synthetic

from fitgap.data.draws import draw_rows, trial_seeds
from fitgap.params.reading import load_params
from fitgap.pipeline.checkpoints import Checkpoint

CANDIDATES = {"dropout": [0.1, 0.3, 0.5], "learning_rate": [0.003, 0.03]}
FAMILIES = ("scratch", "head", "finetune")


def contestants(params, family: str) -> list:
    names = params.finetune.depths if family == "finetune" else params.variants
    models = [params.model(family, name) for name in names]
    return [model for model in models if not model.obstacle]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_model_of_a_family_gets_as_many_trials_the_baseline_too(tensorflow, repository, family):
    from fitgap.training.trials import draw_choices

    params = load_params(repository / "params.yaml")
    trials = {model.name: len(draw_choices(model.candidates, model.trials)) for model in contestants(params, family)}
    assert set(trials.values()) == {getattr(params, family).trials}
    assert "baseline" in trials or family == "finetune"
    assert min(trials.values()) >= 4


@pytest.mark.parametrize(("sizes", "count"), [((5, 6), 29), ((5, 6), 30), ((10, 10), 50), ((2, 2, 2), 7)])
def test_most_of_a_grid_can_be_asked_for(tensorflow, sizes, count):
    from fitgap.training.trials import draw_choices

    choices = draw_choices({f"key{n}": list(range(size)) for n, size in enumerate(sizes)}, count)
    assert len({tuple(choice.values()) for choice in choices}) == len(choices) == count


@pytest.mark.parametrize("count", [5, 6])
def test_trials_differ_and_come_weakest_first(tensorflow, count):
    from fitgap.training.trials import draw_choices, rank

    choices = draw_choices(CANDIDATES, count)
    assert len({tuple(choice.items()) for choice in choices}) == count
    ranks = [rank(CANDIDATES, choice) for choice in choices]
    assert ranks == sorted(ranks) and set(ranks) == {0, 1, 2}


def test_every_candidate_of_a_list_is_tried_about_equally_often(tensorflow):
    from fitgap.training.trials import draw_choices

    wide = {"layer": list("abcde"), "pooling": ["average", "flatten"], "learning_rate": list(range(12))}
    choices = draw_choices(wide, 12)
    for key, values in wide.items():
        counts = Counter(choice[key] for choice in choices)
        assert set(counts) == set(values) and max(counts.values()) - min(counts.values()) <= 1


def test_trials_have_draws_that_no_statement_uses():
    assert len(trial_seeds(range(20))) == 3
    first = trial_seeds([])[0]
    assert first not in trial_seeds([first])


def test_the_better_half_goes_on_and_the_weaker_wins_a_tie(tensorflow):
    from fitgap.training.trials import better_half

    def rows(*losses, draw=0):
        return [{"trial": n + 1, "draw": draw, "val_loss_best": loss} for n, loss in losses]

    first = rows((0, 0.5), (1, 0.4), (2, np.nan), (3, 0.4), (4, 0.6), (5, 0.45))
    assert better_half(first) == [1, 3, 5]
    second = first + rows((1, 0.6), (3, 0.5), (5, 0.45), draw=1)
    assert better_half(second) == [3, 5]  # means 0.45 and 0.45: the weaker first
    assert better_half(second + rows((3, 0.1), (5, 0.0), draw=2))[0] == 5


@pytest.fixture
def tried(tensorflow, tmp_path):
    """Run the trials of a small scratch model; return them, its params, its images and the checkpoint."""
    from fitgap.training.experiment import build_experiment
    from fitgap.training.trials import run_trials

    was = {"scratch.filters": [4], "scratch.epochs": 2, "scratch.trials": 4}
    was |= {"variants.dropout.dropout": [0.1, 0.5], "scratch.learning_rate": [0.003, 0.01]}
    params, images = synthetic.params(**was), synthetic.prepared()
    images.images[images.rows["test"]] = 0  # who learns from them learns nothing
    looked_at = []

    class Watched(np.ndarray):
        def __getitem__(self, rows):
            looked_at.extend(np.atleast_1d(np.arange(len(images.images))[rows]).tolist())
            return np.asarray(super().__getitem__(rows))

    def decide(choice=()):
        return build_experiment(
            params, params.model("scratch", "dropout", dict(choice)), images, images.images.view(Watched)
        )

    return run_trials(decide(), decide, Checkpoint(tmp_path)), params, images, looked_at


def test_no_test_image_is_read_in_a_trial(tried):
    _, params, images, looked_at = tried
    allowed = set()
    for draw in trial_seeds(params.seeds):
        rows = draw_rows(images, params.data, draw)
        allowed |= {*rows["train"].tolist(), *rows["validation"].tolist()}
    assert set(looked_at) <= allowed and looked_at


def test_finalists_have_three_draws_and_the_lowest_mean_loss_is_chosen(tried):
    trials = tried[0]
    draws = trials.table.groupby("trial")["draw"].count()
    assert sorted(draws) == [1, 1, 3, 3]
    final = trials.table[trials.table["trial"].isin(draws[draws == 3].index)]
    assert trials.number == final.groupby("trial")["val_loss_best"].mean().idxmin()
    row = trials.table[trials.table["trial"] == trials.number].iloc[0]
    assert trials.choice == {"dropout": row["dropout"], "learning_rate": row["learning_rate"]}
    assert trials.experiment.model.schedule.learning_rate == trials.choice["learning_rate"]
    assert trials.experiment.model.variant.dropout == trials.choice["dropout"]
    assert trials.experiment.model.candidates == {}


def test_a_single_trial_is_the_middle_candidate_untried(tensorflow, tmp_path):
    from fitgap.training.experiment import build_experiment
    from fitgap.training.trials import run_trials

    was = {"scratch.trials": 1, "variants.dropout.dropout": [0.1, 0.2, 0.5], "scratch.learning_rate": [0.003, 0.01]}
    params, images = synthetic.params(**was), synthetic.prepared()

    def decide(choice=()):
        return build_experiment(params, params.model("scratch", "dropout", dict(choice)), images, images.images)

    trials = run_trials(decide(), decide, Checkpoint(tmp_path))
    assert trials.choice == {"dropout": 0.2, "learning_rate": 0.01} and trials.number is None
    assert trials.table.empty and trials.experiment.model.candidates == {}
