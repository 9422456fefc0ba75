"""Test the sheet of what the best model looks at: which answers it explains, and how it paints them."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
import synthetic_results as synthetic
from PIL import Image

from fitgap import claims
from fitgap.report import page
from fitgap.report.mistakes import EACH, Sheet, choose_questions, draw_sheet, paint


@pytest.fixture(scope="module")
def study():
    return synthetic.study()


@pytest.fixture(scope="module")
def questions(study):
    return choose_questions(study, study.best)


def render(study, sheet):
    content = page.measure(study, claims.judge_all(study), {})
    return page.render_html(content, sheet)


def test_questions_are_about_sure_answers_right_and_wrong(study, questions):
    probabilities, labels = study.results[study.best].test_probabilities[0], study.prepared.part("test")[1]
    assert [one.is_right for one in questions] == [False] * EACH + [True] * EACH
    for one in questions:
        given = probabilities[one.position]
        assert one.answer == given.argmax() != one.rival and one.probability == given.max()
        assert one.is_right == (one.answer == labels[one.position])
        assert one.is_right or one.rival == labels[one.position]
    assert len({one.answer for one in questions[EACH:]}) == EACH  # of as many classes


def test_blue_is_for_orange_is_against_and_the_rest_a_faint_image():
    image = np.zeros((4, 4, 3), np.uint8)
    image[3] = 255
    attributions = np.zeros((4, 4))
    attributions[0, 0], attributions[0, 1] = 1.0, -1.0
    painted = paint(image, attributions)
    assert painted[0, 0].argmax() == 2 and painted[0, 1].argmax() == 0
    assert painted[2, 2].tolist() == [255] * 3 and 150 < painted[3, 3, 0] < 250
    assert (paint(image, np.zeros((4, 4)))[0] == 255).all()


def test_sheet_shows_images_and_maps_in_words(study, questions):
    random = np.random.default_rng(0)
    sheet = draw_sheet(study, questions, random.normal(size=(len(questions), 32, 32)).astype(np.float32))
    html = render(study, sheet)
    section = html[html.index("What it looks at") :]
    assert section.count('alt="Map of the pixels') == section.count('alt="Test image taken for') == 2 * EACH
    assert section.index("Sure and wrong") < section.index("Sure and right")
    for one in sheet.explanations:
        assert one.image in section and one.map in section
        assert Image.open(io.BytesIO(base64.b64decode(one.map.partition(",")[2]))).size == (32, 32)
    assert len(html.encode()) < 3_000_000


def test_without_weights_a_sentence_says_why(study):
    few = replace(study, results={name: study.results[name] for name in ("scratch@dropout", study.best)})
    html = render(few, Sheet(reason="its weights are not in models/"))
    assert "There are no maps of the pixels that decide: its weights are not in models/." in html
