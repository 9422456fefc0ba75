"""Test `make photographs` as a whole, on few and small pictures: plan, run, answer, and a prediction afterwards."""

import re
import subprocess
import sys

import numpy as np
import psutil
import pytest
from conftest import cloned
from PIL import Image

from fitgap.params import reading

pytestmark = pytest.mark.slow

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 210)}
TINY = [
    "backbone.weights=none",
    "data.image_size=32",
    "seeds=[0,1]",
    "scratch.epochs=2",
    "head.epochs=2",
    "head.trials=1",
]
TINY += ["finetune.epochs=1", "learning_curve.repetitions=1", "variants.combined=null", "variants.batchnorm=null"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    random, folder = np.random.default_rng(0), tmp_path_factory.mktemp("my pictures")
    for name, colour in COLOURS.items():
        (folder / name).mkdir()
        for n in range(24):
            noisy = random.normal(colour, 50, (40, 50 + n, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / name / f"{n}.jpg")
    return folder


@pytest.fixture(scope="module")
def ran(repository, pictures, tmp_path_factory):
    """A clone in which the command has run, and what it printed."""
    clone = cloned(repository, tmp_path_factory.mktemp("photographs"))
    before = (clone.path / "params.yaml").read_text()
    ended = clone.run("python", "-m", "fitgap.programs.photographs", str(pictures), "--minutes", "1", *TINY)
    assert (clone.path / "params.yaml").read_text() == before
    return clone, ended.stdout + ended.stderr


def test_the_plan_comes_before_the_work_and_the_answer_after_it(ran):
    output = ran[1]
    plan, _, rest = output.partition("stages to run")
    assert "72 pictures in 3 classes (blue 24, green 24, red 24), the shorter side 40 pixels" in plan
    assert re.search(r"plan: 32x32 pixels; 40 training, 14 validation and 18 test images; .* about \d+ minutes", plan)
    assert "18 test images tell" in plan and "No file hash info" not in output
    assert re.search(
        r"The answer\n1. (By validation, the model to use is|No model is clearly better than guessing)", rest
    )
    assert rest.rstrip().endswith("make predict NAME=photographs IMAGES=folder")


def test_the_derived_values_can_be_read_and_kept(ran):
    kept = reading.read_tree(ran[0].path / "experiments/photographs.yaml")
    assert kept["data.image_size"] == 32 and kept["scratch.epochs"] == 2 and kept["seeds"] == [0, 1]
    assert (ran[0].path / "experiments/photographs/report.html").exists()


def test_its_best_model_answers(ran, pictures):
    clone, _ = ran
    program = ("python", "-m", "fitgap.programs.predict", "--experiment", "photographs")
    assert "red" in clone.run(*program, str(pictures / "red/0.jpg")).stdout


def test_the_same_command_again_trains_nothing(ran, pictures):
    clone, output = ran
    again = clone.run("python", "-m", "fitgap.programs.photographs", str(pictures), "--minutes", "1", *TINY).stdout
    assert "scratch@baseline: taken from DVC's cache" in again
    assert again.split("The answer")[1] == output.split("The answer")[1].split("fitgap: ")[0]


def test_a_signal_to_the_program_ends_its_stages(ran, pictures):
    clone, _ = ran
    command = [sys.executable, "-m", "fitgap.programs.photographs", str(pictures), "--name", "killed", *TINY]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen([*command, "scratch.epochs=2000"], cwd=clone.path, env=clone.environment, **pipes)
    next(line for line in process.stdout if "] prepare: " in line)  # others run, or will soon
    children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    process.communicate()
    assert process.returncode == 143
    assert psutil.wait_procs(children, timeout=60)[1] == []
