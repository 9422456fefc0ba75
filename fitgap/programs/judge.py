"""Judge anybody's runs: `fitgap judge SOURCE`, or `python -m fitgap.programs.judge SOURCE` (docs/judge.md)."""

import argparse
import os
import sys
from pathlib import Path

from fitgap.system.errors import UserError


def main(*arguments: str) -> None:
    """Judge, print the answer, and write what is asked for."""
    options = vars(_parser().parse_args(arguments))
    from fitgap.judging import answer, judge_runs, write_back  # here, so that --help takes no seconds

    paths, is_logged = {write: options.pop(write) for write in ("html", "json")}, options.pop("log")
    judgement = judge_runs(**options)
    print(answer.as_text(judgement))
    for path, text in ((paths["html"], answer.as_page), (paths["json"], answer.as_json)):
        if path:
            path.write_text(text(judgement), encoding="utf-8")
            print(f"written: {path}")
    if is_logged:
        print(f"logged: run {write_back.log_judgement(judgement)}")


def _parser() -> argparse.ArgumentParser:
    about = "Say which contestant is better, by runs that others have trained. What is not given is guessed, and told."
    parser = argparse.ArgumentParser(prog="fitgap judge", description=about)
    source = os.environ.get("MLFLOW_TRACKING_URI") or "mlflow.db"
    parser.add_argument("source", nargs="?", default=source, help="MLflow store, .csv or .parquet (default: mlflow.db)")
    parser.add_argument("--experiment", help="of the MLflow store: its name or id")
    columns = {"action": "append", "default": [], "metavar": "COLUMN"}
    parser.add_argument("--contestant", **columns, help="what names a contestant: params.model; may be repeated")
    parser.add_argument("--repetition", **columns, help="what tells repetitions apart: params.seed; may be repeated")
    parser.add_argument("--metric", metavar="COLUMN", help="what is compared: metrics.val_accuracy")
    parser.add_argument("--reference", help="the contestant that others are compared with")
    parser.add_argument("--margin", type=float, help="differences up to this size are not relevant")
    parser.add_argument("--lower-is-better", action=argparse.BooleanOptionalAction, help="as of a loss")
    parser.add_argument("--folds", type=int, help="repetitions are the folds of a cross-validation with so many folds")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with a forest plot")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    parser.add_argument("--log", action="store_true", help="write the verdicts to the MLflow experiment")
    return parser


def command() -> None:
    """Run `fitgap judge ...`, the console script."""
    if sys.argv[1:2] != ["judge"]:
        sys.exit("usage: fitgap judge SOURCE ...; all else runs by `make` in a clone of the repository")
    try:
        main(*sys.argv[2:])
    except UserError as error:
        sys.exit(f"fitgap: {error}")


if __name__ == "__main__":
    sys.argv.insert(1, "judge")
    command()
