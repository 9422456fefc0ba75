"""A trained model answers for pictures as it did in the pipeline, or says in one line why it cannot."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from trained_repository import MODELS

from fitgap.data.prepared import read_prepared
from fitgap.data.record import read_result
from fitgap.prediction.predictor import load_predictor
from fitgap.system.errors import UserError


def in_pipeline(top, name):
    """Give the answers of a model's best seed on the test images, as its stage recorded them."""
    result = read_result(top / "results" / name.replace("@", "/"))
    return result.test_probabilities[list(result.seeds.index).index(result.record.best_seed)]


def edit(top, section, **changes):
    path = top / "params.yaml"
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    tree[section] |= changes
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")


def edit_record(top, name, **changes):
    path = top / "results" / name.replace("@", "/") / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


@pytest.mark.parametrize("name", MODELS)
def test_files_get_the_answers_of_the_pipeline(trained, name):
    manifest = pd.read_csv(trained / "data/prepared/manifest.csv")
    files = [trained / "pictures" / file for file in manifest[manifest["part"] == "test"]["name"]]
    answers = load_predictor(name, trained).predict_files(files)
    assert not answers.unusable
    assert list(answers.probabilities.columns) == ["café", "night"]
    assert list(answers.probabilities.index) == [str(file) for file in files]
    np.testing.assert_allclose(answers.probabilities, in_pipeline(trained, name), atol=1e-5)


def test_policy_of_a_notebook_changes_no_answer_and_stays(trained):
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        predictor = load_predictor("scratch@remedied", trained)
        test_images, _ = read_prepared(trained / "data/prepared").part("test")
        answers = predictor.predict(test_images)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(answers, in_pipeline(trained, "scratch@remedied"), atol=1e-5)


def test_a_negative_of_what_the_model_knows_is_doubtful(trained, tmp_path):
    predictor = replace(load_predictor("scratch@remedied", trained), brightness=(20.0, 100.0))
    for name, level in {"as-trained": 60, "inverted": 195, "between": 128}.items():
        Image.new("L", (32, 32), level).save(tmp_path / f"{name}.png")
    answers = predictor.predict_files([tmp_path])
    assert len(answers.probabilities) == 3
    assert answers.doubtful == {
        f"{tmp_path}/inverted.png": "inverted? its mean brightness is 195 of 255; in the training 20 to 100"
    }


def test_arrays_get_the_same_answers(trained):
    predictor = load_predictor("scratch@remedied", trained)
    test_images, _ = read_prepared(trained / "data/prepared").part("test")
    answers = predictor.predict(test_images)
    np.testing.assert_allclose(answers, in_pipeline(trained, "scratch@remedied"), atol=1e-5)
    for wrong in (test_images / 255, test_images[..., :1], test_images[0], test_images[:, :8]):
        with pytest.raises(ValueError, match="allowed: uint8"):
            predictor.predict(wrong)


def test_without_a_name_the_model_with_the_highest_mean_validation_accuracy_answers(trained, copied):
    metrics = {name: read_result(trained / "results" / name.replace("@", "/")).metrics for name in MODELS}
    first, second, *_ = sorted(MODELS, key=lambda n: (-metrics[n]["val_accuracy_best"], metrics[n]["val_loss_best"]))
    predictor = load_predictor(root=trained)
    assert predictor.name == first and predictor.about.startswith(f"{first} answers: mean validation accuracy")
    shutil.rmtree(copied / "models" / first.replace("@", "/"))
    assert load_predictor(root=copied).name == second


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("scratch@dropuot", "no such model is trained"),
        ("baseline", "no such model is trained"),
        ("head@shifted", "not trained: for scratch models only"),
    ],
)
def test_a_model_that_cannot_answer_is_refused_with_the_allowed_names(trained, name, why):
    with pytest.raises(UserError, match=f"^{name}: {why}; allowed: .*scratch@remedied; `make repro`"):
        load_predictor(name, trained)


@pytest.mark.parametrize("folder", ["results", "models", "data/prepared"])
def test_without_results_one_line_says_what_to_do(copied, folder):
    shutil.rmtree(copied / folder)
    for name in (None, "scratch@baseline"):
        with pytest.raises(UserError, match="`make repro` trains what params.yaml asks for"):
            load_predictor(name, copied)


def test_after_an_edit_of_params_the_model_answers_as_it_was_trained(trained, copied):
    edit(copied, "data", image_size=48)
    edit(copied, "scratch", filters=[32], dense_units=7)
    edit(copied, "head", dense_units=9, layer="block4_pool")
    edit(copied, "finetune", depths=["block3"])
    edit(copied, "variants", remedied={"l1": 0.1})
    for name in MODELS:
        predictor = load_predictor(name, copied)
        test_images, _ = read_prepared(copied / "data/prepared").part("test")
        np.testing.assert_allclose(predictor.predict(test_images), in_pipeline(copied, name), atol=1e-5)
    assert not any(load_predictor(name, trained).warning for name in MODELS)
    warning = load_predictor("scratch@remedied", copied).warning
    assert all(key in warning for key in ("filters", "dense_units", "batch_norm", "dropout", "l1"))


def test_a_model_of_other_images_or_of_another_backbone_is_refused(copied):
    other = {"name": "directory", "digest": "0" * 64}
    data = read_prepared(copied / "data/prepared").identity
    edit_record(copied, "scratch@baseline", inputs={"data": other})
    edit_record(copied, "head@baseline", inputs={"data": data, "backbone": other})
    with pytest.raises(UserError, match="scratch@baseline: trained on other images than data/prepared holds; allowed"):
        load_predictor("scratch@baseline", copied)
    with pytest.raises(UserError, match="head@baseline: trained with another backbone than data/backbone holds"):
        load_predictor("head@baseline", copied)


def test_weights_that_do_not_fit_the_record_are_refused(copied):
    (weights,) = (copied / "models/scratch/baseline").iterdir()
    params = read_result(copied / "results/scratch/baseline").record.params
    edit_record(copied, "scratch@baseline", params=params | {"dense_units": 5})
    with pytest.raises(UserError, match="weights.h5: does not fit results/ of scratch@baseline"):
        load_predictor("scratch@baseline", copied)
    edit_record(copied, "scratch@baseline", params=params)
    weights.write_bytes(b"cut short")
    with pytest.raises(UserError, match="weights.h5: does not fit results/ of scratch@baseline"):
        load_predictor("scratch@baseline", copied)


def test_a_diverged_model_is_refused(copied):
    path = copied / "results/scratch/baseline/record.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    for row in record["seeds"]:
        row["val_loss_best"] = None
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(UserError, match="scratch@baseline: its training diverged; allowed"):
        load_predictor("scratch@baseline", copied)
