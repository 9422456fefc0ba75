"""params.yaml: what ships is valid, and every mistake gets one line with key, value and what is allowed."""

import subprocess
import sys

import pytest
import yaml
from dvc.utils.serialize import load_yaml

from fitgap.params.reading import load_params, read_tree
from fitgap.system.errors import UserError

REMOVE = object()

# (key to change, new value, what the line must name beside the key)
MISTAKES = [
    ("seed", 1, ["unknown key", "did you mean 'seeds'"]),
    ("scratch > epoch", 3, ["unknown key", "did you mean 'epochs'", "batch_size"]),
    ("variants > dropout > drop_out", 0.5, ["unknown key", "did you mean 'dropout'"]),
    ("scratch > epochs", REMOVE, ["missing"]),
    ("scratch > epochs", "30", ["'30'", "integer"]),
    ("scratch > epochs", 0, ["0", "greater than or equal to 1"]),
    ("head > learning_rate", float("nan"), ["nan", "finite"]),
    ("head > batch_size", 1, ["1", "greater than or equal to 2"]),
    ("head > layer", "block6_pool", ["'block6_pool'", "'block5_pool'"]),
    ("seeds", [], ["[]", "at least 1 item"]),
    ("seeds", [1, 1], ["is listed more than once"]),
    ("variants", {"dropout": {"dropout": 0.5}}, ["baseline"]),
    ("variants > baseline", {"dropout": 0.5}, ["baseline", "remedies"]),
    ("variants > a/b", {}, ["cannot be the name of a folder", "letters, digits"]),
    ("variants > dropout > dropout", 1.0, ["1.0", "less than 1"]),
    ("variants > batchnorm > batch_norm", 1, ["1", "boolean"]),
    ("variants > l1", None, ["None"]),
    ("finetune > depths", ["block6"], ["'block6'", "'block5'", "'block5_conv3'"]),
    ("finetune > head", "nobody", ["'nobody'", "baseline, dropout"]),
    ("head > layer", "block4_pool", ["finetune.depths", "'block5", "block4_pool"]),
    ("highrate > learning_rate", 0.001, ["0.001", "not higher than scratch.learning_rate"]),
    ("highrate > variants", ["nobody"], ["'nobody'", "baseline, dropout"]),
    ("data > source", "mnist", ["'mnist'", "'digits'"]),
    ("data > image_size", 31, ["31", "greater than or equal to 32"]),
    ("data > train_images", "many", ["'many'", "integer", "or all"]),
    ("data > pool_images", 0, ["0", "integer from 1 on, or all"]),
    ("data > test_images", True, ["True", "integer"]),
    ("data > path", "", ["''", "path"]),
    ("compute > precision", "float16", ["'float16'", "'float32'", "'bfloat16'"]),
    ("variants > l1", {"dense_units": 0, "batch_norm": True}, ["variants.l1", "hidden layer"]),
    ("variants > dropout > dropout", [0.1, 1.5], ["1.5", "less than 1", "candidates"]),
    ("variants > dropout > dropout", [], ["should have a candidate"]),
    ("variants > batchnorm > batch_norm", "tune", ["'tune'", "boolean"]),
    ("variants > best_block > layer", ["block3_pool", "block9_pool"], ["'block1_pool'"]),
    ("features > layers", ["block5_pool"], ["variants.best_block.layer", "features.layers"]),
    ("scratch > trials", 0, ["0", "greater than or equal to 1"]),
    ("variants > baseline > 1", 3, ["unknown key", "learning_rate"]),
    ("compute > threads", 0, ["0", "integer from 1 on, or all"]),
    ("learning_curve > sizes", [20, 20], ["is listed more than once"]),
    ("learning_curve > repetitions", 1000, ["1000", "at most", "the number of seeds"]),
    ("backbone > weights", "imagnet", ["'imagnet'", "'glyphs'"]),
    ("scratch > filters", [8] * 6, ["at most 5 items"]),
    ("head > batch_size", 10**20, ["1000000", "less than or equal to 1000000000"]),
]


def changed(tree: dict, key: str, value) -> dict:
    """Set (or remove) one key of a nested mapping; " > " leads one level down."""
    *parents, last = key.split(" > ")
    section = tree
    for parent in parents:
        section = section[parent]
    if value is REMOVE:
        del section[last]
    else:
        section[last] = value
    return tree


@pytest.fixture
def shipped(repository) -> dict:
    return yaml.safe_load((repository / "params.yaml").read_text())


def test_shipped_file_is_valid(repository):
    chosen = load_params(repository / "params.yaml")
    remedies = ["dropout", "batchnorm", "l1", "l2", "elasticnet", "augment", "label_smoothing", "weight_decay"]
    assert list(chosen.variants) == [
        "baseline",
        *remedies,
        "early_stopping",
        "combined",
        "best_block",
        "best_block_average",
    ]
    assert len(chosen.seeds) >= 3


def test_every_line_of_the_shipped_file_is_commented(repository):
    lines = [line for line in (repository / "params.yaml").read_text().splitlines() if line.strip()]
    assert [line for line in lines if not line.partition("#")[2].strip()] == []


@pytest.mark.parametrize(("key", "value", "said"), MISTAKES, ids=[f"{k}={v!r:.20}" for k, v, _ in MISTAKES])
def test_mistake_gets_one_line(shipped, tmp_path, key, value, said):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(changed(shipped, key, value), sort_keys=False))
    with pytest.raises(UserError) as caught:
        load_params(path)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{path}: ")
    for words in said:
        assert words in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds NoneType"),
        ("seeds: [0\n", "not readable as YAML"),
        ("seeds: [0]\nseeds: [1]\n", 'line 2, column 1: found duplicate key "seeds"'),
        ("seeds: " + "[" * 2000 + "]" * 2000, r"seeds\.0: .*input should be a valid integer"),
        ('seeds: "\\ud800"', "line 1"),
        ("seeds: !!python/object/apply:os.system ['true']\n", "line 1, column 8: could not determine a constructor"),
    ],
)
def test_file_that_is_no_mapping_gets_one_line(tmp_path, text, said):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        load_params(path)
    assert "\n" not in str(caught.value)


def test_folder_in_its_place_gets_one_line(tmp_path):
    with pytest.raises(UserError, match=r"not readable: Is a directory; it must be a text file"):
        load_params(tmp_path)


def test_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(UserError, match="run from the repository's top folder"):
        load_params(tmp_path / "params.yaml")


WRITTEN = ["0.0002", "2e-4", "010", "08", "0o17", "0x1f", "1_000", ".1e3", "yes", "Off", "true", "~"]


@pytest.mark.parametrize("written", WRITTEN)
def test_values_are_those_that_dvc_reads(tmp_path, written):
    path = tmp_path / "params.yaml"
    path.write_text(f"a: {written}\nb:\n- {written}\n")
    assert read_tree(path) == load_yaml(path)


@pytest.mark.parametrize("written", ["yes", ".1e3", "2024-01-01", "0.0"])
def test_what_is_no_integer_is_refused_by_its_key(repository, tmp_path, written):
    path = tmp_path / "params.yaml"
    path.write_text((repository / "params.yaml").read_text().replace("split_seed: 0 ", f"split_seed: {written} "))
    with pytest.raises(UserError, match=r"data\.split_seed: .*integer") as caught:
        load_params(path)
    assert "\n" not in str(caught.value)


def test_merge_keys_are_merged(repository, tmp_path):
    path = tmp_path / "params.yaml"
    text = (repository / "params.yaml").read_text()
    path.write_text(f"{text}  small: &small {{l1: 0.01}}\n  both: {{<<: *small, l2: 0.02}}\n")
    assert load_params(path).variants["both"].remedies == {"l1": 0.01, "l2": 0.02}
    assert read_tree(path) == load_yaml(path)


def test_bytes_that_are_no_text_get_one_line(tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"seeds: \xff\n")
    with pytest.raises(UserError, match=r"not readable as YAML: .*0xff"):
        load_params(tmp_path / "params.yaml")


def test_stage_stops_with_one_line_and_touches_nothing(repository, tmp_path, shipped):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed(shipped, "scratch > epochs", 0)))
    command = [sys.executable, "-m", "stages.scratch", "baseline"]
    environment = {"PYTHONPATH": str(repository), "PATH": ""}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "fitgap: params.yaml: scratch.epochs: 0: input should be greater than or equal to 1"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_unknown_variant_is_named_with_those_there_are(repository):
    with pytest.raises(UserError, match="'dropot' is not in `variants`.*baseline, dropout"):
        load_params(repository / "params.yaml").variant("dropot")


def test_learning_rate_is_the_variants_own_where_it_names_one(repository, shipped, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(changed(shipped, "variants > l1 > learning_rate", 0.05)))
    chosen = load_params(path)
    assert chosen.model("scratch", "l1").schedule.learning_rate == 0.05
    assert chosen.model("head", "l1").recorded["learning_rate"] == 0.05
    assert chosen.model("scratch", "l2").schedule.learning_rate == chosen.scratch.learning_rate


def test_models_of_all_families_carry_the_same_keys(repository):
    chosen = load_params(repository / "params.yaml")
    keys = {"epochs", "batch_size", "learning_rate", "dropout", "batch_norm", "l1", "l2", "seeds"}
    keys |= {"train_images", "validation_images"}
    for family, name in [("scratch", "dropout"), ("head", "dropout"), ("finetune", "block5")]:
        assert keys <= chosen.model(family, name).recorded.keys()
