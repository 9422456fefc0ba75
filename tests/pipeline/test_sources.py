"""Test the pipeline with your own pictures and weights: it runs to the report and repeats no stage."""

import json
import re
import tarfile

import numpy as np
import pytest
from conftest import stages_in
from PIL import Image

from fitgap.params import reading
from fitgap.params.schema import flatten

COLOURS = {"<b>red</b>": (220, 40, 40), "green": (40, 200, 60), "blé": (50, 60, 210)}
SAME = r"same ([\d,]+ )?images"

pytestmark = pytest.mark.slow  # a second and a third data source through the whole pipeline


@pytest.fixture(scope="module")
def clone(clone):
    clone.edit(**{"highrate.variants": [], "variants": {"baseline": {}}})
    return clone


def draw_pictures(folder, **counts: int) -> None:
    """Write noisy pictures in three colours, of many sizes and formats; `counts` are by split, for each colour."""
    random = np.random.default_rng(0)
    for split, count in counts.items():
        for name, colour in COLOURS.items():
            at = folder / split / name.replace("/", "⁄")
            at.mkdir(parents=True)
            for i in range(count):
                noisy = random.normal(colour, 50, (30 + i, 40, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(noisy).save(at / f"{i}.{('png', 'jpg', 'webp', 'bmp')[i % 4]}")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """An archive of 90 pictures in train and test."""
    folder = tmp_path_factory.mktemp("pictures")
    draw_pictures(folder / "mine", train=20, test=10)
    with tarfile.open(folder / "pictures.tar.gz", "w:gz") as archive:
        archive.add(folder / "mine", "mine")
    return folder / "pictures.tar.gz"


@pytest.fixture(scope="module")
def weights(tmp_path_factory, tensorflow):
    """A folder with random weights that pass for trained ones, and a classifier that knows `green` and `goldfish`."""
    from fitgap.networks import vgg16

    folder, random = tmp_path_factory.mktemp("weights"), np.random.default_rng(0)
    vgg16.convolutional_base(None, 32).save_weights(folder / "own.weights.h5")
    kernel = random.normal(size=(512, 2)).astype(np.float32)
    np.savez(folder / "own.npz", kernel=kernel, bias=np.zeros(2, np.float32), names=["green", "goldfish"])
    return folder


def runs(clone) -> dict[str, int]:
    found = clone.store.search_runs(["1"], max_results=1000)
    found = [run for run in found if "dvc_experiment" not in run.data.tags]
    names = [run.data.tags["stage"] for run in found if not {"seed", "trial"} & run.data.tags.keys()]
    return {name: names.count(name) for name in names}


def test_own_pictures_and_weights_from_the_archive_to_the_report(clone, pictures, weights):
    clone.edit(**{"data.source": "directory", "data.path": str(pictures), "backbone.weights": "path"})
    clone.edit(**{"backbone.path": str(weights), "data.train_images": 30, "learning_curve.sizes": [12]})
    clone.edit(**{"data.pool_images": "all", "data.validation_images": 20, "data.test_images": "all"})
    ran = clone.repro()
    assert {"prepare", "backbone", "features", "asis", "scratch@baseline", "report"} <= set(ran)
    about = json.loads((clone.path / "data/prepared/prepared.json").read_text())
    assert about["rows"] == {"pool": 60, "validation": 0, "test": 30}
    assert about["source"] == "directory"
    asis = json.loads((clone.path / "results/asis/record.json").read_text())
    assert asis["known_classes"] == ["green"]
    assert asis["measured"]["coverage"] == pytest.approx(1 / 3)


def test_report_shows_a_class_called_like_a_tag_and_says_which_images_are_drawn(clone):
    page, text = ((clone.path / f"reports/report.{ending}").read_text() for ending in ("html", "md"))
    assert "&lt;b&gt;red" in page and "<b>red" not in page and "directory" in page
    assert "draws its own 30 training and 20 validation images from a pool of 60" in text
    assert "the intervals cover the choice of training and validation images" in text
    assert not re.search(SAME, text)


def test_report_on_fixed_splits_says_that_intervals_leave_out_the_choice_of_images(clone, tmp_path):
    before = {
        key: value for key, value in flatten(reading.read_tree(clone.path / "params.yaml")).items() if "data." in key
    }
    draw_pictures(tmp_path / "split", train=10, validation=5, test=5)
    clone.edit(**{"data.path": str(tmp_path / "split"), "data.train_images": "all", "data.validation_images": "all"})
    assert {"prepare", "scratch@baseline", "report"} <= set(clone.repro())
    about = json.loads((clone.path / "data/prepared/prepared.json").read_text())
    assert about["rows"] == {"pool": 30, "validation": 15, "test": 15}
    text = (clone.path / "reports/report.md").read_text()
    assert re.search(SAME, text)
    assert "not the choice of the images" in text
    assert "draws its own" not in text
    clone.edit(**before)
    assert clone.repro() == ["report"]


def test_setting_shares_what_has_run_and_leaves_params_as_they_are(clone, tmp_path):
    clone.edit(variants={"baseline": {}, "unwanted": {"dropout": 0.2}})
    before = (clone.path / "params.yaml").read_text()
    (tmp_path / "own.yaml").write_text("seeds: [0, 1]\nhighrate: {learning_rate: 0.5}\n")
    program = ("python", "-m", "fitgap.programs.setting", str(tmp_path / "own.yaml"), "--name", "fewer")
    seeds = f"seeds={reading.read_tree(clone.path / 'params.yaml')['seeds']}"
    ended = clone.run(*program, seeds, "variants.unwanted=null", "variants.absent=null", "highrate.variants=[]")
    assert set(stages_in(ended.stdout)) <= {"choice", "report"}  # the copy has no results of deleted variants
    text = (clone.path / "experiments/fewer/report.md").read_text()
    assert "pictures.tar.gz" in text and "unwanted" not in text
    assert (clone.path / "params.yaml").read_text() == before
    clone.edit(variants={"baseline": {}})


def test_back_to_the_digits_restores_everything_and_both_stand_in_mlflow(clone):
    before = runs(clone)
    changes = {"data.source": "digits", "backbone.weights": "glyphs", "data.train_images": 100}
    clone.edit(**{**changes, "data.pool_images": 200, "data.validation_images": 100, "data.test_images": 200})
    clone.edit(**{"learning_curve.sizes": [20]})
    clone.edit(**{"data.path": "data/README.md", "backbone.path": "data/README.md"})
    ran = set(clone.repro())
    assert {"choice", "report"} <= ran <= {"choice", "learning_curve@20", "report"}  # among one variant, on digits
    now = {name: count for name, count in runs(clone).items() if name not in ran and name != "learning_curve"}
    assert now.items() <= before.items()
    assert before["scratch"] == 4  # two variants of the digits, and two collections of pictures
