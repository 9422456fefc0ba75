"""Test Keras's downloads over a bad network: a loopback server drops, truncates, corrupts and stalls them."""

import hashlib
import inspect
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from loopback import loopback

from fitgap.params import reading
from fitgap.programs import preflight
from fitgap.system import downloads
from fitgap.system.downloads import KerasFile
from fitgap.system.errors import UserError

NAME = "weights.bin"


@pytest.fixture
def served(tmp_path):
    (tmp_path / NAME).write_bytes(os.urandom(300_000))
    with loopback(tmp_path) as serving:
        yield serving


@pytest.fixture
def file(served, tmp_path, monkeypatch, tensorflow) -> KerasFile:
    """A file on the server, with an empty cache, for Keras and for us."""
    from keras.src.backend import config

    (tmp_path / "keras").mkdir()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path / "keras"))
    monkeypatch.setattr(downloads, "PAUSE", 0.01)
    monkeypatch.setattr(downloads, "SILENCE_TIMEOUT", 0.5)
    digest = hashlib.sha256((served.folder / NAME).read_bytes()).hexdigest()
    return KerasFile(NAME, "models", served.address_of(NAME), digest, "backbone.weights: imagenet")


def fetch(file: KerasFile) -> bytes:
    import keras

    def load() -> bytes:
        path = keras.utils.get_file(file.name, file.address, cache_subdir=file.folder, file_hash=file.digest)
        return Path(path).read_bytes()

    return downloads.load_through_keras(file, load)


@pytest.mark.parametrize("faults", [[], ["drop"], ["truncate"], ["hang"], ["500", "corrupt"]])
def test_download_is_repeated_after_a_fault(faults, served, file):
    served.faults[NAME] = list(faults)
    assert fetch(file) == (served.folder / NAME).read_bytes()
    assert served.downloads(NAME) == len(faults) + 1
    assert file.is_whole


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("404", "404"), ("drop", "retrieval incomplete"), ("corrupt", "Incomplete or corrupted"), ("hang", "timed out")],
)
def test_lasting_fault_is_one_line_and_leaves_nothing(fault, reason, served, file, capsys):
    served.faults[NAME] = [fault] * 9
    with pytest.raises(UserError) as raised:
        fetch(file)
    line = str(raised.value)
    assert line.startswith("params.yaml: backbone.weights: imagenet: ") and "\n" not in line
    assert reason in line and str(file.place) in line
    assert served.downloads(NAME) == downloads.ATTEMPTS
    assert not file.place.exists()
    assert capsys.readouterr().err.count("attempt") == downloads.ATTEMPTS - 1


def test_no_network_is_one_line(file):
    with pytest.raises(UserError, match=f"refused.*put the file at {file.place}"):
        fetch(replace(file, address="http://127.0.0.1:9/weights.bin"))


def test_damaged_file_in_the_cache_is_fetched_again_and_a_whole_one_is_not(served, file):
    content = (served.folder / NAME).read_bytes()
    file.place.parent.mkdir()
    for left, requests in ((content[:150_000], 1), (content[:-1] + bytes([content[-1] ^ 1]), 2), (content, 2)):
        file.place.write_bytes(left)
        assert fetch(file) == content
        assert served.downloads(NAME) == requests


def test_threads_that_need_the_same_file_download_it_once(served, file):
    with ThreadPoolExecutor(3) as executor:
        contents = list(executor.map(fetch, [file] * 3))
    assert [len(content) for content in contents] == [300_000] * 3
    assert served.downloads(NAME) == 1


def test_error_after_the_download_passes(file):
    fetch(file)
    with pytest.raises(ZeroDivisionError):
        downloads.load_through_keras(file, lambda: 1 / 0)


def test_files_out_of_reach_stand_in_one_line_without_a_download(file, served):
    downloads.check_reachable([file], "params.yaml")
    assert served.asked == [("HEAD", NAME)]
    (served.folder / NAME).unlink()
    other = replace(file, name="data", folder="datasets", asked_by="data.source: cifar10")
    with pytest.raises(UserError) as raised:
        downloads.check_reachable([file, other], "settings/notes.yaml")
    line = str(raised.value)
    assert line.startswith("settings/notes.yaml: backbone.weights: imagenet, data.source: cifar10: ")
    assert str(file.place) in line and str(other.place) in line and "\n" not in line


def test_needed_downloads_follow_from_the_params(repository):
    tree = reading.read_tree(repository / "params.yaml")
    assert preflight.needed_downloads(reading.validate(tree, "p")) == []
    tree["data"]["source"], tree["backbone"]["weights"] = "cifar10", "imagenet"
    assert len({file.name for file in preflight.needed_downloads(reading.validate(tree, "p"))}) == 4
    tree["asis"]["images"] = 0
    assert downloads.VGG16_WITH_TOP not in preflight.needed_downloads(reading.validate(tree, "p"))


def test_names_addresses_hashes_and_cache_are_those_of_keras(tensorflow):
    from keras.src.applications import imagenet_utils, vgg16
    from keras.src.backend import config
    from keras.src.datasets import cifar10

    source = {
        downloads.CIFAR10: inspect.getsource(cifar10.load_data),
        downloads.IMAGENET_CLASSES: inspect.getsource(imagenet_utils),
        downloads.VGG16_NOTOP: inspect.getsource(vgg16),
        downloads.VGG16_WITH_TOP: inspect.getsource(vgg16),
    }
    assert str(downloads.cache()) == config.keras_home()
    for file, text in source.items():
        text = text.replace('"\n    "', "")
        assert f'"{file.digest}"' in text
        assert file.address in text
        assert f'"{file.name.removesuffix("_archive")}"' in text
