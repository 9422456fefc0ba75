"""Settings are tried inside the pool alone."""

import numpy as np
import synthetic_results as synthetic

from bench import sizing


def test_only_images_of_the_pool_are_used():
    images = synthetic.prepared()
    (inner, rows), pool = sizing.inside_the_pool(images), images.rows["pool"]
    assert sorted(rows) == list(range(pool.start, pool.stop))
    assert np.array_equal(inner.images, images.images[rows])


def test_inner_parts_are_disjoint_and_have_all_classes():
    inner, _ = sizing.inside_the_pool(synthetic.prepared())
    drawn, tested = (inner.part(name) for name in ("pool", "test"))
    assert not {image.tobytes() for image in drawn[0]} & {image.tobytes() for image in tested[0]}
    assert set(np.unique(drawn[1])) == set(np.unique(tested[1])) == set(range(len(inner.class_names)))


def test_seeds_are_not_the_shipped_ones():
    assert not set(sizing.SEEDS) & set(synthetic.params().seeds)
