"""Test the printed characters: reproducible, balanced over classes, and legible."""

import matplotlib
import numpy as np
import pytest
from PIL import ImageFont

from fitgap.backbone import glyphs
from fitgap.system.errors import UserError


def test_the_same_seed_renders_the_same_images_and_another_seed_others():
    images, labels = glyphs.render(40, 32, seed=3)
    again, labels_again = glyphs.render(40, 32, seed=3)
    other, labels_other = glyphs.render(40, 32, seed=4)
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(labels, labels_again)
    assert (images != other).any()
    assert (labels != labels_other).any()


@pytest.mark.parametrize("count", [1, 100, 720])
def test_classes_are_balanced_to_within_one_and_shuffled(count):
    _, labels = glyphs.render(count, 32, seed=0)
    counts = np.bincount(labels, minlength=len(glyphs.CLASS_NAMES))
    assert labels.dtype == np.int64
    assert counts.sum() == count
    assert counts.max() - counts.min() <= 1
    if count >= 36:
        assert (np.diff(labels) < 0).sum() > count // 4  # sorted or cyclic labels have far fewer falls


@pytest.mark.parametrize("image_size", [32, 224])
def test_images_have_the_size_asked_for_three_equal_channels_and_light_strokes_on_black(image_size):
    images, _ = glyphs.render(72, image_size, seed=1)
    assert images.shape == (72, image_size, image_size, 3)
    assert images.dtype == np.uint8
    assert (images == images[..., :1]).all()
    assert (images.max(axis=(1, 2, 3)) > 100).all()
    assert np.median(images) < 50


def test_images_of_one_class_resemble_each_other_more_than_those_of_other_classes():
    """Nearest class mean, far from a good classifier, must do far better than 1 in 36."""
    images, labels = glyphs.render(1440, 32, seed=5)
    unseen, truth = glyphs.render(360, 32, seed=6)
    flat, unseen = images[..., 0].reshape(1440, -1).astype(float), unseen[..., 0].reshape(360, -1)
    means = np.stack([flat[labels == label].mean(axis=0) for label in range(36)])
    nearest = ((unseen[:, None] - means[None]) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == truth).mean() > 0.5


def test_fonts_are_sorted_text_fonts_that_hold_every_character():
    paths = glyphs.font_paths()
    assert paths == sorted(paths)
    assert len(paths) >= 15
    for path in paths:
        font = ImageFont.truetype(path, 24)
        shapes = {bytes(font.getmask(character)) for character in glyphs.CLASS_NAMES}
        assert len(shapes) == 36, path.name  # a missing character would be drawn as the same box as another
        assert bytes(font.getmask("\uffff")) not in shapes, path.name


def test_missing_fonts_are_told_to_the_user(monkeypatch, tmp_path):
    monkeypatch.setattr(matplotlib, "get_data_path", lambda: str(tmp_path))
    with pytest.raises(UserError, match="matplotlib"):
        glyphs.render(1, 32, seed=0)
