"""Write docs/claims.md, what the notes state and how each statement is judged: `make claims`.

The page is rendered from the claims that the report judges, so it cannot say anything else than they do.
"""

from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fitgap import lifecycle
from fitgap.claims import declare
from fitgap.claims.choices import AS_STATED, CHOICES
from fitgap.claims.claim import TOPICS, Claim
from fitgap.claims.overfitting import STEADINESS_MARGIN
from fitgap.definitions.families import family_of
from fitgap.definitions.measurements import MEASUREMENTS, UNITS
from fitgap.params.reading import load_params

DOCS = Path(__file__).parent
PAGE = DOCS / "claims.md"
MOST_NAMED = 4  # models; a longer list is shortened to its families
SIDES = {
    "above": " Values above 0 speak for the statement.",
    "below": " Values below 0 speak for the statement.",
    "either": "",
}


def main() -> None:
    """Write the page for the claims that params.yaml allows."""
    PAGE.write_text(render(declare(load_params())), encoding="utf-8")
    print(f"Written: {PAGE.relative_to(Path.cwd())}")


def render(claims: Iterable[Claim]) -> str:
    """Return the whole page as Markdown, with one section per topic."""
    claims = list(claims)
    sections = [(title, [claim for claim in claims if claim.topic == topic]) for topic, title in TOPICS.items()]
    environment = Environment(
        loader=FileSystemLoader(DOCS), undefined=StrictUndefined, trim_blocks=True, autoescape=False
    )
    template = environment.get_template("claims.md.j2")
    page = template.render(
        sections=[(title, own) for title, own in sections if own],
        margins=describe_margins(),
        choices=CHOICES,
        target=f"{AS_STATED.target:.0%}",
        models_of=describe_models,
        sides=SIDES,
    )
    return page.rstrip("\n") + "\n"


def describe_margins() -> str:
    """Return a sentence on the margins of the measurements."""
    measured = [measurement for measurement in MEASUREMENTS.values() if measurement.margin is not None]
    margins = [f"{each.title} {UNITS[each.unit][0] * each.margin:g}{UNITS[each.unit][1]}" for each in measured]
    return (
        f"Margins, fixed before the shipped seeds were run: {', '.join(margins)}; jumps of the validation loss "
        f"{STEADINESS_MARGIN:g} nats. The norm of the weights has none. "
        "The calibration error has the margin of the test accuracy; this was fixed later, but before any calibration "
        "error of the shipped seeds was computed."
    )


def describe_models(claim: Claim) -> str:
    """Return the models that a claim compares as Markdown; of many models, name the families only."""
    if len(claim.models) <= MOST_NAMED:
        return ", ".join(f"`{name}`" for name in claim.models)
    families = " and ".join(f"`{name}`" for name in dict.fromkeys(family_of(name) for name in claim.models))
    return f"`{claim.needed[0]}`, all other variants of {families}" if claim.needed else f"all variants of {families}"


if __name__ == "__main__":
    lifecycle.run(main)
