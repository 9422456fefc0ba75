"""Test report.html and report.md: complete, self-contained, accessible in structure, and safe with odd names."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic

from fitgap import claims
from fitgap.claims.choices import CHOICES
from fitgap.claims.study import Study
from fitgap.params.reading import load_params
from fitgap.report import formatting, page
from fitgap.report.rendering import COLOURS, SIGNS

ABOUT = {"Python": "3.11", "git revision": "abc123"}
SECTIONS = ["answer", "curves", "trade-off-section", "learning-curve", "claims", "models", "calibration", "transfer"]
SECTIONS += ["mistakes", "ran"]


def render(study, kind=page.render_html, facts=None):
    return kind(page.measure(study, claims.judge_all(study), ABOUT, facts))


@pytest.fixture(scope="module")
def study():
    return synthetic.study()


def smaller(study):
    """Return the study with one model of each family, and dropout; figures of the others take their time."""
    names = ("scratch@baseline", "scratch@dropout", "head@baseline", "finetune@block5_conv3", "asis")
    return replace(study, results={name: study.results[name] for name in names})


@pytest.fixture(scope="module")
def small(study):
    return smaller(study)


@pytest.fixture(scope="module")
def html(study):
    return render(study)


class Outline(HTMLParser):
    """Collects tags, ids and headings."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.ids, self.headings, self.references = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note one tag."""
        attributes = dict(attrs)
        self.tags.append(tag)
        self.attributes.append((tag, attributes))
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.references += (attributes.get("aria-labelledby") or "").split()
        self.references += re.findall(
            r"(?:url\()?#([\w-]+)", attributes.get("href") or attributes.get("clip-path") or ""
        )


def test_one_small_file_that_asks_for_nothing(html):
    places = [html.index(f'<h2 id="{name}">') for name in SECTIONS]
    assert places == sorted(places)
    assert len(html.encode()) < 3_000_000
    outline = Outline(html)
    assert not {"iframe", "object"} & set(outline.tags)
    asked = [a.get("src") or a.get("href") for t, a in outline.attributes if t in {"img", "link", "a", "use", "image"}]
    assert all(address.startswith(("#", "data:")) for address in asked)
    assert not re.search(r"url\((?!#)", html)
    assert "@import" not in html


def test_page_allows_no_script_but_its_own(html):
    scripts = re.findall("<script>(.*?)</script>", html, flags=re.DOTALL)
    assert len(scripts) == html.count("<script") == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = re.search('http-equiv="Content-Security-Policy" content="(.*?)"', html)[1].split("; ")
    assert policy[0] == "default-src 'none'" and f"script-src 'sha256-{digest}'" in policy
    assert not re.search(r" on\w+=", html)


def test_curves_carry_their_values(study, html):
    panels = [a["data-curves"] for tag, a in Outline(html).attributes if "data-curves" in a]
    found = {values["title"]: values for values in map(json.loads, panels)}
    assert len(found) == len(panels) == 2 * html.count('-title">loss curves of ')
    values, history = found["loss curves of scratch@dropout"], study.history("scratch@dropout")
    mean = history.groupby("epoch")[["train_loss", "val_loss"]].mean()
    assert values["epochs"] == mean.index.tolist() and values["last"] == values["epochs"][-1]
    lines = dict(values["lines"])
    assert list(lines) == ["training", "validation", "gap"]
    np.testing.assert_allclose(lines["validation"], mean["val_loss"], atol=6e-5)
    np.testing.assert_allclose(lines["gap"], mean["val_loss"] - mean["train_loss"], atol=6e-5)
    assert found["accuracy curves of scratch@dropout"]["unit"] == "%"


def test_headings_tables_figures_and_references_can_be_followed(html):
    outline = Outline(html)
    assert len(outline.ids) == len(set(outline.ids)) and set(outline.references) <= set(outline.ids)
    assert outline.headings[0] == 1 and outline.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(outline.headings))
    assert html.count("<table") == html.count("<caption")
    assert all(a.get("scope") for tag, a in outline.attributes if tag == "th")
    assert all(a.get("role") == "img" or a.get("aria-hidden") for tag, a in outline.attributes if tag == "svg")
    assert all(a.get("alt") for tag, a in outline.attributes if tag == "img")


def test_page_shows_the_verdicts_of_the_claims(study, html):
    for claim in claims.judge_all(study):
        row = html[html.index(f'id="claim-{claim["id"]}"') :]
        assert f"</span> {claim['verdict']}</span>" in row[: row.index("</tr>")]
    markdown = render(study, page.render_markdown)
    for verdict in ("supported", "contradicted", "no relevant difference", "inconclusive"):
        shown = len(re.findall(rf"^\| . {verdict}[ ,]", markdown, flags=re.MULTILINE))
        assert shown == sum(c["verdict"] == verdict for c in claims.judge_all(study))


def test_choices_are_a_table_of_verdicts_with_words(study, html):
    judged = [claim for claim in claims.judge_all(study) if claim["choices"] and claim["kind"] == "finding"]
    table = html[html.index('<table class="choices">') :]
    table = table[: table.index("</table>")]
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', table)
    assert [statement for statement, _ in rows] == [claim["statement"] for claim in judged]
    for claim, (_, cells) in zip(judged, rows, strict=True):
        said = re.findall('<span class="skip">(.*?)</span>', cells)
        assert said == [claim["verdict"], *(choice["verdict"] for choice in claim["choices"])]
        assert cells.count("<td") == len(CHOICES) + 1
    markdown = render(study, page.render_markdown)
    for claim in judged:
        line = next(line for line in markdown.splitlines() if line.startswith(f"| {claim['statement']} |"))
        assert line.split(" | ")[1] == SIGNS[claim["verdict"]] and line.count("|") == len(CHOICES) + 3


def test_list_of_verdicts_says_what_turns_them(study, html):
    for claim in claims.judge_all(study):
        row = html[html.index(f'id="claim-{claim["id"]}"') :]
        row = row[: row.index("</tr>")]
        if claim["turns"]:
            assert f">{claim['turns']}<" in row
        else:
            assert (">robust<" in row) is (claim["robust"] is True and claim["verdict"] != "inconclusive")
    assert any(claim["turns"] for claim in claims.judge_all(study))


def test_the_comparison_that_decides_is_named(study, html):
    claim = next(one for one in claims.judge_all(study) if one["id"] == "batchnorm_highest_performance")
    row = html[html.index('id="claim-batchnorm_highest_performance"') :]
    row = row[: row.index("</tr>")]
    assert f"decided by one of {len(claim['comparisons'])} comparisons: {claim['compared']}" in row
    assert row.count("<strong>") == 1 and f"<strong>{claim['compared']}: " in row


def test_checks_stand_apart_and_in_no_count(study, html):
    judged = claims.judge_all(study)
    checks = [claim for claim in judged if claim["kind"] == "check"]
    assert {claim["id"] for claim in checks} == {
        *(f"{name}_smaller_weights" for name in ("l1", "l2", "elasticnet")),
        "way1_names_source_classes_only",
    }
    content = page.measure(study, judged, ABOUT)
    assert sum(content["tally"].values()) == len(judged) - len(checks)
    table = html[html.index("<h4>Checks of the mechanism") :]
    forest = html[html.index('<figure class="forest">') : html.index('<h2 id="claims">')]
    for check in checks:
        assert f'id="claim-{check["id"]}"' in table and f"#claim-{check['id']}" not in forest


def test_false_verdicts_to_expect_are_those_of_the_findings_judged():
    said = formatting.by_chance({"supported": 12, "inconclusive": 8, "not applicable": 6})
    assert said.startswith("20 statements are judged at once.") and "1.0 of 20 would be" in said


def test_learning_curve_has_figure_sentences_and_table(study, html):
    section = html[html.index('<h2 id="learning-curve">') :]
    markdown = render(study, page.render_markdown)
    assert 'id="learning-curve-title"' in section
    assert "](learning_curve.png)" in markdown
    for text in (section, markdown):
        assert "Training from scratch catches up at about" in text
    assert "| 400 | " in markdown and '<th scope="row">400</th>' in section


def test_strengths_stand_beside_names_and_panels_and_trials_in_a_table(study):
    text, markdown = (render(synthetic.with_trials(study), kind) for kind in (page.render_html, page.render_markdown))
    assert '<th scope="row">scratch@dropout<span class="muted">dropout 0.3</span></th>' in text
    assert "<strong>scratch@dropout</strong> <span>dropout 0.3, final gap" in text
    assert "| scratch@dropout (dropout 0.3) |" in markdown
    for shown in (text, markdown):
        section = shown[shown.index("Trials" if shown is markdown else 'id="trials"') :]
        assert "dropout 0.3, learning rate 0.002" in section and "(arXiv:1909.03004)" not in section
        assert "Dodge et al. 2019" in section and "0.300 (3 draws)" in section


def test_without_trials_one_sentence_says_so(small):
    bare = {name: result for name, result in small.results.items() if name != "scratch@dropout"}
    for kind in (page.render_html, page.render_markdown):
        text = render(replace(small, results=bare), kind)
        assert "Nothing was tried: params.yaml has a single value for every key." in text and "Dodge" not in text


@pytest.mark.parametrize(("seeds", "is_first_look"), [(9, True), (10, False)])
def test_few_repetitions_are_a_first_look_that_says_what_it_cannot_decide(small, repository, seeds, is_first_look):
    more = replace(small, params=small.params.model_copy(update={"seeds": list(range(seeds))}))
    claim = claims.judge_all(small)[0] | {"verdict": "inconclusive"}
    undecided = [claim | {"statement": f"Statement {number}."} for number in range(8)]
    for kind in (page.render_html, page.render_markdown):
        beginning = kind(page.measure(more, undecided, ABOUT)).split("By validation")[0]
        assert (
            "A first look: 9 repetitions. It cannot decide: Statement 0; Statement 1; " in beginning
        ) is is_first_look
        assert ("Statement 5; and 2 more. " in beginning) is is_first_look
    assert len(load_params(repository / "params.yaml").seeds) == 20  # as the text says


def test_on_own_pictures_the_answer_comes_before_what_it_cannot_decide(small):
    params = small.params.model_copy(update={"data": small.params.data.model_copy(update={"source": "directory"})})
    for kind in (page.render_html, page.render_markdown):
        answer, undecided = render(replace(small, params=params), kind).split("A first look: ")
        assert "By validation, the model to use is" in answer and "more seeds, or more MINUTES." in undecided


def test_without_a_learning_curve_one_sentence_says_so(small):
    for kind in (page.render_html, page.render_markdown):
        text = render(replace(small, curve={}), kind)
        assert "There is no learning curve: learning_curve.sizes is empty, or has no results." in text
        assert "learning-curve-title" not in text and "learning_curve.png" not in text


def test_markdown_tables_are_whole(study):
    lines = render(study, page.render_markdown).splitlines()
    for above, line in pairwise(lines):
        if above.startswith("|") and line.startswith("|"):
            assert above.count("|") == line.count("|")


def test_odd_class_names_are_shown_and_not_run():
    names = ["<script>alert(1)</script>", "a|b", "&amp;", "**bold**", "$x$", "ünï", "'\"", "long " * 30, "8", "9"]
    study = smaller(synthetic.study(data=synthetic.prepared(names)))
    text = render(study)
    assert text.count("<script") == 1 and "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<script" not in render(study, page.render_markdown)


def test_what_became_of_the_best_model_is_told(small, html):
    assert "to take away" not in html
    facts = {"why": "**a<b** holds it.", "address": "models:/fitgap-x@champion", "version": "3"}
    for kind in (page.render_html, page.render_markdown):
        text = render(small, kind, facts)
        assert "models:/fitgap-x@champion" in text and "version 3" in text and "a&lt;b" in text
    alone = render(small, page.render_markdown, {"why": "No model was registered."})
    assert "No model was registered." in alone and "models:/" not in alone


def test_trainings_at_the_higher_rate_have_curves_but_no_place_among_the_offers(study, html):
    assert f"The same at a learning rate of {study.params.highrate.learning_rate:g}" in html
    assert 'id="highrate-loss-0-title"' in html
    for way in ("scratch", "borrowed"):
        picture = html[html.index(f'id="trade-off-{way}-title"') :]
        picture = picture[: picture.index("</svg>")]
        assert "highrate" not in picture and ("scratch@dropout" in picture) is (way == "scratch")


def test_many_classes_give_lists_instead_of_a_matrix():
    text = render(smaller(synthetic.study(data=synthetic.prepared([f"class {i}" for i in range(40)], images=640))))
    assert "confusion-caption" not in text
    assert "the 15 worst of 40" in text


def test_random_weights_silence_every_word_on_transfer():
    text = render(smaller(synthetic.study(synthetic.params(**{"backbone.weights": "none"}))))
    assert "Nothing is said of transfer here" in text
    assert "blocks-title" not in text
    assert "There is no learning curve: backbone.weights is none" in text and "learning-curve-title" not in text


def test_a_diverged_model_is_named_and_harms_nothing(small):
    broken = small.results["scratch@dropout"]
    history = broken.history.copy()
    history.loc[history["epoch"] > 3, ["train_loss", "val_loss"]] = np.nan
    results = small.results | {broken.name: replace(diverge(broken), history=history)}
    text = render(replace(small, results=results))
    assert "<strong>Failed:</strong> scratch@dropout" in text
    shown = text[: text.index("<script>")]
    assert "NaN" not in shown and ">nan" not in shown and "null" in shown


def diverge(result):
    return replace(
        result, record=replace(result.record, seeds=[{**s, "val_loss_last": None} for s in result.record.seeds])
    )


def test_everything_failed_still_gives_a_page(small):
    failed = replace(small, results={name: diverge(result) for name, result in small.results.items()})
    assert "No network trained from scratch has results" in render(failed)
    assert render(failed, page.render_markdown)


def test_one_seed_no_times_few_models():
    single = synthetic.study(seeds=[3])
    for names, missing in ((("scratch@baseline", "asis"), "scratch@dropout"), (("head@l1",), "scratch@baseline")):
        few = [single.results[name] for name in names]
        assert f"<strong>No results:</strong> {missing}" in render(Study.gather(single.params, few, single.prepared))


def test_colours_have_the_contrast_that_wcag_asks_for():
    for scheme in (0, 1):
        paper = COLOURS["paper"][scheme]
        for name in ("ink", "muted"):
            assert contrast(COLOURS[name][scheme], paper) >= 4.5
        for name in ("training", "validation", "scratch", "head", "finetune", "asis", "gap"):
            assert contrast(COLOURS[name][scheme], paper) >= 3


def contrast(one, other):
    """WCAG 2.2, contrast ratio of relative luminances."""
    lights = sorted(luminance(colour) for colour in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour):
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_files_are_the_same_bytes_every_time(small, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        page.write_report(tmp_path / name, small, claims.judge_all(small), None)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    assert (tmp_path / "one/learning_curve.png").read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv(tmp_path / "one/claims.csv")
    assert table["topic"].tolist() == [claim["topic"] for claim in claims.judge_all(small)]
    assert (
        table["robust"].notna().any()
        and table["margin"].notna().any()
        and table["win_rate"].dropna().between(0, 1).all()
    )
