"""`make predict` as a user runs it: what it prints where, and its exit status."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys

import pytest
import trained_repository

HEADER = ["file", "café", "night"]


@pytest.fixture(scope="module")
def predict(repository, trained):
    """Run the program in the trained repository; give its exit status, standard output and standard error."""

    def run(*arguments):
        command = [sys.executable, "-m", "fitgap.programs.predict", *map(str, arguments)]
        environment = trained_repository.environment(repository)
        ended = subprocess.run(command, cwd=trained, env=environment, capture_output=True, text=True, check=False)
        return ended.returncode, ended.stdout, ended.stderr

    return run


def test_the_table_names_the_likeliest_classes_first(predict):
    status, table, said = predict("pictures/café/0.png", "pictures/night", "--model", "scratch@baseline", "--top", 1)
    assert status == 0
    assert said.startswith("fitgap: scratch@baseline answers: mean validation loss") and said.count("\n") == 1
    lines = [line.split("   ") for line in table.splitlines()]
    assert len(lines) == 21 and lines[0][0].strip() == "pictures/café/0.png"
    assert all(len(cells) == 2 and cells[1].split()[0] in HEADER and cells[1].endswith("%") for cells in lines)


def test_files_that_cannot_be_used_get_a_line_each_and_the_others_an_answer(predict):
    status, answers, said = predict("nothing.png", "params.yaml", "pictures/café/0.png", "--csv")
    assert status == 1
    header, row = csv.reader(io.StringIO(answers))
    assert header == HEADER and row[0] == "pictures/café/0.png"
    assert sum(map(float, row[1:])) == pytest.approx(1, abs=1e-5)
    best, first, second = said.splitlines()
    assert "answers: mean validation loss" in best and "the lowest of all models" in best
    assert first.startswith("fitgap: nothing.png: not found")
    assert second.startswith("fitgap: params.yaml: not a picture in JPEG")


def test_json_holds_all_classes(predict):
    status, answers, _ = predict("pictures/café/0.png", "--json", "--model", "scratch@remedied")
    assert status == 0
    found = json.loads(answers)
    (one,) = found["predictions"]
    assert found["model"] == "scratch@remedied" and list(one["probabilities"]) == HEADER[1:]
    assert one["class"] == max(one["probabilities"], key=one["probabilities"].get)


@pytest.mark.skipif(sys.platform != "linux", reason="file systems that refuse such names")
def test_names_that_are_no_text_or_no_line_are_quoted(predict, trained, tmp_path):
    names = [os.fsdecode(b"a\xffb.png"), "two\nlines.png"]
    for name in names:
        shutil.copy(trained / "pictures/café/0.png", tmp_path / name)
    files = [tmp_path / name for name in names]
    status, table, _ = predict(*files)
    assert status == 0 and table.count("\n") == 2
    assert "a\\udcffb.png'   " in table and "two\\nlines.png'   " in table
    status, answers, _ = predict(*files, "--json")
    assert [one["file"] for one in json.loads(answers)["predictions"]] == [str(file) for file in files]
    assert predict(*files, "--csv")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: FILE"),
        (["a.png", "--top", "0"], "'0': should be an integer from 1 on"),
        (["a.png", "--json", "--csv"], "not allowed with"),
        (["a.png", "--modle", "x"], "unrecognized arguments: --modle"),
    ],
)
def test_wrong_arguments_end_with_status_2(predict, arguments, said):
    status, answers, told = predict(*arguments)
    assert (status, answers) == (2, "") and said in told


def test_an_unknown_model_is_one_line(predict):
    status, answers, said = predict("a.png", "--model", "scratch@nothing")
    assert (status, answers) == (1, "") and said.count("\n") == 1
    assert said.startswith("fitgap: scratch@nothing: no such model is trained; allowed: ")
