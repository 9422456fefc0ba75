"""Test the forest plot: order of the rows, orientation, units, shapes of the verdicts, clipping, odd texts."""

import json
import re

import pytest

from fitgap.inference.verdicts import VERDICTS
from fitgap.report import formatting
from fitgap.report.figures import forest
from fitgap.report.rendering import render_template

CLAIM = {
    "id": "one",
    "topic": "overall",
    "statement": "It helps.",
    "direction": "above",
    "unit": "nats",
    "estimate": 0.2,
    "ci_low": 0.1,
    "ci_high": 0.3,
    "margin": 0.1,
    "confidence": 0.95,
    "verdict": "supported",
}


def draw(*changes: dict) -> str:
    claims = [CLAIM | change for change in changes]
    return render_template(
        "forest.html.j2", {"forest": forest.arrange_forest(formatting.by_topic(claims)), "tables": formatting}
    )


def draw_row(**changes) -> str:
    (row,) = re.findall(r'<li class="[^"]*"><a href="#claim-.*?</li>', draw(changes), flags=re.DOTALL)
    return row


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({}, (1, 2, 3)),
        ({"direction": "below"}, (-3, -2, -1)),
        ({"margin": None, "estimate": 5.0, "ci_low": 3.0, "ci_high": 7.0}, (1.5, 2.5, 3.5)),
        ({"margin": None, "estimate": -3.0, "ci_low": -3.0, "ci_high": -3.0}, (-1, -1, -1)),
        ({"margin": None, "estimate": 0.0, "ci_low": 0.0, "ci_high": 0.0}, (0, 0, 0)),
    ],
)
def test_values_are_in_margins_or_half_intervals_and_right_speaks_for_the_statement(changes, places):
    row = forest.standardise(CLAIM | changes)
    assert (row.low, row.value, row.high) == pytest.approx(places)
    assert ("†" in draw(changes)) is (row.claim["margin"] is None)


def test_rows_stand_in_the_order_of_the_claims_under_their_topics():
    text = draw({"id": "a"}, {"id": "b"}, {"id": "c", "topic": "dropout"}, {"id": "d", "topic": "transfer"})
    assert re.findall(r"#claim-(\w)", text) == ["a", "b", "c", "d"]
    headings = re.findall(r'<p class="topic"[^>]*>(.*?)</p>', text)
    assert headings == ["Overall results of the notes", "Dropout", "Transfer learning with VGG16"]


@pytest.mark.parametrize("verdict", [verdict for verdict in VERDICTS if verdict != "not applicable"])
def test_each_verdict_has_a_shape_a_colour_and_a_text(verdict):
    row, name = draw_row(verdict=verdict), verdict.replace(" ", "-")
    assert row.startswith(f'<li class="{name}">') and f'<use href="#mark-{name}"' in row
    assert f'aria-label="{verdict}: +0.200 nats (95% interval +0.100 to +0.300)"' in row
    shapes = dict(re.findall(r'<g id="mark-([\w-]+)">(.*?)</g>', draw({})))
    assert name in shapes and len(set(shapes.values())) == len(shapes)  # distinct without colour


def test_each_verdict_has_a_colour_in_dvcs_plot(repository):
    plot = json.loads((repository / ".dvc/plots/claims.json").read_text())
    scale = plot["spec"]["encoding"]["color"]["scale"]
    assert tuple(scale["domain"]) == VERDICTS
    assert len(set(scale["range"])) == len(VERDICTS)


def test_intervals_beyond_the_axis_end_in_an_arrow_head():
    assert "beyond" not in draw_row()
    row = draw_row(ci_high=5.0)
    assert f'<use href="#mark-beyond-high" x="{100 - forest.EDGE}' in row and "beyond-low" not in row
    row = draw_row(ci_high=5.0, direction="below")
    assert f'<use href="#mark-beyond-low" x="{forest.EDGE}' in row and "beyond-high" not in row


def test_axis_shows_all_estimates_up_to_its_widest():
    limits = [forest.arrange_forest({"": [CLAIM | {"estimate": value}]}).limit for value in (0.01, -0.45, 40.0)]
    assert limits == [forest.NARROWEST, 5, forest.WIDEST]


def test_claims_without_an_estimate_or_an_interval_are_listed():
    missing = dict.fromkeys(("estimate", "ci_low", "ci_high", "margin"))
    row = draw_row(verdict="not applicable", **missing)
    assert "<svg" not in row and "not applicable</span>" in row
    row = draw_row(verdict="inconclusive", ci_low=None, ci_high=None)
    assert "mark-inconclusive" in row and "no interval from so few repetitions" in row


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "0.20 nats higher"),
        ({"estimate": -0.0331}, "0.033 nats lower"),
        ({"estimate": -0.511, "unit": "share"}, "51 points lower"),
        ({"estimate": 123.4, "unit": "epochs"}, "123 epochs higher"),
    ],
)
def test_differences_are_in_words_with_two_digits(changes, words):
    assert f'<span class="estimate">{words}</span>' in draw_row(**changes)


def test_a_clear_difference_that_is_not_relevant_is_hollow():
    assert '<li class="supported small">' in draw_row(ci_low=0.01, estimate=0.02, ci_high=0.03)
    assert "small" not in draw_row() + draw_row(ci_low=-0.03, estimate=0.02, ci_high=0.03, verdict="inconclusive")


def test_legend_counts_the_verdicts():
    text = draw({}, {}, {"verdict": "no relevant difference"})
    assert re.findall(r"(\d [a-z ]+)</li>", text) == ["2 supported", "1 no relevant difference"]
