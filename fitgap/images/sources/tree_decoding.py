"""Decode the pictures of a folder or archive: in threads on this machine, or on a cluster if RAY_ADDRESS names one."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from fitgap.cluster.work import Cluster, is_wanted
from fitgap.images import archives
from fitgap.images.decoding_pool import decode_entries
from fitgap.images.file_trees import FileEntry, FileTree
from fitgap.images.sources.collection import Picture
from fitgap.images.traits import measure_traits

TASK, TASK_BYTES = 500, 2**26  # pictures, and bytes of their pixels, of one task on a cluster


@dataclass(frozen=True)
class Labels:
    """Of a picture: the index of its class, and the split that the folders give it."""

    label: int
    official: str = ""


def decode_tree(path: Path, tree: FileTree, image_size: int, labels: Mapping[str, Labels]) -> Iterator[Picture]:
    """Yield the pictures of a tree, in any order; a .tar is read on this machine, from its start.

    Parameters
    ----------
    path : folder or archive, which `tree` was read from
    image_size : side of the square that pictures are resized to, in pixels
    labels : name -> labels, of the pictures to decode
    """
    if not (is_wanted() and tree.is_divisible):
        yield from _decode(tree.entries(labels), image_size, labels)
        return
    cluster, size = Cluster("prepare", threads=1, tensorflow=False), min(TASK, TASK_BYTES // (3 * image_size**2))
    names = list(labels)
    ranges = [{name: labels[name] for name in names[start : start + size]} for start in range(0, len(names), size)]
    for _, pictures in cluster.map(f"{__name__}:decode_names", ranges, path, image_size):
        yield from pictures


def decode_names(path: Path, image_size: int, labels: Mapping[str, Labels]) -> list[Picture]:
    """Decode some pictures of a tree on one core: the task of a node.

    The pictures do not depend on how the names of a tree are divided among calls.

    Raises
    ------
    UserError
        If the path is missing or a damaged archive.
    """
    return list(_decode(archives.read_files(path, labels), image_size, labels, threads=1))


def _decode(
    entries: Iterable[FileEntry], image_size: int, labels: Mapping[str, Labels], threads: int | None = None
) -> Iterator[Picture]:
    return decode_entries(entries, image_size, partial(_finish, labels), threads)


def _finish(labels: Mapping[str, Labels], name: str, pixels: np.ndarray | None, reason: str) -> Picture:
    traits = None if pixels is None else measure_traits(pixels)
    return Picture(name, labels[name].label, pixels, labels[name].official, reason, traits)
