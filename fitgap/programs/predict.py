"""Classify pictures with a trained model: `python -m fitgap.programs.predict FILE|FOLDER ... [--model MODEL]`.

Standard error says which model answers, and which files cannot be used. The exit status is 1 if there are such files.
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd

from fitgap import lifecycle
from fitgap.prediction.predictor import load_predictor
from fitgap.programs import setting


def main(*arguments: str) -> None:
    """Print what a model answers for files, folders and archives."""
    options = _parser().parse_args(arguments)
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `... | head` ends this program silently
    predictor = load_predictor(options.model, setting.folder_of(options.experiment) if options.experiment else ".")
    answers = predictor.predict_files(options.files)
    problems, doubts = (
        [f"{_printable(name)}: {reason}" for name, reason in told.items()]
        for told in (answers.unusable, answers.doubtful)
    )
    for line in filter(None, [predictor.about, predictor.warning, *doubts, *problems]):
        print(f"fitgap: {line}", file=sys.stderr)
    sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text
    sys.stdout.write(options.write(answers.probabilities, predictor.name, options.top))
    if problems:
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fitgap.programs.predict", description="Classify pictures.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="a picture, or a folder, .zip or .tar of pictures")
    parser.add_argument("--model", help="a model's name, such as scratch@dropout; default: highest validation accuracy")
    parser.add_argument("--experiment", metavar="NAME", help="that `make photographs` or `make quick` ran")
    parser.add_argument("--top", type=_count, default=3, help="number of classes in the table (default: 3)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="write", action="store_const", const=_json, help="all classes, as JSON")
    form.add_argument("--csv", dest="write", action="store_const", const=_csv, help="all classes, as CSV")
    parser.set_defaults(write=_table)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: should be an integer from 1 on")
    return int(text)


def _printable(name: str) -> str:
    """Return a file's name, quoted if a terminal could not show it on one line."""
    return name if name.isprintable() else ascii(name)


def _table(probabilities: pd.DataFrame, model: str, top: int) -> str:
    """Return one line per picture: its name, and the likeliest classes with their probabilities."""
    rows = [[_printable(name), *_likeliest(answer, top)] for name, answer in _answers(probabilities)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _answers(probabilities: pd.DataFrame) -> Iterator[tuple[str, dict[str, np.float32]]]:
    """Yield each file with the probabilities of its classes; pandas' own `iterrows` fails on names that are no text."""
    for name, row in zip(probabilities.index, probabilities.to_numpy(), strict=True):
        yield name, dict(zip(probabilities.columns, row, strict=True))


def _likeliest(answer: dict[str, np.float32], top: int) -> list[str]:
    return [f"{name} {answer[name]:6.1%}" for name in sorted(answer, key=answer.get, reverse=True)[:top]]


def _json(probabilities: pd.DataFrame, model: str, top: int) -> str:
    predictions = [
        {
            "file": name,
            "class": max(answer, key=answer.get),
            "probabilities": {key: float(str(value)) for key, value in answer.items()},  # as few digits as float32 has
        }
        for name, answer in _answers(probabilities)
    ]
    return json.dumps({"model": model, "predictions": predictions}, indent=2, ensure_ascii=False) + "\n"


def _csv(probabilities: pd.DataFrame, model: str, top: int) -> str:
    return probabilities.to_csv(lineterminator="\n")


if __name__ == "__main__":
    lifecycle.run(main)
