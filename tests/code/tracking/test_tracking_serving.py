"""Test what a served model reads, refuses and answers: through MLflow's own reading of requests."""

import base64
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import tracking_samples as samples
from PIL import Image

from fitgap.images.decoding import decode
from fitgap.tracking import models, runs

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
BLACK_AND_WHITE = np.where(IMAGES > 127, 255, 0)


@pytest.fixture(scope="module")
def network(tensorflow):
    return samples.network()


@pytest.fixture(scope="module")
def address(network, tmp_path_factory):
    """Attach the network to a run; give the folder of the model."""
    with pytest.MonkeyPatch.context() as patch:
        made = samples.repository(tmp_path_factory.mktemp("served") / "repository", patch)
        models.log_model(runs.log_result(samples.model()), lambda: network, samples.CLASSES)
        (file,) = made.glob("mlruns/**/MLmodel")
        return file.parent


@pytest.fixture(scope="module")
def served(address):
    import mlflow

    return mlflow.pyfunc.load_model(str(address))


def post(served, **request):
    """Answer a request as MLflow's scoring server does; give the HTTP status and the answer."""
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc import scoring_server

    schema = served.metadata.get_input_schema()
    try:
        answer = scoring_server.invocations(json.dumps(request), "application/json", served, schema)
    except MlflowException as refusal:
        return refusal.get_http_status_code(), refusal.message
    return answer.status, json.loads(answer.response)


def picture(pixels, kind="PNG"):
    """Give a picture file with these pixels as base64 text."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def split(answer):
    """Give the likeliest classes, and the rows of probabilities."""
    rows = [list(row.values()) for row in answer["predictions"]]
    return [row[0] for row in rows], [row[1:] for row in rows]


@pytest.mark.parametrize("key", ["inputs", "instances"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])  # JSON has 255 or 255.0
def test_answer_names_the_classes(served, network, key, dtype):
    status, answer = post(served, **{key: IMAGES.astype(dtype).tolist()})
    assert status == 200
    assert [list(row) for row in answer["predictions"]] == [["class", *samples.CLASSES]] * len(IMAGES)
    likeliest, probabilities = split(answer)
    assert likeliest == [samples.CLASSES[place] for place in np.argmax(probabilities, axis=1)]
    np.testing.assert_allclose(probabilities, network.predict(IMAGES, verbose=0), rtol=1e-6)


def test_picture_files_in_base64_get_the_answers_of_their_pixels(served, network):
    large = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    lines = base64.encodebytes(base64.b64decode(picture(large, "WEBP"))).decode()
    texts = [f"data:image/png;base64,{picture(IMAGES[0])}", lines]
    status, answer = post(served, inputs=texts)
    assert status == 200
    pixels = np.stack([decode(base64.b64decode(text.split(",")[-1]), 8) for text in texts])
    _, probabilities = split(answer)
    np.testing.assert_allclose(probabilities, network.predict(pixels, verbose=0), rtol=1e-6)
    np.testing.assert_array_equal(served.predict(np.array(texts))[samples.CLASSES], network.predict(pixels, verbose=0))


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (["héllo"], "text 1 is not base64"),
        ([picture(IMAGES[0]), "aGVsbG8="], "file 2: not a picture in JPEG, PNG"),
        ([picture(IMAGES[0]), IMAGES[0].tolist()], "different shapes"),
        (IMAGES / 255, "float64 values from"),
        (BLACK_AND_WHITE / 255, "no float64 value above 1"),
        (BLACK_AND_WHITE // 255, "no int64 value above 1"),
        (IMAGES.astype(int) * 2, "int64 values from"),
        (IMAGES[0], "shape (8, 8, 3)"),
        (IMAGES.astype(str), "values of type <U"),
    ],
)
def test_request_with_other_values_is_refused(served, images, reason):
    status, message = post(served, inputs=images if isinstance(images, list) else images.tolist())
    assert status == 400
    assert message.startswith("images: ") and reason in message  # and not the request itself
    assert "whole numbers from 0 to 255, not scaled, as an array (n, 8, 8, 3)" in message


def test_requests_that_are_no_tensors_are_refused(served):
    assert post(served, inputs=[])[0] == 400
    assert post(served, inputs={"images": IMAGES.tolist()})[0] == 400
    assert post(served, dataframe_split={"columns": ["images"], "data": [[IMAGES[0].tolist()]]})[0] == 400


def test_in_python_the_answer_is_a_table(served, network):
    table = served.predict(IMAGES)
    assert list(table.columns) == ["class", *samples.CLASSES]
    np.testing.assert_array_equal(table[samples.CLASSES], network.predict(IMAGES, verbose=0))
    ones = np.ones_like(IMAGES)
    answers = served.predict(ones)[samples.CLASSES]
    np.testing.assert_array_equal(answers, network.predict(ones, verbose=0))  # of uint8, 1 is no scale
    np.testing.assert_array_equal(served.predict(ones * 0.0), served.predict(ones * 0))
    for wrong in (IMAGES / 255, IMAGES[:0]):
        with pytest.raises(Exception, match="whole numbers from 0 to 255"):
            served.predict(wrong)


def test_model_holds_the_network_once_and_no_code_that_needs_fitgap(address):
    assert [file.name for file in address.rglob("*") if file.suffix in (".keras", ".h5", ".pkl")] == ["model.keras"]
    for file in (address / "code").glob("*.py"):
        assert not re.search(r"^\s*(from|import) fitgap\b", file.read_text(), re.MULTILINE)


@pytest.mark.slow
def test_model_answers_where_fitgap_is_unknown(address, network, tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    code = f"import mlflow, numpy; model = mlflow.pyfunc.load_model({str(address)!r})\n"
    code += "numpy.save('answers.npy', model.predict(numpy.load('images.npy')).drop(columns='class'))"
    subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), network.predict(IMAGES, verbose=0), rtol=1e-6)
