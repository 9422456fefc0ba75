"""Time by kind of kernel, from the profiles of oneDNN and OpenVINO."""

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from bench import extraction, training
from bench.side_by_side import Pass, apart

BEGIN, END = "fitgap-bench: begin", "fitgap-bench: end"
OF_UPDATES = {  # kind and direction, as oneDNN names them
    "forward": "convolution forward",
    "of_inputs": "convolution backward_data",
    "of_kernels": "convolution backward_weights",
    "dense": "inner_product|matmul|gemm",
    "reorder": "reorder",
    "pooling": "pooling",
}


def shares(weights: Path, size: int, precision: str) -> dict[str, dict[str, float | str]]:
    """Return for fitgap and OpenVINO the share of a pass by kind of kernel, and the main convolution kernel."""
    return {
        "fitgap": apart(of_ours, weights, size, precision),
        "OpenVINO": apart(of_openvino, weights, size, precision),
    }


def of_ours(weights: Path, size: int, precision: str) -> dict[str, float | str]:
    """Profile a pass of fitgap with oneDNN's verbose log."""
    kernels, measured = told(partial(extraction.ours, weights, size, precision))
    # Kernels of parallel batches overlap: each is logged with its full duration.
    return account(kernels, extraction.IMAGES[size] / measured["images_per_second"])


def updates() -> dict[str, dict[str, float]]:
    """Return for fitgap and PyTorch the seconds by kind of kernel of an update in training from scratch."""
    makers = {"fitgap": partial(training.ours, evaluated=False), "PyTorch": training.pytorch}
    return {name: apart(of_updates, make) for name, make in makers.items()}


def of_updates(make: Callable[[], Pass]) -> dict[str, float]:
    """Profile training with oneDNN's verbose log; return an update's seconds, by OF_UPDATES and in total (`all`).

    TensorFlow runs one operation at a time, because the logged durations of parallel kernels overlap.
    """
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    kernels, measured = told(make)
    return {**of_an_update(kernels), "all": training.BATCH / measured["images_per_second"]}


def of_an_update(kernels: pd.DataFrame) -> dict[str, float]:
    """Return the mean seconds per update by kind and direction of kernel, as in OF_UPDATES."""
    count = training.EPOCHS * training.TRAINING / training.BATCH
    spent = kernels.groupby(kernels["kind"] + " " + kernels["direction"])["seconds"].sum() / count
    return {name: float(spent[spent.index.str.contains(part)].sum()) for name, part in OF_UPDATES.items()}


def told(make: Callable[[], Pass]) -> tuple[pd.DataFrame, dict[str, float]]:
    """Run a pass with oneDNN's verbose log; return the kernels (see `executed`) and the pass's measurements."""
    os.environ["ONEDNN_VERBOSE"] = "1"  # read when oneDNN is first used
    with tempfile.NamedTemporaryFile() as file:
        os.dup2(file.fileno(), 1)  # oneDNN writes to the process's standard output
        once = make()
        os.write(1, f"\n{BEGIN}\n".encode())
        measured = once()
        os.write(1, f"\n{END}\n".encode())
        return executed(Path(file.name).read_text(encoding="utf-8")), measured


def executed(log: str) -> pd.DataFrame:
    """Parse oneDNN's log between the marks: columns kind (such as convolution), kernel, direction, seconds."""
    lines = log.partition(BEGIN)[2].partition(END)[0].splitlines()
    fields = [line.split(",") for line in lines if line.startswith("onednn_verbose") and ",exec," in line]
    rows = [(*line[line.index("exec") + 2 :][:3], float(line[-1]) / 1000) for line in fields]
    return pd.DataFrame(rows, columns=["kind", "kernel", "direction", "seconds"])


def of_openvino(weights: Path, size: int, precision: str) -> dict[str, float | str]:
    """Profile some batches with OpenVINO's own profiler; shares are relative to the profile's total."""
    batch = extraction.images(size)[: extraction.BATCHES[size][-1]]
    request = extraction.openvino_request(weights, size, precision, len(batch), PERF_COUNT=True)
    for _ in range(5):  # the profile is their mean
        request.infer([batch])
    rows = [(node.node_type, node.exec_type, node.real_time.total_seconds()) for node in request.get_profiling_info()]
    kernels = pd.DataFrame(rows, columns=["kind", "kernel", "seconds"])
    return account(kernels, kernels["seconds"].sum())


def account(kernels: pd.DataFrame, seconds: float) -> dict[str, float | str]:
    """Return the share of a pass of `seconds` by kind of kernel, and the slowest convolution kernel's name.

    Inner products count as convolutions: they are those on feature maps of 2x2 pixels.
    """
    kernels = kernels.assign(kind=kernels["kind"].str.lower())
    by_kind = kernels.groupby("kind")["seconds"].sum()
    kinds = {"convolution": "convolution|inner_product", "reorder": "reorder", "pooling": "pool"}
    found = {name: float(by_kind[by_kind.index.str.contains(part)].sum() / seconds) for name, part in kinds.items()}
    of_convolutions = kernels[kernels["kind"].str.contains("convolution")].groupby("kernel")["seconds"].sum()
    return {**found, "rest": 1 - sum(found.values()), "kernel": of_convolutions.idxmax()}
