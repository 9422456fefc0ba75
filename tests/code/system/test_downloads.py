"""Test Keras's downloads over a bad network: a loopback server drops, truncates, corrupts and stalls them."""

import hashlib
import inspect
import os
import subprocess
import sys
import threading
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
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / NAME).write_bytes(os.urandom(300_000))
    with loopback(tmp_path / "served") as serving:
        yield serving


@pytest.fixture
def home(tmp_path, monkeypatch, tensorflow):
    """An empty cache, for Keras and for us."""
    from keras.src.backend import config

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path / "keras"))
    monkeypatch.setattr(downloads, "PAUSE", 0.01)
    (tmp_path / "keras").mkdir()
    return tmp_path / "keras"


@pytest.fixture
def file(served, home) -> KerasFile:
    digest = hashlib.sha256((served.folder / NAME).read_bytes()).hexdigest()
    return KerasFile(NAME, "models", served.address_of(NAME), digest, 300_000, "backbone.weights: imagenet")


def fetch(file: KerasFile) -> bytes:
    import keras

    def load() -> bytes:
        path = keras.utils.get_file(file.name, file.address, cache_subdir=file.folder, file_hash=file.digest)
        return Path(path).read_bytes()

    return downloads.load_through_keras(file, load)


# (what the first requests meet, how many downloads it takes)
RECOVERIES = [
    ([], 1),
    (["drop"], 2),
    (["truncate"], 2),
    (["corrupt"], 2),
    (["500"], 2),
    (["hang"], 2),
    (["drop", "corrupt"], 3),
    (["404", "truncate"], 3),
]


@pytest.mark.parametrize(("faults", "expected"), RECOVERIES)
def test_faults_are_outlived(faults, expected, served, file, monkeypatch):
    monkeypatch.setattr(downloads, "SILENCE_TIMEOUT", 0.5)
    served.faults[NAME] = list(faults)
    assert fetch(file) == (served.folder / NAME).read_bytes()
    assert served.downloads(NAME) == expected
    assert file.is_whole


# (what every request meets, what the one line tells)
FAILURES = [
    ("500", "500"),
    ("404", "404"),
    ("drop", "retrieval incomplete"),
    ("truncate", "Incomplete or corrupted"),
    ("corrupt", "Incomplete or corrupted"),
    ("hang", "timed out"),
]


@pytest.mark.parametrize(("fault", "told"), FAILURES)
def test_what_stays_broken_gets_one_line_and_leaves_nothing(fault, told, served, file, monkeypatch, capsys):
    monkeypatch.setattr(downloads, "SILENCE_TIMEOUT", 0.3)
    served.faults[NAME] = [fault] * 9
    with pytest.raises(UserError) as raised:
        fetch(file)
    line = str(raised.value)
    assert told in line
    assert line.startswith("params.yaml: backbone.weights: imagenet: ")
    assert str(file.place) in line
    assert "\n" not in line
    assert served.downloads(NAME) == downloads.ATTEMPTS
    assert not file.place.exists()
    assert capsys.readouterr().err.count("attempt") == downloads.ATTEMPTS - 1


def test_no_network_gets_one_line(file):
    away = replace(file, address="http://127.0.0.1:9/weights.bin")
    with pytest.raises(UserError, match="refused") as raised:
        fetch(away)
    assert str(away.place) in str(raised.value)


@pytest.mark.parametrize("left", [b"", b"half", "corrupt"])
def test_what_a_killed_download_left_in_the_cache_is_fetched_again(left, served, file):
    whole = (served.folder / NAME).read_bytes()
    file.place.parent.mkdir()
    file.place.write_bytes({b"half": whole[:150_000], "corrupt": whole[:-1] + b"?"}.get(left, left))
    assert not file.is_whole
    assert fetch(file) == whole


def test_what_stands_whole_in_the_cache_is_not_asked_for(served, file):
    file.place.parent.mkdir()
    file.place.write_bytes((served.folder / NAME).read_bytes())
    fetch(file)
    assert served.asked == []


def test_two_at_once_download_once(served, file):
    found = []
    threads = [threading.Thread(target=lambda: found.append(fetch(file))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(content) for content in found] == [300_000] * 3
    assert served.downloads(NAME) == 1


def test_error_that_is_none_of_the_downloads_passes(served, file):
    fetch(file)
    with pytest.raises(ZeroDivisionError):
        downloads.load_through_keras(file, lambda: 1 / 0)


def test_no_room_is_told_before_anything_is_fetched(served, file):
    with pytest.raises(UserError, match="need .* MB of disk"):
        fetch(replace(file, room=10**18))
    assert served.asked == []


def test_reach_is_checked_without_a_download(served, file):
    downloads.check_reachable([file], "params.yaml")
    assert served.asked == [("HEAD", NAME)]


def test_all_that_is_out_of_reach_stands_in_one_line(file, served):
    (served.folder / NAME).unlink()
    other = replace(file, name="data", folder="datasets", asked_by="data.source: cifar10")
    with pytest.raises(UserError) as raised:
        downloads.check_reachable([file, other], "settings/notes.yaml")
    line = str(raised.value)
    assert line.startswith("settings/notes.yaml: backbone.weights: imagenet, data.source: cifar10: ")
    assert str(file.place) in line
    assert str(other.place) in line
    assert "\n" not in line


def test_what_is_needed_follows_from_the_params(repository):
    tree = reading.read_tree(repository / "params.yaml")
    assert preflight.needed_downloads(reading.validate(tree, "p")) == []
    tree["data"]["source"], tree["backbone"]["weights"] = "cifar10", "imagenet"
    names = [file.name for file in preflight.needed_downloads(reading.validate(tree, "p"))]
    assert len(names) == len(set(names)) == 4
    tree["asis"]["images"] = 0
    assert downloads.VGG16_WITH_TOP not in preflight.needed_downloads(reading.validate(tree, "p"))


def test_names_addresses_and_hashes_are_kerass_own(tensorflow):
    from keras.src.applications import imagenet_utils, vgg16
    from keras.src.datasets import cifar10

    source = {
        downloads.CIFAR10: inspect.getsource(cifar10.load_data),
        downloads.IMAGENET_CLASSES: inspect.getsource(imagenet_utils),
        downloads.VGG16_NOTOP: inspect.getsource(vgg16).replace('"\n    "', ""),
        downloads.VGG16_WITH_TOP: inspect.getsource(vgg16).replace('"\n    "', ""),
    }
    for file, text in source.items():
        assert f'"{file.digest}"' in text
        assert file.address in text.replace('"\n    "', "")
        assert f'"{file.name.removesuffix("_archive")}"' in text


@pytest.mark.parametrize("home", [None, "keras"])
def test_cache_is_kerass_own(home, tmp_path):
    code = "import sys; from keras.src.backend.config import keras_home; from fitgap.system.downloads import cache; "
    code += "sys.exit(str(cache()) != keras_home())"
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_HOME"}
    environment |= {"KERAS_HOME": str(tmp_path / home)} if home else {}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
