"""The families of models, in one table: what each is trained on, and which params it follows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Models of one kind, such as the classifiers on frozen features.

    Attributes
    ----------
    name : str
        Of the DVC stage, its results folder and its section of params.yaml.
    heading : str
        Its title in the report; `{highrate}` and `{scratch}` stand for learning rates.
    network : str
        The section of params.yaml that sets its layers, epochs and batch size.
    takes_variant_rate : bool
        Whether a variant's own learning rate replaces that of the section.
    is_offered : bool
        Whether its models can be chosen as the best; `highrate` asks a question and offers no model.
    attached : str
        Which of its models are attached to MLflow runs: "all", "best" (each holds VGG16, 59 MB) or "none".
    """

    name: str
    heading: str
    network: str = ""
    takes_variant_rate: bool = False
    is_offered: bool = True
    attached: str = "none"


FAMILIES = {
    family.name: family
    for family in (
        Family("scratch", "From scratch: the notes' network", "scratch", takes_variant_rate=True, attached="all"),
        Family(
            "highrate",
            "The same at a learning rate of {highrate:g} instead of {scratch:g}",
            "scratch",
            is_offered=False,
        ),
        Family("head", "Way 2: a new classifier on the frozen base", "head", takes_variant_rate=True, attached="best"),
        Family("finetune", "Way 3: fine-tuning from a depth on", "finetune", attached="best"),
        Family("asis", "Way 1: the unchanged network"),
    )
}
TRAINED = tuple(name for name, family in FAMILIES.items() if family.network)


def family_of(model: str) -> str:
    """Return the family of a model named as in DVC: "scratch" of "scratch@dropout"."""
    return model.partition("@")[0]
