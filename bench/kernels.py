"""Where a pass of the frozen base goes, by the account that the libraries themselves keep: oneDNN's and OpenVINO's."""

import os
import tempfile
from pathlib import Path

import pandas as pd

from bench import extraction
from bench.side_by_side import apart
from fitgap.backbone.layers import batches_at_once

BEGIN, END = "fitgap-bench: begin", "fitgap-bench: end"


def shares(weights: Path, size: int, precision: str) -> dict[str, dict[str, float | str]]:
    """Give, for us and for OpenVINO, the shares of a pass by kind of kernel, and which kernels convolve."""
    return {
        "fitgap": apart(of_ours, weights, size, precision),
        "OpenVINO": apart(of_openvino, weights, size, precision),
    }


def of_ours(weights: Path, size: int, precision: str) -> dict[str, float | str]:
    """Run a pass with oneDNN telling of each kernel what it took."""
    os.environ["ONEDNN_VERBOSE"] = "1"  # read when oneDNN is first used
    with tempfile.NamedTemporaryFile() as file:
        os.dup2(file.fileno(), 1)  # oneDNN writes to the process's standard output
        once = extraction.ours(weights, size, precision)
        os.write(1, f"\n{BEGIN}\n".encode())
        # Of kernels that run at the same time each takes the whole of it.
        seconds = batches_at_once(size) * extraction.IMAGES[size] / once()["images_per_second"]
        os.write(1, f"\n{END}\n".encode())
        return account(executed(Path(file.name).read_text(encoding="utf-8")), seconds)


def executed(log: str) -> pd.DataFrame:
    """Read oneDNN's lines between the marks: columns kind (such as convolution), kernel, seconds."""
    lines = log.partition(BEGIN)[2].partition(END)[0].splitlines()
    fields = [line.split(",") for line in lines if line.startswith("onednn_verbose") and ",exec," in line]
    rows = [(*line[line.index("exec") + 2 :][:2], float(line[-1]) / 1000) for line in fields]
    return pd.DataFrame(rows, columns=["kind", "kernel", "seconds"])


def of_openvino(weights: Path, size: int, precision: str) -> dict[str, float | str]:
    """Run some batches, OpenVINO's own profile switched on; shares are of what that profile adds up to."""
    batch = extraction.images(size)[: extraction.BATCHES[size][-1]]
    request = extraction.openvino_request(weights, size, precision, len(batch), PERF_COUNT=True)
    for _ in range(5):  # the profile is their mean
        request.infer([batch])
    rows = [(node.node_type, node.exec_type, node.real_time.total_seconds()) for node in request.get_profiling_info()]
    kernels = pd.DataFrame(rows, columns=["kind", "kernel", "seconds"])
    return account(kernels, kernels["seconds"].sum())


def account(kernels: pd.DataFrame, seconds: float) -> dict[str, float | str]:
    """Sum up by kind what a pass of some seconds consists of; name the convolutions' kernel that takes most.

    Inner products are convolutions, too: those on maps of 2x2 pixels.
    """
    kernels = kernels.assign(kind=kernels["kind"].str.lower())
    by_kind = kernels.groupby("kind")["seconds"].sum()
    kinds = {"convolution": "convolution|inner_product", "reorder": "reorder", "pooling": "pool"}
    found = {name: float(by_kind[by_kind.index.str.contains(part)].sum() / seconds) for name, part in kinds.items()}
    of_convolutions = kernels[kernels["kind"].str.contains("convolution")].groupby("kernel")["seconds"].sum()
    return {**found, "rest": 1 - sum(found.values()), "kernel": of_convolutions.idxmax()}
