"""After a run, `make predict` answers as the pipeline itself did on its test images."""

import io
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fitgap.data.prepared import read_prepared
from fitgap.data.record import read_result


@pytest.fixture(scope="module")
def pictures(first, tmp_path_factory):
    """Files of the first test images, by position."""
    folder = tmp_path_factory.mktemp("pictures")
    test_images, _ = read_prepared(first.path / "data/prepared").part("test")
    for position, pixels in enumerate(test_images[:20]):
        Image.fromarray(np.asarray(pixels)).save(folder / f"{position:02}.png")
    return folder


@pytest.mark.parametrize("name", ["scratch@dropout", "head@baseline", "finetune@block5"])
def test_files_get_the_answers_of_the_pipeline(first, pictures, name):
    result = read_result(first.path / "results" / name.replace("@", "/"))
    expected = result.test_probabilities[list(result.seeds.index).index(result.record.best_seed)]
    ended = first.run(sys.executable, "-m", "fitgap.programs.predict", str(pictures), "--csv", "--model", name)
    answers = pd.read_csv(io.StringIO(ended.stdout), index_col="file")
    assert list(answers.columns) == result.record.classes
    np.testing.assert_allclose(answers, expected[:20], atol=1e-5)
    assert ended.stderr.count("\n") == 1 and ended.stderr.startswith(f"fitgap: {name} answers: ")


def test_the_best_model_is_the_one_that_the_registry_takes(first, pictures):
    ended = first.run(sys.executable, "-m", "fitgap.programs.predict", str(pictures / "00.png"))
    (registered,) = first.store.search_registered_models()
    champion = first.store.get_model_version_by_alias(registered.name, "champion")
    assert ended.stderr.startswith(f"fitgap: {champion.tags['fitgap.model']} answers: ")
