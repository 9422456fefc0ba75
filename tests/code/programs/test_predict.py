"""`make predict`: what it prints where, and its exit status."""

import csv
import io
import json
import os
import shutil
import signal
import sys

import pytest

from fitgap.programs import predict

HEADER = ["file", "café", "night"]


@pytest.fixture
def run(trained, monkeypatch, capsys):
    """Run the program in the trained repository; give its exit status, standard output and standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        status = 0
        try:
            predict.main(*map(str, arguments))
        except SystemExit as ended:
            status = ended.code
        return status, *capsys.readouterr()

    monkeypatch.chdir(trained)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return run


def test_table_names_the_likeliest_classes_first(run):
    status, table, errors = run("pictures/café/0.png", "pictures/night", "--model", "scratch@baseline", "--top", 1)
    assert status == 0
    assert errors.startswith("fitgap: scratch@baseline answers: mean validation accuracy") and errors.count("\n") == 1
    lines = [line.split("   ") for line in table.splitlines()]
    assert len(lines) == 21 and lines[0][0].strip() == "pictures/café/0.png"
    assert all(len(cells) == 2 and cells[1].split()[0] in HEADER and cells[1].endswith("%") for cells in lines)


def test_unusable_files_get_a_line_each_and_the_others_an_answer(run):
    status, answers, errors = run("nothing.png", "params.yaml", "pictures/café/0.png", "--csv")
    assert status == 1
    header, row = csv.reader(io.StringIO(answers))
    assert header == HEADER and row[0] == "pictures/café/0.png"
    assert sum(map(float, row[1:])) == pytest.approx(1, abs=1e-5)
    best, first, second = errors.splitlines()
    assert "answers: mean validation accuracy" in best and "the highest of all models" in best
    assert first.startswith("fitgap: nothing.png: not found")
    assert second.startswith("fitgap: params.yaml: not a picture in JPEG")


def test_json_holds_all_classes(run):
    status, answers, _ = run("pictures/café/0.png", "--json", "--model", "scratch@remedied")
    assert status == 0
    content = json.loads(answers)
    (prediction,) = content["predictions"]
    assert content["model"] == "scratch@remedied" and list(prediction["probabilities"]) == HEADER[1:]
    assert prediction["class"] == max(prediction["probabilities"], key=prediction["probabilities"].get)


@pytest.mark.skipif(sys.platform != "linux", reason="file systems that refuse such names")
def test_names_that_are_no_text_or_no_line_are_quoted(run, trained, tmp_path):
    names = [os.fsdecode(b"a\xffb.png"), "two\nlines.png"]
    for name in names:
        shutil.copy(trained / "pictures/café/0.png", tmp_path / name)
    status, table, _ = run(*(tmp_path / name for name in names))
    assert status == 0 and table.count("\n") == 2
    assert "a\\udcffb.png'   " in table and "two\\nlines.png'   " in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: FILE"),
        (["a.png", "--top", "0"], "'0': should be an integer from 1 on"),
        (["a.png", "--json", "--csv"], "not allowed with"),
    ],
)
def test_wrong_arguments_end_with_status_2(run, arguments, message):
    status, answers, errors = run(*arguments)
    assert (status, answers) == (2, "") and message in errors
