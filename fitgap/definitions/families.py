"""The model families in one table: how each is trained, and which section of params.yaml configures it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """A group of models of one kind, such as classifiers on frozen features."""

    name: str  # of the DVC stage, its results folder and its section of params.yaml
    heading: str  # title in the report; {highrate} is a placeholder for its learning rate
    network: str = ""  # section of params.yaml that sets layers, epochs and batch size; "" if nothing is trained
    takes_variant_rate: bool = False  # whether a variant's learning rate overrides that of the section
    is_offered: bool = True  # whether its models can be the best; those of `highrate` only test a statement
    attached: str = "none"  # which models MLflow's runs have: "all", "best" (each contains VGG16, 59 MB) or "none"


FAMILIES = {
    family.name: family
    for family in (
        Family("scratch", "From scratch: the notes' network", "scratch", takes_variant_rate=True, attached="all"),
        Family("highrate", "The same at a learning rate of {highrate:g}", "scratch", is_offered=False),
        Family("head", "Way 2: a new classifier on the frozen base", "head", takes_variant_rate=True, attached="best"),
        Family("finetune", "Way 3: fine-tuning from a depth on", "finetune", attached="best"),
        Family("asis", "Way 1: the unchanged network"),
    )
}
TRAINED = tuple(name for name, family in FAMILIES.items() if family.network)


def family_of(model: str) -> str:
    """Return the family of a DVC stage name: "scratch" for "scratch@dropout"."""
    return model.partition("@")[0]
