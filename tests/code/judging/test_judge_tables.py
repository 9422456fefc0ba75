"""`fitgap judge` on tables: long and wide, as spreadsheets, pandas and DVC write them; and what it refuses."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fitgap.judging import answer, judge_runs
from fitgap.programs import judge
from fitgap.system.errors import UserError

VALUES = pd.DataFrame(
    {"seed": range(6), "svm": [0.91, 0.92, 0.93, 0.92, 0.94, 0.91], "tree": [0.90, 0.90, 0.92, 0.89, 0.92, 0.91]}
)


@pytest.fixture
def long():
    return VALUES.melt("seed", var_name="model", value_name="accuracy")


def judged(tmp_path, text, **options):
    path = tmp_path / "table.csv"
    path.write_text(text if isinstance(text, str) else text.to_csv(index=False), encoding="utf-8")
    return judge_runs(str(path), **options)


def refusal(tmp_path, text, **options):
    with pytest.raises(UserError) as refused:
        judged(tmp_path, text, **options)
    message = str(refused.value)
    assert "\n" not in message and len(message) < 300
    return message


def numbers(judgement):
    entry = judgement.best
    return [entry[name] for name in ("estimate", "ci_low", "ci_high", "verdict", "n")]


def test_paired_difference_is_that_of_scipy(tmp_path, long):
    judgement = judged(tmp_path, long)
    paired = stats.ttest_rel(VALUES["svm"], VALUES["tree"])
    low, high = paired.confidence_interval()
    assert numbers(judgement)[:3] == pytest.approx([(VALUES["svm"] - VALUES["tree"]).mean(), low, high], rel=1e-5)
    assert judgement.best["statement"] == "svm is better than tree" and judgement.best["verdict"] == "supported"


def test_without_matching_repetitions_the_interval_is_welchs(tmp_path, long):
    other = long.assign(seed=long["seed"] + 100 * (long["model"] == "tree"))
    judgement = judged(tmp_path, other)
    low, high = stats.ttest_ind(VALUES["svm"], VALUES["tree"], equal_var=False).confidence_interval()
    assert numbers(judgement)[1:3] == pytest.approx([low, high], rel=1e-5)
    assert judgement.best["compared"].endswith("6 and 6 runs, unpaired")
    assert judgement.best["seeds_needed"] is None or judgement.best["seeds_needed"] > 6


def test_long_wide_and_parquet_agree(tmp_path, long):
    long.to_parquet(tmp_path / "runs.parquet")
    answers = [judged(tmp_path, long), judged(tmp_path, VALUES), judge_runs(str(tmp_path / "runs.parquet"))]
    answers.append(judged(tmp_path, VALUES.drop(columns="seed")))
    assert all(numbers(answer) == numbers(answers[0]) for answer in answers)


def test_spreadsheets_of_other_countries(tmp_path, long):
    """A byte-order mark, semicolons, and commas for decimals."""
    text = "\ufeff" + long.to_csv(index=False, sep=";", decimal=",")
    assert numbers(judged(tmp_path, text)) == numbers(judged(tmp_path, long))


def test_the_direction_follows_the_name_of_the_metric(tmp_path, long):
    as_loss = judged(tmp_path, long.rename(columns={"accuracy": "val_loss"}))
    assert as_loss.best["models"][0] == "tree"
    assert "guessed from its name: of val_loss, lower is better" in as_loss.notes
    overruled = judged(tmp_path, long.rename(columns={"accuracy": "val_loss"}), lower_is_better=False)
    assert overruled.best["models"][0] == "svm" and not any("lower" in note for note in overruled.notes)


def test_repetitions_that_one_side_lacks(tmp_path, long):
    judgement = judged(tmp_path, long.drop(index=[0, 1]))
    assert judgement.best["n"] == 4
    assert "4 repetitions are common to all contestants; a pair uses those that both have" in judgement.notes


def test_of_a_repeated_repetition_the_last_row_counts(tmp_path, long):
    judgement = judged(tmp_path, pd.concat([long.iloc[:1].assign(accuracy=0.1), long]))
    assert "left out: 1 runs repeat a repetition, the first: svm, 0; the last counts" in judgement.notes
    assert numbers(judgement) == numbers(judged(tmp_path, long))


def test_a_wide_table_of_rounded_values(tmp_path):
    """Ten seeds have few different values, but each seed one row: its columns are contestants."""
    table = pd.DataFrame({"seed": range(10), "svm": [0.91, 0.92] * 5, "tree": [0.90, 0.90, 0.91, 0.89, 0.90] * 2})
    judgement = judged(tmp_path, table)
    assert judgement.best["n"] == 10 and "guessed: the contestants are the columns svm, tree" in judgement.notes


def test_many_pairs_are_in_the_json_alone(tmp_path):
    values = np.random.default_rng(0).normal(0, 1, (5, 7))
    judgement = judged(tmp_path, pd.DataFrame(values, columns=[*"abcdefg"]))
    assert len(judgement.pairs) == 21 and len(json.loads(answer.as_json(judgement))["pairs"]) == 21
    for text in (answer.as_text(judgement), answer.as_page(judgement)):
        assert "21 pairs are too many to show: --json has them" in text and "All pairs" not in text and "Best: " in text


def test_margins(tmp_path, long):
    close = long.assign(accuracy=long["accuracy"].where(long["model"] == "tree", long["accuracy"] - 0.012))
    assert judged(tmp_path, close, margin=0.05).best["verdict"] == "no relevant difference"
    assert judged(tmp_path, close).best["verdict"] == "inconclusive"


def test_two_repetitions_give_no_verdict(tmp_path):
    table = pd.DataFrame({"seed": [0, 1], "one": [0.5, 0.5001], "two": [0.9, 0.92]})
    entry = judged(tmp_path, table).best
    assert entry["verdict"] == "inconclusive" and entry["note"] == "too few repetitions: 2"


@pytest.mark.parametrize("gap", ["nan", "", "inf"])
def test_a_missing_value_leaves_the_verdict_open(tmp_path, long, gap):
    table = long.astype({"accuracy": object})
    table.loc[0, "accuracy"] = gap
    third = long[long["model"] == "tree"].assign(model="forest", accuracy=lambda own: own["accuracy"] + 0.1)
    judgement = judged(tmp_path, pd.concat([table, third]), reference="tree")
    svm, forest = judgement.against
    assert svm["verdict"] == "inconclusive" and "svm has no finite value in 1 of 6 runs" in svm["note"]
    assert forest["verdict"] == "supported"
    assert any("svm has no finite value in 1 of 6 runs" in note for note in judgement.notes)


def test_folds_widen_the_interval(tmp_path, long):
    folds = long.rename(columns={"seed": "fold"})
    plain, corrected = judged(tmp_path, folds, folds=0), judged(tmp_path, folds)
    widths = [np.ptp(numbers(judgement)[1:3]) for judgement in (plain, corrected)]
    assert widths[1] == pytest.approx(widths[0] * np.sqrt((1 / 6 + 1 / 5) / (1 / 6)), rel=1e-4)
    assert any(note.startswith("guessed: --folds 6") for note in corrected.notes)


def test_repeated_folds_are_told_apart_by_two_columns(tmp_path, long):
    again = long.assign(seed=1, accuracy=long["accuracy"] + 0.001)
    table = pd.concat([long.assign(seed=0), again]).assign(fold=[*long["seed"], *long["seed"]])
    judgement = judged(tmp_path, table)
    assert judgement.best["n"] == 12 and judgement.scores.repetition == ["seed", "fold"]
    assert any(note.startswith("guessed: --folds 6") for note in judgement.notes)


def test_equal_differences_raise_a_doubt(tmp_path):
    table = pd.DataFrame({"seed": range(5), "one": [0.9] * 5, "two": [0.8] * 5})
    assert "are these repetitions?" in judged(tmp_path, table).best["note"]


def test_the_best_of_several_is_told_with_its_rivals(tmp_path):
    table = pd.DataFrame({"a": [0.91, 0.90, 0.93, 0.89, 0.90], "b": [0.89, 0.91, 0.90, 0.90, 0.91], "c": [0.5] * 5})
    judgement = judged(tmp_path, table)
    assert judgement.best["models"][0] == "a" and judgement.best["verdict"] == "inconclusive"
    assert judgement.close == ["b"]
    assert len(judgement.pairs) == 3 and not judgement.against
    assert {pair["verdict"] for pair in judgement.pairs} == {"inconclusive", "supported"}


def test_a_pair_that_only_the_correction_leaves_open_says_how_many_repetitions_it_needs(tmp_path):
    lead = [0.013, 0.001, 0.010, 0.002, 0.009, 0.0]
    table = pd.DataFrame({"a": [0.9 + own for own in lead], "b": [0.9] * 6, "c": [0.95, 0.84, 0.93, 0.86, 0.91, 0.88]})
    (pair,) = (pair for pair in judged(tmp_path, table).pairs if pair["models"] == ["a", "b"])
    alone = judged(tmp_path, table[["a", "b"]]).best
    assert alone["verdict"] == "supported" and pair["verdict"] == "inconclusive" and pair["p_value"] > 0.05
    assert 6 < pair["seeds_needed"] < 30


def test_experiments_of_dvc(tmp_path, long):
    table = long.rename(columns={"model": "train.model", "seed": "train.seed"})
    rows = table.assign(rev="1a2b3c", typ="branch_commit", Created="2026-01-01T00:00:00", parent="", State="")
    queued = rows.iloc[:1].assign(State="Queued", accuracy="")
    workspace = rows.iloc[:1].assign(typ="baseline", accuracy="!")
    judgement = judged(tmp_path, pd.concat([workspace, queued, rows]))
    assert numbers(judgement) == numbers(judged(tmp_path, long))
    assert "1 runs that did not finish (1 Queued)" in judgement.notes


WRONG = {
    "no such metric": ({"metric": "f1"}, "--metric f1: no such column; there are: seed, model, accuracy"),
    "no such reference": ({"reference": "forest"}, "--reference forest: no such contestant; there are: svm, tree"),
    "one fold": ({"folds": 1}, "--folds 1: allowed: 2 or more, or 0"),
    "no such column": ({"contestant": ["params.model"]}, "--contestant params.model: no such column"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_names(tmp_path, long, wrong):
    options, expected = WRONG[wrong]
    assert expected in refusal(tmp_path, long, **options)


def test_wrong_tables(tmp_path, long):
    assert "needs two contestants, and there is svm" in refusal(
        tmp_path, long[long["model"] == "svm"], contestant=["model"], metric="accuracy"
    )
    words = long.astype({"accuracy": object})
    words.loc[3, "accuracy"] = "good"
    assert "accuracy: 'good' (svm, 3) is no number" in refusal(tmp_path, words)
    assert "no finished runs" in refusal(tmp_path, "model,seed,accuracy\n")
    assert "not a readable table" in refusal(tmp_path, "")
    several = long.assign(lr=[0.1, 0.1, 0.2, 0.2, 0.3, 0.3] * 2).rename(columns={"model": "way"}).drop(columns="seed")
    assert "--contestant: name the column" in refusal(tmp_path, several, metric="accuracy")
    assert "--metric: name the measurement to compare: accuracy, f1" in refusal(tmp_path, long.assign(f1=0.5))


def test_the_program_writes_a_page_and_json(tmp_path, long, capsys):
    path = tmp_path / "runs.csv"
    long.to_csv(path, index=False)
    outputs = ["--html", str(tmp_path / "page.html"), "--json", str(tmp_path / "verdicts.json")]
    judge.main(str(path), "--margin", "0.005", "--reference", "tree", *outputs)
    printed = capsys.readouterr().out
    assert "svm is better than tree  ✓ supported" in printed and "Best: svm" in printed
    told = json.loads((tmp_path / "verdicts.json").read_text())
    assert told["against_reference"][0]["verdict"] == "supported" and told["contestants"]["svm"]["runs"] == 6
    page = (tmp_path / "page.html").read_text()
    assert "svm is better than tree" in page and "<script" not in page and "http" not in page.replace("http-equiv", "")


def test_help_is_quick_to_import(repository):
    code = "import sys; from fitgap.programs import judge; judge._parser(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert not {"tensorflow", "pandas", "mlflow", "scipy"} & set(loaded.stdout.split())


def test_judging_imports_nothing_of_the_pipeline(repository, tmp_path, long):
    path = tmp_path / "runs.csv"
    long.to_csv(path, index=False)
    heavy = ("tensorflow", "keras", "sklearn", "matplotlib", "dvc", "ruamel", "h5py", "PIL", "psutil", "tqdm", "rich")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({heavy!r})); from fitgap.programs import judge; "
        f"judge.main({str(path)!r}, '--html', {str(tmp_path / 'page.html')!r})"
    )
    subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
