"""Write docs/performance.md from the measurements."""

from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench import arithmetic, preparing
from bench.extraction import CONSTANTS
from bench.kernels import OF_UPDATES
from bench.notebook import CONVOLUTIONS, DEPTH
from bench.pipeline import MANY
from bench.scheduling import PLACES
from bench.side_by_side import extremes, medians, ratio

FOLDER, PAGE = Path(__file__).parent, Path("docs/performance.md")
OURS = "fitgap"


def write(found: dict[str, Any]) -> None:
    """Write the page from the content of bench/measured.json."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    products = fastest_products(found["extraction"])
    text = environment.get_template("performance.md.j2").render(
        rounds=found["rounds"],
        short=_rounds(found["extraction"][0]["measured"], found["training"]["measured"]),
        apart=found["apart"],
        machine=found["machine"],
        extraction=[extraction(part) for part in found["extraction"]],
        training=training(found["training"]),
        notebook=notebook(found["notebook"]),
        arithmetic=arithmetic.update(DEPTH),
        convolutions=CONVOLUTIONS,
        constants=CONSTANTS,
        products=products,
        pipeline=pipeline(found["pipeline"], products),
        precision=found["precision"],
        preparing=preparing.summarise(found.get("preparing", {})),  # absent from earlier measurements
        pictures=preparing,
        growth=found["growth"],
        scheduling=found["scheduling"],
        places=PLACES,
        cluster=found.get("cluster"),  # absent without Ray, and from earlier measurements
        many=MANY,
    )
    PAGE.write_text(text, encoding="utf-8")


def _rounds(*races: list[dict[str, Any]]) -> str:
    """Return the races' numbers of rounds as text; they differ if sections were measured separately."""
    return " or ".join(map(str, sorted({len({row["round"] for row in race}) for race in races})))


def extraction(part: dict[str, Any]) -> dict[str, Any]:
    """Return one table: images per second, and fitgap's rate relative to each contestant and to matrix products."""
    measured = pd.DataFrame(part["measured"])
    of_products = measured["multiply_adds_per_second"] / part["multiply_adds"]
    measured["images_per_second"] = measured["images_per_second"].fillna(of_products)
    rates = medians(measured, "images_per_second")
    products = [name for name in rates.index if name.endswith("products")]
    peers = [name for name in rates.index if name not in (OURS, CONSTANTS, *products)]
    machine = max(products, key=rates.get)
    fastest = max(peers, key=rates.get)
    return {
        "title": f"{part['size']}x{part['size']}, {part['precision']}",
        "rows": [
            {
                "name": name,
                "rate": rate,
                "ratio": ratio(measured, "images_per_second", OURS, name),
                "extremes": extremes(measured, "images_per_second", OURS, name),
            }
            for name, rate in rates.items()
        ],
        "kernels": part["kernels"],
        "first_batch": medians(measured, "first_batch_seconds"),
        "megabytes": medians(measured, "megabytes"),
        "machine": machine,
        "of_machine": ratio(measured, "images_per_second", OURS, machine),
        "fastest": fastest,
        "of_fastest": ratio(measured, "images_per_second", OURS, fastest),
    }


def training(found: dict[str, Any]) -> dict[str, Any]:
    """Return the rates of training from scratch, and the time of an epoch and an update by kind."""
    measured = pd.DataFrame(found["measured"])
    rates = medians(measured, "images_per_second")
    rows = [
        {"name": name, "rate": rate, "ratio": ratio(measured, "images_per_second", OURS, name)}
        for name, rate in rates.items()
    ]
    epoch, evaluation = medians(measured, "epoch")[OURS], medians(measured, "evaluation")[OURS]
    updates = {name: _with_rest(taken) for name, taken in found["kernels"].items()}
    return {"rows": rows, "epoch": epoch, "evaluation": evaluation, "updates": updates, "most": _most(updates)}


def _with_rest(taken: dict[str, float]) -> dict[str, float]:
    kinds = {kind: taken[kind] for kind in OF_UPDATES}
    return {**kinds, "rest": taken["all"] - sum(kinds.values())}


def _most(updates: dict[str, dict[str, float]]) -> float:
    """Return the largest possible speed-up over PyTorch: its update against our convolutions alone."""
    ours = sum(updates[OURS][kind] for kind in ("forward", "of_inputs", "of_kernels"))
    return sum(updates["PyTorch"].values()) / ours


def notebook(found: dict[str, Any]) -> dict[str, Any]:
    """Return the seconds of both ways and their ratios."""
    heads, few, many = (pd.DataFrame(found[name]) for name in ("heads", "finetune", "finetune_many"))
    return {
        "heads": medians(heads, "seconds"),
        "extraction": medians(heads, "extraction")[OURS],
        "heads_ratio": ratio(heads, "seconds", "notebook", OURS),
        "finetunes": [(images, _finetune(measured)) for images, measured in ((100, few), (2000, many))],
        "largest_difference": found["largest_difference"],
    }


def _finetune(measured: pd.DataFrame) -> dict[str, Any]:
    columns = ("training", "epoch")
    return {
        **{column: medians(measured, column) for column in columns},
        **{f"{column}_ratio": ratio(measured, column, "notebook", OURS) for column in columns},
    }


def fastest_products(parts: list[dict[str, Any]]) -> float:
    """Return the multiply-adds per second of the fastest float32 matrix products."""
    measured = pd.concat(pd.DataFrame(part["measured"]) for part in parts if part["precision"] == "float32")
    return float(medians(measured, "multiply_adds_per_second").max())


def pipeline(found: dict[str, Any], products: float) -> dict[str, Any]:
    """Return the shares of the wall time, and each family's seconds of start-up and work.

    `products` are multiply-adds per second, for the lower bound of the work.
    """
    stages = pd.DataFrame(found["stages"])
    stages["family"] = stages["stage"].str.split("@").str[0]
    together = stages.groupby("family", sort=False)[["start_seconds", "work_seconds"]].sum()
    together["models"] = stages.groupby("family", sort=False).size()
    together["start_each"] = together["start_seconds"] / together["models"]
    together["bound"] = pd.Series(found["multiply_adds"], dtype=float) / products
    rows = together.reset_index().to_dict("records")
    counts = {name: sum(found[name].values()) for name in ("multiply_adds", "without_zeros")}
    return {**found, **counts, "rows": rows, "bound": counts["multiply_adds"] / products}
