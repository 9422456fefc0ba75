"""Python's garbage collector, which looks through everything again and again while large packages are imported."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause garbage collection: of what an import makes, next to nothing is garbage."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Pause garbage collection, and let no later one look through what was made until then: it stays anyway."""
    with collection_paused():
        yield
        gc.freeze()
