"""Test the forest plot: order of the rows, orientation, units, shapes of the verdicts, clipping, odd texts."""

import re

import pytest

from fitgap.inference.verdicts import VERDICTS
from fitgap.report.figures import forest

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


def claim(**changes):
    return CLAIM | changes


def rows(text):
    """Return the list items with a link to a claim."""
    return re.findall(r'<li class="[^"]*"><a href="#claim-.*?</li>', text)


def test_values_are_in_margins_and_oriented_so_that_right_speaks_for_the_statement():
    row = forest.standardise(claim())
    assert (row.low, row.value, row.high) == pytest.approx((1, 2, 3))
    row = forest.standardise(claim(direction="below"))
    assert (row.low, row.value, row.high) == pytest.approx((-3, -2, -1))


def test_without_a_margin_the_unit_is_half_the_interval():
    row = forest.standardise(claim(margin=None, estimate=5.0, ci_low=3.0, ci_high=7.0))
    assert (row.low, row.value, row.high) == pytest.approx((1.5, 2.5, 3.5))
    assert "†" in forest.draw_forest([claim(margin=None)])
    assert "†" not in forest.draw_forest([claim()])


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_an_interval_without_width_has_a_place(value):
    row = forest.standardise(claim(margin=None, estimate=value, ci_low=value, ci_high=value))
    assert row.low == row.value == row.high == (value and -1)


def test_rows_stand_in_the_order_of_the_claims_under_their_topics():
    found = [claim(id="a"), claim(id="b"), claim(id="c", topic="dropout"), claim(id="d", topic="transfer")]
    text = forest.draw_forest(found)
    assert re.findall(r"#claim-(\w)", text) == ["a", "b", "c", "d"]
    headings = re.findall(r'<p class="topic"[^>]*>(.*?)</p>', text)
    assert headings == ["Overall results of the notes", "Dropout", "Transfer learning with VGG16"]


@pytest.mark.parametrize("verdict", forest.SHAPES)
def test_each_verdict_has_a_shape_a_colour_and_a_text(verdict):
    text = forest.draw_forest([claim(verdict=verdict)])
    (row,) = rows(text)
    name = verdict.replace(" ", "-")
    assert row.startswith(f'<li class="{name}">')
    assert f'<use href="#mark-{name}"' in row and text.count(f'<g id="mark-{name}">') == 1
    assert f'aria-label="{verdict}: +0.200 nats (95% interval +0.100 to +0.300)"' in row


def test_shapes_differ_without_colour():
    assert len(set(forest.SHAPES.values())) == len(forest.SHAPES) == len(VERDICTS) - 1


def test_intervals_beyond_the_axis_end_in_an_arrow_head():
    inside, beyond = claim(), claim(ci_high=5.0)
    (row,) = rows(forest.draw_forest([inside]))
    assert "beyond" not in row
    (row,) = rows(forest.draw_forest([beyond]))
    assert f'<use href="#mark-beyond-high" x="{100 - forest.EDGE}' in row and "beyond-low" not in row
    (row,) = rows(forest.draw_forest([beyond | {"direction": "below"}]))
    assert f'<use href="#mark-beyond-low" x="{forest.EDGE}' in row and "beyond-high" not in row
    assert max(float(place) for place in re.findall(r'x\d?="([\d.]+)%"', row)) <= 100


def test_axis_shows_all_estimates_up_to_its_widest():
    def limit(*estimates):
        return forest.axis_limit([forest.standardise(claim(estimate=number)) for number in estimates])

    assert limit() == limit(0.01) == forest.NARROWEST
    assert limit(0.01, -0.45) == 5
    assert limit(40.0) == forest.WIDEST


def test_claims_without_an_estimate_are_listed_with_their_verdict():
    missing = dict.fromkeys(("estimate", "ci_low", "ci_high", "margin"))
    (row,) = rows(forest.draw_forest([claim(verdict="not applicable", **missing)]))
    assert "<svg" not in row and "not applicable</span>" in row


def test_one_repetition_has_a_shape_without_an_interval():
    (row,) = rows(forest.draw_forest([claim(verdict="inconclusive", ci_low=None, ci_high=None)]))
    assert "mark-inconclusive" in row and "no interval from so few repetitions" in row


def test_legend_counts_the_verdicts():
    text = forest.draw_legend([claim(), claim(), claim(verdict="no relevant difference")])
    assert re.findall(r"(\d [a-z ]+)</li>", text) == ["2 supported", "1 no relevant difference"]


def test_odd_statements_are_shown_and_not_run():
    assert "&lt;b&gt;" in forest.draw_forest([claim(statement="<b>{0}%s</b>")])
