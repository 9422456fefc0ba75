"""Decode in threads: the same pictures in the same order whatever their number, in bounded memory, and it ends."""

import errno
import io
import itertools
import os
import pickle
import tarfile
import threading
import time
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fitgap.images import archives, decoding, decoding_pool, preparation
from fitgap.images.decoding_pool import AHEAD, PixelBudget, decode_entries
from fitgap.images.file_trees import FileEntry, UnreadableError
from fitgap.images.sources import directory, tree_decoding
from fitgap.images.sources.collection import Picture
from fitgap.images.sources.tree_decoding import Labels
from fitgap.params.sections import Data
from fitgap.system.errors import UserError

SIZE = 32
COUNT = 60  # files, every seventh of them broken in one way or another
BROKEN = (b"", b"no picture", b"\xff\xd8\xff\xe0 cut off")


def encoded(seed: int, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    side = 20 + seed % 50
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, 40, 3), np.uint8)).save(file, kind)
    return file.getvalue()


def files() -> dict[str, bytes]:
    whole = {
        f"{'cat' if i % 2 else 'dog'}/{i:02d}.jpg": encoded(i, ("JPEG", "PNG", "WEBP")[i % 3]) for i in range(COUNT)
    }
    return {name: BROKEN[i // 7 % 3] if i % 7 == 0 else data for i, (name, data) in enumerate(whole.items())}


@pytest.fixture(scope="module")
def trees(tmp_path_factory) -> dict[str, Path]:
    """The same files as a folder, a .zip and a .tar; the archives hold them in an order of their own."""
    top = tmp_path_factory.mktemp("trees")
    with zipfile.ZipFile(top / "p.zip", "w") as packed, tarfile.open(top / "p.tar.gz", "w:gz") as tar:
        for name, data in reversed(files().items()):
            (top / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
            (top / "folder" / name).write_bytes(data)
            packed.writestr(name, data)
            tar.add(top / "folder" / name, name)
    return {"folder": top / "folder", "zip": top / "p.zip", "tar": top / "p.tar.gz"}


def plain(name: str, pixels: np.ndarray | None, reason: str) -> Picture:
    return Picture(name, 0, pixels, reason=reason)


def told(pictures) -> list[tuple]:
    """Return what can be compared of pictures."""
    return [
        (
            one.name,
            one.label,
            one.official,
            one.reason,
            one.traits,
            None if one.pixels is None else one.pixels.tobytes(),
        )
        for one in pictures
    ]


def entry(name: str, data: bytes, read=None, size: int | None = None) -> FileEntry:
    return FileEntry(name, len(data) if size is None else size, read or (lambda: data))


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
@pytest.mark.parametrize("threads", [1, 2, 16])
def test_pictures_do_not_depend_on_the_number_of_threads(kind, threads, trees):
    """Nor on threads at all: they are those of one file after the other, in the order of the tree."""
    tree = archives.read_tree(trees[kind])
    expected = []
    for one in tree.entries(tree.files):
        try:
            expected.append(Picture(one.name, 0, decoding.decode(one.read(), SIZE)))
        except decoding.UnusableError as error:
            expected.append(Picture(one.name, 0, None, reason=str(error)))
    found = list(decode_entries(tree.entries(tree.files), SIZE, plain, threads))
    assert told(found) == told(expected)
    assert [one.name for one in found] == (sorted(files()) if kind == "folder" else list(reversed(files())))
    assert sum(one.pixels is None for one in found) == len(range(0, COUNT, 7))


def test_prepared_bytes_are_the_same_for_folders_and_archives_and_any_number_of_threads(trees, tmp_path, monkeypatch):
    chosen = Data(
        source="directory",
        path="pictures",
        image_size=SIZE,
        train_images=4,
        validation_images=4,
        pool_images=20,
        test_images="all",
        split_seed=0,
        max_bad_fraction=0.2,
        near_duplicates="warn",
        split_folders="by_name",
    )
    written = {}
    for (kind, path), threads in itertools.product(trees.items(), (1, 2, 16)):
        monkeypatch.setattr(decoding_pool, "usable_cores", lambda threads=threads: threads)
        folder = tmp_path / f"{kind} {threads}"
        folder.mkdir()
        preparation.prepare(directory.load(path, SIZE), chosen, folder)
        written[folder.name] = {file.name: file.read_bytes() for file in folder.iterdir()}
    first = written["folder 1"]
    assert len(first) == 6 and first["unusable.csv"].count(b"\n") == 1 + len(range(0, COUNT, 7))
    assert [name for name, content in written.items() if content != first] == []


def test_a_full_disk_ends_the_threads(trees):
    class Full(io.BytesIO):
        def write(self, data) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space") as error:
        preparation._decode_all(directory.load(trees["folder"], SIZE), Full())
    assert threads_that_decode() == []
    del error  # its traceback keeps all that was in use, so that nothing is closed by chance


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_parts_of_a_tree_are_decoded_as_the_whole(kind, trees):
    """As if other machines did it: what they get and give is pickled."""
    found = directory.load(trees[kind], SIZE)
    whole = {one[0]: one for one in told(found.pictures())}
    labels = {name: Labels(int(name.startswith("dog"))) for name in files()}
    names, parts = list(labels), []
    for start in range(0, COUNT, 25):
        part = {name: labels[name] for name in names[start : start + 25]}
        arguments = pickle.loads(pickle.dumps((trees[kind], SIZE, part)))
        parts += pickle.loads(pickle.dumps(tree_decoding.decode_names(*arguments)))
    assert {one[0]: one for one in told(parts)} == whole
    assert len(parts) == COUNT
    assert archives.read_tree(trees[kind]).is_divisible == (kind != "tar")


def test_a_part_of_a_folder_is_read_without_listing_the_others(trees, monkeypatch):
    monkeypatch.setattr(archives, "list_tree", lambda _: pytest.fail("listed"))
    (found,) = tree_decoding.decode_names(trees["folder"], SIZE, {"cat/01.jpg": Labels(0, "train")})
    assert (found.name, found.official, found.pixels is None) == ("cat/01.jpg", "train", False)


def test_a_file_that_has_gone_and_an_archive_that_has_gone(trees, tmp_path):
    (found,) = tree_decoding.decode_names(trees["folder"], SIZE, {"cat/gone.jpg": Labels(0)})
    assert found.reason == "a link that leads nowhere"
    with pytest.raises(UserError, match="not found"):
        tree_decoding.decode_names(tmp_path / "gone.zip", SIZE, {"cat/01.jpg": Labels(0)})


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_that_is_cut_off_after_it_was_listed_gets_one_line(kind, trees, tmp_path):
    path = tmp_path / trees[kind].name
    path.write_bytes(trees[kind].read_bytes())
    found = directory.load(path, SIZE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match="damaged archive"):
        list(found.pictures())
    assert threads_that_decode() == []


def test_few_files_are_read_ahead():
    """As many as the threads may have at once, however slow what takes the pictures is."""
    read, taken, data = [], 0, encoded(1)

    def entries():
        for number in range(200):
            read.append(number)
            yield entry(str(number), data)

    for picture in decode_entries(entries(), SIZE, plain, 3):
        assert picture.name == str(taken)
        taken += 1
        assert len(read) - taken <= AHEAD * 3
    assert taken == 200


def test_large_files_are_read_ahead_alone(monkeypatch):
    """A file counts with its size until its picture is taken; one above the limit is read when no other is held."""
    monkeypatch.setattr(decoding_pool, "FILES", 100)
    monkeypatch.setattr(decoding_pool, "FILE", 0)
    sizes, held, most, data = [40, 40, 40, 500, 60, 10, 10, 10, 10, 101, 100, 1], [], [], encoded(1)

    def reads(number: int):
        held.append(number)
        most.append([sizes[one] for one in held])
        return data

    entries = (entry(str(i), data, lambda i=i: reads(i), size) for i, size in enumerate(sizes))
    for picture in decode_entries(entries, SIZE, plain, 8):
        held.remove(int(picture.name))
    assert max(sum(one) for one in most if len(one) > 1) <= 100
    assert max(map(len, most)) == 5
    assert [one for one in most if sum(one) > 100] == [[500], [101]]


def test_pixels_at_once_are_bounded():
    budget, lock, now, most = PixelBudget(10), threading.Lock(), [], []

    def use(pixels: int) -> None:
        with budget.hold(pixels):
            with lock:
                now.append(pixels)
                most.append(list(now))
            time.sleep(0.001)
            with lock:
                now.remove(pixels)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, [4, 3, 25, 1, 1, 7, 10, 2] * 10))
    assert len(most) == 80
    assert max(sum(one) for one in most if one != [25]) <= 10
    assert budget.held == 0


def test_pictures_ask_for_their_pixels():
    asked = []
    with pytest.raises(decoding.UnusableError, match="damaged: no room"):
        decoding.decode_in_thread(encoded(3), SIZE, lambda pixels: asked.append(pixels) or no_room())
    assert asked == [23 * 40]


def no_room():
    raise ValueError("no room")


def threads_that_decode() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("decode")]


def test_an_error_in_the_middle_ends_the_threads_and_reads_no_further():
    read, data = [], encoded(1)

    def entries():
        for number in range(1000):
            read.append(number)
            yield entry(str(number), data)

    def finish(name, pixels, reason):
        if name == "20":
            raise MemoryError("no memory for 20")
        return plain(name, pixels, reason)

    pictures, taken = decode_entries(entries(), SIZE, finish, 2), []
    with pytest.raises(MemoryError, match="20"):
        taken.extend(picture.name for picture in pictures)
    assert taken == [] or taken == [str(i) for i in range(20)]
    assert len(read) <= 20 + 2 * AHEAD + 1
    assert threads_that_decode() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError])
def test_an_error_of_the_archive_ends_the_threads(error):
    def entries():
        yield entry("0", encoded(0))
        raise error("cut off")

    with pytest.raises(error, match="cut off"):
        list(decode_entries(entries(), SIZE, plain, 2))
    assert threads_that_decode() == []


def test_who_stops_early_waits_for_no_picture_that_was_not_begun():
    """Large pictures wait for one another; those that wait when the work is stopped are given up."""
    begun, data, started = [], encoded(1), threading.Event()

    def finish(name, pixels, reason):
        begun.append((name, reason))
        return plain(name, pixels, reason)

    def read():
        started.set()
        return data

    entries = (FileEntry(str(i), len(data), read, is_independent=True) for i in range(1000))
    pictures = decode_entries(entries, SIZE, finish, 2)
    assert next(pictures).name == "0"
    assert started.is_set()
    pictures.close()
    assert threads_that_decode() == []
    assert len(begun) <= 2 * AHEAD + 2


def test_a_closed_budget_lets_nobody_wait():
    budget, outcome = PixelBudget(10), []

    def wait() -> None:
        try:
            with budget.hold(8):
                outcome.append("decoded")
        except decoding.UnusableError as error:
            outcome.append(str(error))

    with budget.hold(8):
        waiting = threading.Thread(target=wait)
        waiting.start()
        budget.close()
        waiting.join(timeout=10)
        assert outcome == ["decoding was stopped"]


def test_a_file_that_cannot_be_read_is_its_own_error():
    def unreadable() -> bytes:
        raise UnreadableError("not readable: gone")

    ways = [FileEntry(f"{free}", 1, unreadable, free) for free in (False, True)]
    found = list(decode_entries([entry("a", encoded(1)), *ways, entry("b", encoded(2))], SIZE, plain, 2))
    assert [(one.name, one.reason) for one in found] == [
        ("a", ""), ("False", "not readable: gone"), ("True", "not readable: gone"), ("b", "")
    ]  # fmt: skip


def test_warnings_of_pillow_are_ignored_and_the_filters_stay():
    """Two threads that each set and reset the filters would leave changed ones behind."""
    file = io.BytesIO()
    Image.new("1", (10_000, 9_000)).save(file, "PNG")  # more pixels than Pillow wants to read without a warning
    with warnings.catch_warnings(record=True) as told_of:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        found = list(decode_entries([entry(str(i), file.getvalue()) for i in range(50)], SIZE, plain, 8))
        assert warnings.filters == before
        assert told_of == []
        Image.open(file)
    assert all(one.reason.startswith("enormous") for one in found)
    assert len(told_of) == 1


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no such setting here")
def test_threads_are_as_many_as_the_cores_of_this_process(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5})
    made = []
    monkeypatch.setattr(
        decoding_pool, "ThreadPoolExecutor", lambda threads, name: made.append(threads) or ThreadPoolExecutor(1, name)
    )
    assert len(list(decode_entries([entry("a", encoded(1))], SIZE, plain))) == 1
    assert made == [3]
