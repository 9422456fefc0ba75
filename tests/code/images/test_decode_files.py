"""Decode in threads: the same pictures in the same order whatever their number, in bounded memory, and it ends."""

import io
import os
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fitgap.images import decoding
from fitgap.images.sources import picture_files
from fitgap.images.sources.picture_files import AHEAD, PictureFile, decode_files

SIZE = 32
COUNT = 30  # files, every seventh of them broken in one way or another
BROKEN = (b"", b"no picture", b"\xff\xd8\xff\xe0 cut off")


def encoded(seed: int, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    side = 20 + seed % 50
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, 40, 3), np.uint8)).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    top = tmp_path_factory.mktemp("pictures")
    for i in range(COUNT):
        path = top / ("cat", "dog")[i % 2] / f"{i:02d}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(BROKEN[i // 7 % 3] if i % 7 == 0 else encoded(i, ("JPEG", "PNG", "WEBP")[i % 3]))
    return top


@pytest.fixture(scope="module")
def files(folder) -> list[PictureFile]:
    return [PictureFile(path.name, path) for path in sorted(folder.glob("*/*.jpg"))]


def contents(pictures) -> list[tuple]:
    """Return what can be compared of pictures."""
    return [(p.name, p.label, p.reason, None if p.pixels is None else p.pixels.tobytes()) for p in pictures]


def decoding_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("decode")]


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_pictures_do_not_depend_on_the_number_of_threads(threads, files, monkeypatch):
    monkeypatch.setattr(picture_files, "usable_cores", lambda: threads)
    expected = []
    for file in files:
        try:
            expected.append((file.name, -1, "", decoding.decode(file.path.read_bytes(), SIZE).tobytes()))
        except decoding.UnusableError as error:
            expected.append((file.name, -1, str(error), None))
    assert contents(decode_files(files, SIZE)) == expected
    assert sum(bool(reason) for _, _, reason, _ in expected) == len(range(0, COUNT, 7))


def test_a_file_that_has_gone_or_cannot_be_read_is_an_error_of_its_own(files, tmp_path):
    asked = [files[1], PictureFile("gone", tmp_path / "gone.jpg"), PictureFile("bad", tmp_path, problem="not found")]
    reasons = [(picture.name, picture.reason) for picture in decode_files([*asked, files[2]], SIZE)]
    gone = ("gone", "not readable: No such file or directory")
    assert reasons == [(files[1].name, ""), gone, ("bad", "not found"), (files[2].name, "")]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_error_between_the_files_ends_the_threads(error, files):
    def cut_off():
        yield files[1]
        raise error("cut off")

    with pytest.raises(error, match="cut off"):
        list(decode_files(cut_off(), SIZE))
    assert decoding_threads() == []


def test_stopping_early_drops_what_was_not_begun(files, monkeypatch):
    begun, decode = [], picture_files.decode
    monkeypatch.setattr(picture_files, "decode", lambda *arguments: begun.append(1) or decode(*arguments))
    monkeypatch.setattr(picture_files, "usable_cores", lambda: 2)
    pictures = decode_files((files[1] for _ in range(1000)), SIZE)
    next(pictures)
    pictures.close()
    assert decoding_threads() == []
    assert len(begun) <= 2 * AHEAD + 2


def test_warnings_of_pillow_are_ignored_and_the_filters_stay(tmp_path, monkeypatch):
    """Two threads that each set and reset the filters would leave changed ones behind."""
    monkeypatch.setattr(picture_files, "usable_cores", lambda: 8)
    Image.new("1", (10_000, 9_000)).save(tmp_path / "large.png")  # Pillow warns of so many pixels
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        pictures = list(decode_files([PictureFile("large", tmp_path / "large.png")] * 50, SIZE))
        assert warnings.filters == before
        assert caught == []
    assert all(picture.reason.startswith("enormous") for picture in pictures)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no such setting here")
@pytest.mark.parametrize(("cores", "threads"), [({0, 3, 5}, 3), (set(range(64)), 8)])
def test_threads_are_as_many_as_the_cores_of_this_process_and_at_most_eight(cores, threads, files, monkeypatch):
    executor, started = picture_files.ThreadPoolExecutor, []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores)
    monkeypatch.setattr(
        picture_files, "ThreadPoolExecutor", lambda threads, name: started.append(threads) or executor(1, name)
    )
    list(decode_files(files[1:2], SIZE))
    assert started == [threads]
