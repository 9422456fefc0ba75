"""Decode pictures in threads, one per core, in the order of their files and in bounded memory.

Pillow releases Python's global lock while it decodes and resizes, so that threads are enough. Files of archives are
read in the calling thread, because zipfile and tarfile are not made for several threads; files of folders are read in
the threads.

Memory is bounded whatever the number and the size of the pictures. The calling thread hands over a few pictures per
thread, and files of a few MB per thread; a larger file goes alone. A picture's number of pixels is known only after its
header has been read, so that the threads ask for room themselves (`PixelBudget`).
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np
from PIL import Image

from fitgap.images.decoding import MAX_PIXELS, UnusableError, decode_in_thread, ignore_warnings, readable_formats
from fitgap.images.file_trees import FileEntry, UnreadableError
from fitgap.system.cores import usable_cores

AHEAD = 4  # pictures per thread that are read, decoded or waiting for their turn
FILES = 2**26  # bytes of files at once, 64 MiB, or FILE per thread if that is more
FILE = 2**23
BLOCK = 2**26  # bytes
PHOTOGRAPH = 12_000_000  # pixels at once per thread, if that is more than one picture may have

Made = TypeVar("Made")
Finish = Callable[[str, np.ndarray | None, str], Made]  # from name, pixels or None, and the reason if there are none


class PixelBudget:
    """Room for the pixels of all pictures that are being decoded.

    Pillow needs up to 20 bytes of memory for each pixel, so that a picture of 89 million takes up to 1.8 GB. As many
    threads as there are cores must not do that at once.
    """

    def __init__(self, most: int):
        self.most, self.held, self.is_closed = most, 0, False
        self.changed = threading.Condition()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait until there is room for a picture; one that is larger than the budget is decoded alone."""
        with self.changed:
            self.changed.wait_for(lambda: self.is_closed or not self.held or self.held + pixels <= self.most)
            if self.is_closed:
                raise UnusableError("decoding was stopped")
            self.held += pixels
        try:
            yield
        finally:
            with self.changed:
                self.held -= pixels
                self.changed.notify_all()

    def close(self) -> None:
        """Let nobody wait or begin any more."""
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()


@dataclass(frozen=True)
class Task(Generic[Made]):
    """What a thread does with a file: read it, decode it, and finish the picture."""

    image_size: int
    finish: Finish[Made]
    budget: PixelBudget

    def __call__(self, name: str, read: Callable[[], bytes]) -> Made:
        """Return the picture, or the reason why there is none."""
        try:
            pixels = decode_in_thread(read(), self.image_size, self.budget.hold)
        except (UnusableError, UnreadableError) as error:
            return self.finish(name, None, str(error))
        return self.finish(name, pixels, "")


def decode_entries(
    entries: Iterable[FileEntry], image_size: int, finish: Finish[Made], threads: int | None = None
) -> Generator[Made, None, None]:
    """Yield the pictures of files, in the order of the files.

    Close the iterator to stop early: pictures that no thread has begun are dropped.

    Parameters
    ----------
    image_size : side of the square that pictures are resized to, in pixels
    finish : makes the picture from a name, pixels or None, and the reason if there are none; called in the threads
    threads : one per usable core by default; the pictures do not depend on it
    """
    threads = threads or usable_cores()
    readable_formats()  # registers Pillow's decoders, before there are threads
    budget = PixelBudget(max(MAX_PIXELS, threads * PHOTOGRAPH))
    pool, task = ThreadPoolExecutor(threads, "decode"), Task(image_size, finish, budget)
    with ignore_warnings(), _large_blocks():
        try:
            yield from _in_order(entries, partial(_submit, pool, task), AHEAD * threads, max(FILES, threads * FILE))
        finally:
            budget.close()
            pool.shutdown(cancel_futures=True)


@contextmanager
def _large_blocks() -> Iterator[None]:
    """Let Pillow hold pictures in blocks that the C library gives back to the system when they are freed.

    glibc keeps freed blocks of up to 32 MiB for the thread that freed them. Pillow's blocks have 16 MiB by default, so
    that 16 threads kept 6 GB after pictures of 82 million pixels, of which 2.9 GB were in use at most.
    """
    before = Image.core.get_block_size()
    Image.core.set_block_size(BLOCK)
    try:
        yield
    finally:
        Image.core.set_block_size(before)


def _in_order(
    entries: Iterable[FileEntry], submit: Callable[[FileEntry], Future[Made]], most: int, most_bytes: int
) -> Iterator[Made]:
    """Keep up to `most` files and `most_bytes` of them in the threads; a larger file goes alone."""
    pending: deque[tuple[Future[Made], int]] = deque()
    held = 0
    for entry in entries:
        while pending and (len(pending) >= most or held + entry.size > most_bytes):
            future, size = pending.popleft()
            yield future.result()
            held -= size
        pending.append((submit(entry), entry.size))
        held += entry.size
    while pending:
        yield pending.popleft()[0].result()


def _submit(pool: ThreadPoolExecutor, task: Task[Made], entry: FileEntry) -> Future[Made]:
    if entry.is_independent:
        return pool.submit(task, entry.name, entry.read)
    try:
        data = entry.read()
    except UnreadableError as error:
        return pool.submit(task.finish, entry.name, None, str(error))
    return pool.submit(task, entry.name, lambda: data)
