"""Test the pipeline from a fresh clone to the report, what an edit of params.yaml runs, and what it leaves.

The tests run in order on one clone, like a user's session: run, look, edit, run. Which stages an edit runs is asked of
the plan, which takes a second.
"""

import json
import re

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL

from fitgap.data.draws import draw_rows
from fitgap.data.prepared import read_prepared
from fitgap.data.record import read_result
from fitgap.data.results import WAYS
from fitgap.params.reading import load_params
from fitgap.pipeline.plan import read_plan

MODELS = ["scratch@baseline", "scratch@dropout", "highrate@baseline"]
MODELS += ["head@baseline", "head@dropout", "finetune@block5", "asis"]
CURVE = "learning_curve@20"
COLUMNS = (
    "family variant test_accuracy_mean test_accuracy_sd val_loss_best_mean gap_last_mean gap_best_mean "
    "epochs_to_best_mean params_total params_trainable seconds_mean seeds"
).split()


def test_every_stage_runs_once(first_run):
    assert sorted(first_run) == sorted(["prepare", "backbone", "features", "probe", *MODELS, "choice", CURVE, "report"])


def test_reports_are_whole(clone):
    summary = clone.summary
    assert list(summary.index) == MODELS
    assert set(COLUMNS) <= set(summary.columns)
    assert (summary["seeds"] == [2, 2, 2, 2, 2, 2, 1]).all()
    assert summary["test_accuracy_mean"].between(0, 1).all()
    assert summary["seconds_mean"].drop("asis").gt(0).all()
    assert {claim["verdict"] for claim in clone.claims} <= {
        "supported",
        "contradicted",
        "no relevant difference",
        "inconclusive",
        "not applicable",
    }
    for name in ("report.html", "report.md"):
        text = (clone.path / "reports" / name).read_text()
        assert all(model.split("@")[-1] in text for model in MODELS)


def test_numbers_of_the_summary_are_those_of_the_results(clone):
    record = json.loads((clone.path / "results/head/dropout/record.json").read_text())
    accuracies = [seed["test_accuracy"] for seed in record["seeds"]]
    row = clone.summary.loc["head@dropout"]
    assert row["test_accuracy_mean"] == pytest.approx(np.mean(accuracies))
    assert row["test_accuracy_sd"] == pytest.approx(np.std(accuracies, ddof=1))
    assert row["params_total"] == row["params_trainable"] + 14_714_688 + 2  # the last two scale its features


def test_accuracy_is_that_of_the_stored_probabilities(clone):
    labels = np.load(clone.path / "data/prepared/labels.npy")
    answers = np.load(clone.path / "results/scratch/baseline/test_probabilities.npy")[0].argmax(axis=-1)
    accuracy = (answers == labels[-answers.shape[1] :]).mean()
    assert clone.summary.loc["scratch@baseline", "test_accuracy_mean"] == pytest.approx(accuracy)


def test_each_seed_has_drawn_its_own_images(clone):
    images, chosen = read_prepared(clone.path / "data/prepared"), load_params(clone.path / "params.yaml")
    one, other = (draw_rows(images, chosen.data, seed) for seed in chosen.seeds)
    assert (len(one["train"]), len(one["validation"]), len(one["test"])) == (100, 100, 200)
    assert one["train"].tolist() != other["train"].tolist()
    probes = pd.read_csv(clone.path / "results/probe/history.csv")
    assert list(zip(probes["block"], probes["seed"], strict=True)) == [(b, s) for b in (4, 5) for s in (0, 1)]
    assert np.load(clone.path / "results/probe/test_probabilities.npy").shape == (2, 2, 200, 10)


def test_learning_curve_has_both_ways_of_every_seed(clone):
    point = read_result(clone.path / "results/learning_curve/20")
    assert point.record.ways == ["scratch", "borrowed"]
    ranked = clone.summary.sort_values(["val_accuracy_best_mean", "val_loss_best_mean"], ascending=[False, True])
    for way, families in WAYS.items():
        best = ranked.index[ranked.index.str.startswith(families)][0]
        assert point.record.params[way] == best
        updates = read_result(clone.path / "results" / best.replace("@", "/")).seeds["updates"]
        assert point.history[f"{way}_updates"].tolist() == updates.tolist()
    assert point.test_probabilities.shape == (2, 2, 200, 10)
    assert point.history["seed"].tolist() == [0, 1]
    assert set(point.history["train_images"]) == {20}
    right = point.test_probabilities.argmax(axis=-1) == read_prepared(clone.path / "data/prepared").part("test")[1]
    for way, own in zip(point.record.ways, right, strict=True):
        assert point.history[f"{way}_test_accuracy"].tolist() == pytest.approx(own.mean(axis=1).tolist())
    claims = {claim["id"]: claim for claim in clone.claims}
    assert "training from scratch" in claims["borrowing_pays_with_few_labels"]["note"]


def test_nothing_to_do_runs_nothing(clone):
    assert clone.repro() == []


NEW = {"dropout": 0.3, "batch_norm": True}
AFTER = {"choice", CURVE, "report"}  # the curve runs only if the choice is another
HEADS = {"head@baseline", "head@dropout"}
EDITS = {  # changes of params -> the stages that run
    "a variant": ({"variants.dropout.dropout": 0.25}, {"scratch@dropout", "head@dropout", *AFTER}),
    "a new variant": ({"variants.dropout_bn": NEW}, {"scratch@dropout_bn", "head@dropout_bn", *AFTER}),
    "a deleted variant": ({"variants": {"baseline": {}}}, AFTER),
    "the start of fine-tuning": ({"finetune.head": "dropout"}, {*HEADS, "finetune@block5", *AFTER}),
    "the higher rate": ({"highrate.learning_rate": 0.03}, {"highrate@baseline", "report"}),
    "a new size": ({"learning_curve.sizes": [20, 50]}, {"learning_curve@50", "report"}),
    "epochs of heads": ({"head.epochs": 4}, {*HEADS, "finetune@block5", *AFTER}),
    "the division": ({"data.split_seed": 7}, {"prepare"}),
}


@pytest.mark.parametrize(("changes", "stages"), EDITS.values(), ids=EDITS)
def test_edit_of_params_runs_what_it_affects(clone, monkeypatch, changes, stages):
    monkeypatch.chdir(clone.path)
    before = (clone.path / "params.yaml").read_text()
    clone.edit(**changes)
    planned = set(read_plan().needs)
    (clone.path / "params.yaml").write_text(before)
    if "prepare" in stages:  # then all that reads its images may follow
        assert stages <= planned and "backbone" not in planned
    else:
        assert planned == stages
    assert read_plan().needs == {}


def test_edit_of_the_reports_wording_runs_the_report_alone(clone, monkeypatch):
    monkeypatch.chdir(clone.path)
    path = clone.path / "fitgap/report/templates/answer.html.j2"
    before = path.read_text()
    path.write_text(before.replace("The answer", "The answer, in short"))
    assert set(read_plan().needs) == {"report"}
    path.write_text(before)


def test_no_clock_time_path_or_run_id_in_what_dvc_keeps(clone):
    for name in ("results", "data", "reports/claims.json", "reports/claims.csv", "reports/curves.csv"):
        path = clone.path / name
        for file in [path] if path.is_file() else [*path.rglob("*.json"), *path.rglob("*.csv")]:
            text = file.read_text()
            assert str(clone.path) not in text, file
            assert "seconds" not in text, file


@pytest.mark.parametrize(
    "stage", ["scratch@dropout", *(pytest.param(name, marks=pytest.mark.slow) for name in ("finetune@block5", CURVE))]
)
def test_forced_stage_leaves_the_same_bytes(clone, stage):
    before = (clone.path / "dvc.lock").read_bytes()
    assert clone.repro("--force", "--single-item", stage) == [stage]
    assert (clone.path / "dvc.lock").read_bytes() == before


def test_dvc_shows_metrics_and_plots(clone):
    shown = json.loads(clone.run("dvc", "metrics", "show", "--json").stdout)
    metrics = shown[""]["data"]["results/scratch/dropout/metrics.json"]["data"]
    assert {"test_accuracy", "val_loss_best", "gap_last", "gap_best", "epochs_to_best"} <= metrics.keys()
    assert len({name for file in shown[""]["data"].values() for name in file["data"]}) < 10  # columns on a screen
    clone.run("dvc", "plots", "show", "--out", "plots")
    page = (clone.path / "plots/index.html").read_text()
    assert '"model": "scratch@dropout"' in page
    assert '"id": "dropout_improves_accuracy"' in page
    assert "Without\na network, open reports/report.html" in page
    assert "DVC_METRIC" not in page


def test_edited_variants_are_in_the_report_and_deleted_ones_are_not(clone):
    """`augment` has no head, and the usual size no point of the learning curve: both say so."""
    clone.edit(variants={"baseline": {}, "renamed": NEW, "augment": {"shift": 0.1}})
    clone.edit(**{"learning_curve.sizes": [20, 100]})
    ran = clone.repro_side_by_side()
    new = {f"{family}@{name}" for family in ("scratch", "head") for name in ("renamed", "augment")}
    assert {*new, "learning_curve@100", "report"} <= set(ran) and not {"backbone", "scratch@baseline"} & set(ran)
    assert {"scratch@renamed", "head@renamed", "scratch@augment"} <= set(clone.summary.index)
    assert not {"head@augment", "scratch@dropout"} & set(clone.summary.index)
    for folder, reason in {"head/augment": "cached features", "learning_curve/100": "is this size"}.items():
        record = json.loads((clone.path / "results" / folder / "record.json").read_text())
        assert reason in record["not_applicable"] and "seeds" not in record
    for name in ("report.md", "report.html"):
        assert "cached features" in (clone.path / "reports" / name).read_text()


def test_edit_undone_is_restored_not_run_again(clone):
    store = clone.store
    runs = len(store.search_runs(["1"], max_results=1000))
    clone.edit(variants=SMALL["variants"])
    clone.edit(**{"learning_curve.sizes": SMALL["learning_curve.sizes"]})
    assert set(clone.repro()) <= {"choice", "report"}
    assert len(store.search_runs(["1"], max_results=1000)) == runs
    assert list(clone.summary.index) == MODELS
    assert not [path.name for path in clone.reports if "renamed" in path.read_text()]


@pytest.mark.slow
def test_plots_of_two_experiments_side_by_side(clone):
    clone.edit(**{"variants.dropout.dropout": 0.25})
    assert {"scratch@dropout", "head@dropout", "choice", "report"} <= set(clone.repro())
    clone.run("dvc", "exp", "save", "--name", "softer")
    clone.edit(**{"variants.dropout.dropout": [0.3, 0.5]})
    assert clone.repro() == ["report"]
    clone.run("dvc", "plots", "diff", "softer", "workspace", "--out", "plots")
    page = (clone.path / "plots/index.html").read_text()
    for rev in ("softer", "workspace"):
        for model in ('"id": "dropout_improves_accuracy"', '"model": "scratch@dropout"'):
            assert re.search(rf'{{[^{{}}]*{model}[^{{}}]*"rev": "{rev}"', page)


def test_mistake_stops_the_run_and_changes_nothing(clone):
    before = (clone.path / "dvc.lock").read_bytes()
    clone.edit(**{"scratch.epochs": 0})
    ended = clone.run("dvc", "repro", check=False)
    assert ended.returncode != 0
    assert "fitgap: params.yaml: scratch.epochs: 0: input should be greater than or equal to 1" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (clone.path / "dvc.lock").read_bytes() == before
    clone.edit(**{"scratch.epochs": 3})
    assert clone.repro() == []


@pytest.mark.slow
def test_random_weights_make_transfer_claims_not_applicable(clone):
    clone.edit(**{"backbone.weights": "none", "variants": {"baseline": {}}, "finetune.head": "baseline"})
    ran = clone.repro()
    assert not [stage for stage in ran if stage.startswith("scratch")]
    verdicts = {
        claim["verdict"] for claim in clone.claims if "asis" in claim["models"] or "finetune@block5" in claim["models"]
    }
    assert verdicts == {"not applicable"}
    assert np.isnan(clone.summary.loc["asis", "test_accuracy_mean"])
