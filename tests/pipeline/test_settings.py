"""Test the notes' setting, with downloads from loopback, and invalid settings."""

import json

import keras_stand_ins
import pytest
from conftest import Clone, cloned
from loopback import loopback

from fitgap.params import reading
from fitgap.params.schema import flatten

SMALL = [
    "data.pool_images=100",
    "data.train_images=60",
    "data.validation_images=40",
    "data.test_images=60",
    "asis.images=20",
    "scratch.epochs=1",
    "head.epochs=1",
    "finetune.epochs=1",
    "highrate.variants=[]",
    "learning_curve.sizes=[20]",
    "learning_curve.repetitions=1",
    "seeds=[0]",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    keras_stand_ins.write_all(folder)
    with loopback(folder) as serving:
        yield serving


@pytest.fixture(scope="module")
def clone(repository, served, tmp_path_factory):
    made = cloned(repository, tmp_path_factory.mktemp("settings"))
    made.edit(variants={"baseline": {}})
    made.run("git", "commit", "--all", "--quiet", "-m", "one variant")
    home = tmp_path_factory.mktemp("home") / "keras"
    home.mkdir()
    made.variables.update(keras_stand_ins.variables(served.folder, served.address, home))
    return made


@pytest.fixture(scope="module")
def before(clone) -> str:
    return (clone.path / "params.yaml").read_text()


@pytest.fixture(scope="module")
def notes(clone, served, before) -> str:
    """The output of a small `make notes` on a network that fails twice."""
    served.faults["cifar-10-python.tar.gz"] = ["drop"]
    served.faults["vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"] = ["corrupt"]
    return clone.run("python", "-m", "fitgap.programs.setting", "settings/notes.yaml", *SMALL).stdout


def runs(clone, experiment: str) -> dict[str, dict]:
    """Return the tags of an experiment's runs in the original repository's store, by stage."""
    found = clone.store.search_runs(["1"], f"tags.dvc_experiment = '{experiment}'", max_results=1000)
    return {run.data.tags["stage"]: {**run.data.params, **run.data.metrics} for run in found}


SHARED = ("prepare", "backbone", "features")  # of `make quick` and `make repro`
TINY = ["asis.images=20", "seeds=[0,1]", "learning_curve.sizes=[30]", "variants.best_block=null"]
TINY += ["scratch.epochs=1", "head.epochs=1", "finetune.epochs=1", "learning_curve.repetitions=1"]


@pytest.mark.slow
def test_a_first_look_leaves_to_the_whole_run_what_both_have_in_common(repository, tmp_path):
    clone = cloned(repository, tmp_path / "quick")
    clone.edit(**{"data.test_images": 60})
    clone.run("git", "commit", "--all", "--quiet", "-m", "fewer test images")
    clone.run("python", "-m", "fitgap.programs.setting", "settings/quick.yaml", *TINY)
    text = (clone.path / "experiments/quick/report.md").read_text()
    assert "A first look: 2 repetitions." in text and "20, as params.yaml is shipped" in text
    assert clone.repro(*SHARED) == []
    assert (clone.path / "data/features/cells").is_dir()


@pytest.mark.parametrize("section", ["data", "backbone", "features", "finetune.depths", "compute"])
def test_a_first_look_has_images_and_features_of_the_shipped_params(repository, section):
    changed = flatten(reading.read_tree(repository / "settings/quick.yaml"))
    assert not [key for key in changed if key == section or key.startswith(f"{section}.")]


@pytest.mark.slow
def test_notes_stand_in_the_real_repository_and_leave_params_and_the_workspace_as_they_were(clone, before, notes):
    assert (clone.path / "params.yaml").read_text() == before
    assert not (clone.path / "data/prepared").exists()
    assert "The report: experiments/notes/report.html" in notes
    assert "cifar10" in (clone.path / "experiments/notes/report.md").read_text()
    assert {"prepare", "backbone", "asis", "scratch", "head", "finetune", "report"} <= set(runs(clone, "notes"))


@pytest.mark.slow
def test_way_1_is_imagenets_own_network_on_a_part_of_the_test_images(clone, notes):
    asis = runs(clone, "notes")["asis"]
    text = (clone.path / "experiments/notes/report.md").read_text()
    claims = json.loads((clone.path / "experiments/notes/claims.json").read_text())
    way_1 = {claim["id"]: claim for claim in claims}["way1_rarely_useful"]
    assert asis["test_accuracy"] == pytest.approx(0.1, abs=0.11)  # it says cat whatever it sees
    assert "it knows 1 of 10 target classes among its own 1000" in text
    assert way_1["estimate"] is not None


@pytest.mark.slow
def test_damaged_and_broken_downloads_were_fetched_again_and_nothing_twice_after(served, notes):
    wanted = {"cifar-10-python.tar.gz": 2, "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5": 2}
    wanted |= {"vgg16_weights_tf_dim_ordering_tf_kernels.h5": 1, "imagenet_class_index.json": 1}
    assert {name: served.downloads(name) for name in wanted} == wanted


@pytest.mark.slow
def test_same_setting_again_downloads_and_trains_nothing(clone, served, notes):
    asked = list(served.asked)
    again = clone.run("python", "-m", "fitgap.programs.setting", "settings/notes.yaml", *SMALL)
    assert "scratch@baseline: taken from DVC's cache" in again.stdout
    assert (clone.path / "experiments/notes/report.html").exists()
    assert served.asked == asked


def test_without_a_network_one_line_says_what_goes_where(clone):
    nothing = {"KERAS_HOME": clone.variables["KERAS_HOME"] + "-empty", "STAND_INS_ADDRESS": "http://127.0.0.1:9"}
    offline = Clone(clone.path, clone.variables | nothing)
    ended = offline.run("python", "-m", "fitgap.programs.setting", "settings/notes.yaml", check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("fitgap: settings/notes.yaml: data.source: cifar10, backbone.weights: imagenet, ")
    assert ended.stderr.count("\n") == 1
    for name in ("cifar-10-batches-py-target_archive", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"):
        assert name in ended.stderr


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("data.path", "should be KEY=VALUE"),
        ("scratch.epoch=3", "did you mean 'epochs'"),
        ("seeds=[0", "seeds: '[0': not readable as YAML"),
        ("data.source=nowhere", "data.source"),
    ],
)
def test_mistake_gets_one_line_before_anything_runs(clone, assignment, told):
    ended = clone.run("python", "-m", "fitgap.programs.setting", "settings/notes.yaml", assignment, check=False)
    assert ended.returncode == 1
    assert told in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("fitgap: ")
