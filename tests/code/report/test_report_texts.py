"""Test the texts and tables of the report: margins, remarks, what the intervals cover, and a row per model."""

import io
import re
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic

from fitgap.claims.study import Study
from fitgap.report import answer, formatting
from fitgap.report.figures import learning_curve
from fitgap.report.rendering import render_template
from fitgap.report.tables import summary_table

PROMISED = (
    "model family variant test_accuracy_mean test_accuracy_sd val_loss_best_mean gap_last_mean gap_best_mean "
    "epochs_to_best_mean params_total params_trainable params_frozen seconds_mean seeds"
).split()
CLAIM = {
    "unit": "share",
    "estimate": 0.01,
    "ci_low": -0.01,
    "ci_high": 0.015,
    "margin": 0.02,
    "confidence": 0.95,
    "seeds_needed": None,
    "note": "",
}


@pytest.fixture(scope="module")
def study():
    return synthetic.study()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"source": "digits"}, "digits"),
        ({"source": "directory", "path": "/home/me/holiday pictures/"}, "pictures from holiday pictures"),
        ({"source": "directory", "path": "../pets.tar.gz"}, "pictures from pets.tar.gz"),
        ({"source": "directory", "path": "."}, "pictures from ."),
    ],
)
def test_own_pictures_are_called_by_their_folder(study, data, said):
    assert formatting.data_title(study.params.data.model_copy(update=data)) == said


@pytest.mark.parametrize(
    ("unit", "margin", "said"),
    [("share", 0.02, "2 points"), ("nats", 0.05, "0.05 nats"), ("epochs", 2, "2 epochs"), ("", None, "")],
)
def test_margins_are_said_in_the_unit_of_the_claim(unit, margin, said):
    assert formatting.margin({"unit": unit, "margin": margin}) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verdict": "no relevant difference"}, "no difference larger than 2 points"),
        ({"verdict": "inconclusive", "seeds_needed": 40}, "too uncertain: about 40 repetitions would settle it"),
        ({"verdict": "inconclusive"}, "too uncertain: no reasonable number of repetitions would settle it"),
        ({"verdict": "inconclusive", "ci_low": None, "note": "l1 diverged"}, "l1 diverged"),
        ({"verdict": "supported", "ci_low": 0.1, "ci_high": 0.2}, ""),
        ({"verdict": "supported", "ci_low": 0.001}, "clear, but not relevant: smaller than 2 points"),
        ({"verdict": "supported", "margin": None, "note": "by block"}, "by block"),
        ({"verdict": "no relevant difference", "note": "so"}, "no difference larger than 2 points; so"),
    ],
)
def test_remarks_say_what_a_verdict_means(changes, said):
    assert formatting.remark(CLAIM | changes) == said


def with_pool(study, pool, validation, **data):
    """Return the study with other sizes of the pool and of the fixed validation images."""
    prepared = study.prepared
    total = len(prepared.labels)
    rows = {"pool": slice(0, pool), "validation": slice(pool, pool + validation), "test": slice(total - 100, total)}
    settings = study.params.model_copy(update={"data": study.params.data.model_copy(update=data)})
    return replace(study, prepared=replace(prepared, rows=rows), params=settings)


@pytest.mark.parametrize(
    ("pool", "validation", "settings", "drawn", "covered"),
    [
        (
            350,
            0,
            {"train_images": 100, "validation_images": 200},
            "draws its own 100 training and 200 validation images from a pool of 350; the 100 test images are fixed",
            "cover the choice of training and validation images within this pool, initial weights, data order",
        ),
        (
            350,
            50,
            {"train_images": 100},
            "draws its own 100 training images from a pool of 350; the 50 validation and 100 test images are fixed",
            "cover the choice of training images within this pool",
        ),
        (
            350,
            50,
            {"train_images": "all"},
            "All train on the same 350 images, because the source fixes them or the whole pool is used.",
            "cover initial weights, data order and dropout masks, not the choice of the images.",
        ),
    ],
)
def test_coverage_says_which_images_are_drawn(study, pool, validation, settings, drawn, covered):
    shown = with_pool(study, pool, validation, **settings)
    text = render_template("coverage.j2", {"study": shown, "images": answer.count_images(shown)})
    assert drawn in text and covered in text


def test_learning_curve_has_every_size_and_way(study):
    curve = learning_curve.measure_learning_curve(study)
    assert curve.sizes == sorted([*study.params.learning_curve.sizes, study.train_images])
    assert list(curve.accuracies) == ["scratch", "borrowed"]
    rows = learning_curve.tabulate_curve(curve)
    by_seed = study.seeds(study.contestants["scratch"])["test_accuracy"]
    said = formatting.percent(by_seed.mean(), np.std(by_seed, ddof=1))
    assert (str(study.train_images), said) in [row[:2] for row in rows]


def test_learning_curve_needs_two_repetitions_for_a_crossing(study):
    assert learning_curve.measure_learning_curve(synthetic.study(seeds=[3])).crossing is None
    assert learning_curve.measure_learning_curve(study).crossing is not None


def test_learning_curve_without_the_usual_models_still_has_a_figure(study):
    others = {name: result for name, result in study.results.items() if not name.startswith("finetune")}
    rest = replace(study, results=others)
    assert "VGG16 borrowed: finetune@block5" in learning_curve.draw_learning_curve(
        learning_curve.measure_learning_curve(rest)
    )
    assert learning_curve.measure_learning_curve(replace(study, curve={})) is None


def answer_of(study):
    return answer.write_answer(study, summary_table(study), learning_curve.measure_learning_curve(study))


def test_answer_leads_with_the_model_to_use_and_how_good_it_is(study):
    use, other, cut, meeting, in_accuracy, in_loss = answer_of(study)
    row = summary_table(study).set_index("model").loc["scratch@dropout"]
    low, high = (100 * row[f"test_accuracy_ci_{end}"] for end in ("low", "high"))
    assert use.startswith("By validation, the model to use is **scratch@dropout**, trained from scratch")
    assert f"{100 * row['test_accuracy_mean']:.1f}% of the test images" in use and f"{low:.1f} to {high:.1f}%" in use
    assert "borrowed from printed characters, **finetune@block5_conv3**" in other
    assert "neither is clearly ahead, the difference is −0.5" in other
    assert cut.startswith("More epochs may still help **scratch@dropout**: most repetitions are best at the last")
    assert meeting.startswith("Training from scratch catches up at about")
    assert "not clearly ahead of scratch@batchnorm: " in in_accuracy and "not learning" not in in_accuracy + in_loss
    assert "0.06 nats apart" in in_loss and "clearly ahead of every other variant, even of scratch@" in in_loss


def test_answer_names_a_gap_that_is_small_by_not_learning():
    _, other, *_, in_loss = answer_of(synthetic.study(dropout=(0.6, 0.08, -1.0)))
    assert "but by not learning: its validation accuracy differs by −31" in in_loss
    assert "The best trained from scratch, **scratch@batchnorm**" in other  # not dropout, whose loss is the lowest


def test_answer_on_own_pictures_goes_on_with_costs_more_pictures_and_mistakes(study):
    data = study.params.data.model_copy(update={"source": "directory"})
    own = replace(study, params=study.params.model_copy(update={"data": data}))
    confusion = pd.DataFrame([[0.8, 0.2], [0.05, 0.95]], index=["cat", "dog"], columns=["cat", "dog"])
    args = summary_table(own), learning_curve.measure_learning_curve(own), confusion
    costs, more, mixed = [
        text for text in answer.write_answer(own, *args) if text not in answer.write_answer(study, *args)
    ]
    assert re.match(r"One training took [\d.]+ s for \S+@\S+ and [\d.]+ s for \S+@\S+\.", costs)
    assert re.match(r"From \d+ to \d+ training images its accuracy changes by .* points .*: .*more pictures", more)
    assert mixed == "It most often mistakes **cat** for **dog**: 20% of the test images of cat."


def test_answer_of_models_that_guess_says_so_and_nothing_else(study):
    random = np.random.default_rng(0)
    for seeds in (None, [3]):
        guessed = synthetic.study(seeds=seeds)
        for result in guessed.results.values():
            if result.test_probabilities is not None:
                random.shuffle(result.test_probabilities, axis=-2)
        assert guessed.is_guessing and not study.is_guessing
        (only,) = answer_of(guessed)
        assert (
            only.startswith("No model is clearly better than guessing: the best by validation, **")
            and "interval" in only
        )


def test_answer_says_what_it_cannot_say(study):
    scratch = {name: result for name, result in study.results.items() if name.startswith("scratch")}
    assert "no model that borrows has results" in answer_of(replace(study, results=scratch, curve={}))[1]
    random = synthetic.study(synthetic.params(**{"backbone.weights": "none"}))
    sentences = answer_of(random)
    assert len(sentences) == 5 and "backbone.weights is none" in sentences[1]
    others = {name: result for name, result in study.results.items() if not name.startswith("scratch")}
    use, missing, *_ = answer_of(replace(study, results=others, curve={}))
    assert "finetune@block5_conv3" in use and "No network trained from scratch" in missing


def test_one_row_per_model_in_the_order_of_params(study):
    table = summary_table(study)
    assert table["family"].value_counts().to_dict() == {
        "scratch": 11,
        "highrate": 2,
        "head": 11,
        "finetune": 2,
        "asis": 1,
    }
    assert table["variant"].head(11).tolist() == [name for name in study.params.variants if "best_block" not in name]
    assert not set(PROMISED) - set(table)


def test_means_and_spreads_are_over_seeds(study):
    row = summary_table(study).set_index("model").loc["scratch@dropout"]
    seeds = study.results["scratch@dropout"].seeds
    assert row["test_accuracy_mean"] == pytest.approx(seeds["test_accuracy"].mean())
    assert row["gap_last_sd"] == pytest.approx(np.std(seeds["gap_last"], ddof=1))
    assert row["test_accuracy_ci_low"] < row["test_accuracy_mean"] < row["test_accuracy_ci_high"]


def test_csv_reads_back_with_whole_numbers(study):
    text = summary_table(study).to_csv(index=False)
    back = pd.read_csv(io.StringIO(text))
    assert back["params_total"].dtype == np.int64
    assert back["seeds"].tolist() == [3] * 26 + [1]


def test_way_1_without_a_classifier_has_an_empty_row():
    table = summary_table(synthetic.study(synthetic.params(**{"backbone.weights": "none"})))
    row = table.set_index("model").loc["asis"]
    assert row.drop(["family", "variant", "images_per_second", "seeds", "failed"]).isna().all()
    assert row["seeds"] == 0


def test_a_diverged_model_has_no_flattering_mean(study):
    record = deepcopy(study.results["scratch@l2"].record)
    record.seeds[0]["val_loss_best"] = None
    results = [*study.results.values(), replace(study.results["scratch@l2"], record=record)]
    row = summary_table(Study.gather(study.params, results, study.prepared)).set_index("model").loc["scratch@l2"]
    assert row["failed"]
    assert pd.isna(row["val_loss_best_mean"])
    assert pd.isna(row["test_accuracy_ci_low"])
