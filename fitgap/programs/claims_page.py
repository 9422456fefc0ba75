"""Write docs/claims.md, what the notes state and how each statement is judged: `python -m fitgap.programs.claims_page`.

The page is rendered from the claims that the report judges, so it cannot say anything else than they do.
"""

from collections.abc import Iterable
from pathlib import Path

from fitgap import lifecycle
from fitgap.claims import declare
from fitgap.claims.claim import TOPICS, Claim
from fitgap.claims.overfitting import STEADINESS_MARGIN
from fitgap.definitions.families import family_of
from fitgap.definitions.measurements import MEASUREMENTS, UNITS
from fitgap.params.reading import load_params

PAGE = Path("docs/claims.md")
MOST_NAMED = 4  # models; a longer list is shortened to its families
SIDES = {
    "above": " Values above 0 speak for the statement.",
    "below": " Values below 0 speak for the statement.",
}
INTRODUCTION = """\
# What the notes state, and how it is judged

<!-- Written by `python -m fitgap.programs.claims_page` from fitgap/claims/. Edit the claims, not this page. -->

*The notes* are a student's notes on convolutional networks: remedies against overfitting, and transfer learning with
VGG16. They are not in this repository. This page says what they state, in our own words. Wherever the code, the
report or another page says "the notes", this page is meant.

## What the notes explain

These are explanations and definitions; fitgap follows them and does not judge them.

- All remedies are preventives; none is a cure.
- *Regularisers* add a penalty on the weights to the loss: L1, L2, or both (ElasticNet).
- *Dropout* leaves out some units during training, typically a share of 0.2 to 0.5, and none at test time. Keras uses
  inverted dropout: it scales up during training instead of scaling down at test time. The expectation is the same.
- *Batch normalisation* stands between a layer and its activation: `Dense` or `Conv2D`, then `BatchNormalization`,
  then `Activation`. Its motive is internal covariate shift. It has some regularising effect of its own. In the notes'
  own experiment it brought the level of the loss from about 1.75 to about 1.6.
- A pre-trained VGG16 can be used in three ways. *Way 1*: unchanged, with its own classifier. *Way 2*: the
  convolutional base stays frozen and a new classifier is trained, which can learn new classes; this is the usual way.
  *Way 3*: some upper layers, or all, are unfrozen and trained together with the classifier; this is for special data.
- Three arguments of Keras's `VGG16` matter: `weights` (`None` or ImageNet), `input_shape` and `include_top`.

## How a statement becomes a verdict

Each statement below is a claim: it names the models that are compared, the statistic, and the rule. The code fixes
all three before any result is seen. `scratch@dropout` is the model of stage `scratch` with the variant `dropout`. The
*gap* is validation loss minus training loss, both in inference mode and without penalties. A difference is taken
between the first model and each of the others, seed by seed. A seed is a *repetition*: it draws its own training and
validation images.

- *supported*: the rule's intervals lie on the stated side of 0.
- *contradicted*: an interval lies on the other side of 0.
- *no relevant difference*: neither, and two one-sided tests at 5% show that the difference (of one comparison, if there
  are several) is smaller than its margin.
- *inconclusive*: none of these, or fewer than three seeds: too uncertain. The report then estimates how many
  repetitions would settle it.
- *not applicable*: params.yaml does not train a model that the claim needs, or gives it other remedies than the
  statement is about.

{margins}

Beside each estimate stands the share of repetitions that favour the statement, P(A > B), with its 95% interval
(Bouthillier et al. 2021, arXiv:2103.03098). Statistics over several comparisons, and their sources, are explained in
[fitgap/inference/verdicts.py](../fitgap/inference/verdicts.py) and
[fitgap/inference/estimates.py](../fitgap/inference/estimates.py). The verdicts of a run stand in
`reports/report.html` and `reports/claims.json`. The statements on fine-tuning depend on `finetune.depths`; the page
shows those of the committed params.yaml.
"""


def main() -> None:
    """Write the page for the claims that params.yaml allows."""
    PAGE.write_text(render(declare(load_params())), encoding="utf-8")
    print(f"Written: {PAGE}")


def render(claims: Iterable[Claim]) -> str:
    """Return the whole page as Markdown, with one section per topic."""
    found = list(claims)
    sections = {title: [claim for claim in found if claim.topic == topic] for topic, title in TOPICS.items()}
    introduction = INTRODUCTION.replace("{margins}", describe_margins())
    return "\n".join([introduction, *(_section(title, among) for title, among in sections.items() if among)])


def describe_margins() -> str:
    """Return a sentence on the margins of the measurements."""
    margins = [(one.title, one.margin, one.unit) for one in MEASUREMENTS.values() if one.margin is not None]
    named = [f"{title} {UNITS[unit][0] * margin:g}{UNITS[unit][1]}" for title, margin, unit in margins]
    return (
        f"Margins, fixed before the shipped seeds were run: {', '.join(named)}; jumps of the validation loss "
        f"{STEADINESS_MARGIN:g} nats. The norm of the weights has none. "
        "The calibration error has the margin of the test accuracy; this was fixed later, but before any calibration "
        "error of the shipped seeds was computed."
    )


def _section(heading: str, claims: list[Claim]) -> str:
    return "\n".join([f"## {heading}\n", *(_entry(claim) for claim in claims)])


def _entry(claim: Claim) -> str:
    return (
        f"**{claim.statement}** `{claim.id}`\n\n"
        f"- Models: {_models(claim)}\n"
        f"- Statistic: {claim.statistic}.{SIDES.get(claim.direction, '')}\n"
        f"- Rule: {claim.rule}.\n"
    )


def _models(claim: Claim) -> str:
    """List the models that are compared; of many models, name the families only."""
    if len(claim.models) <= MOST_NAMED:
        return ", ".join(f"`{name}`" for name in claim.models)
    families = " and ".join(f"`{name}`" for name in dict.fromkeys(family_of(name) for name in claim.models))
    return f"`{claim.needed[0]}`, all other variants of {families}" if claim.needed else f"all variants of {families}"


if __name__ == "__main__":
    lifecycle.run(main)
