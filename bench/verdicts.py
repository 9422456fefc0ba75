"""Compare the verdicts of several runs: `python -m bench.verdicts FIRST/claims.json OTHER/claims.json ...`.

Prints a Markdown table with one row per run after the first: how many verdicts equal those of the first run, how many
statements are undecided, and which are supported in one and contradicted in the other.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from fitgap.inference.verdicts import CONTRADICTED, INCONCLUSIVE, SUPPORTED

HEADER = ("| run | verdicts as in the first | undecided | supported against contradicted |", "|---|---:|---:|---|")


def main(*files: str) -> None:
    """Print the table, then the statements whose verdicts differ."""
    runs = {name: read_verdicts(Path(name)) for name in files}
    first, *others = runs
    print("\n".join(HEADER))
    for name in others:
        print(compare(runs[first], runs[name], name))
    for claim, verdict in runs[first].items():
        found = [runs[name].get(claim, "absent") for name in others]
        if set(found) != {verdict}:
            print(f"{claim}: {verdict}; {', '.join(found)}")


def read_verdicts(file: Path) -> dict[str, str]:
    """Return claim id -> verdict."""
    return {claim["id"]: claim["verdict"] for claim in json.loads(file.read_text(encoding="utf-8"))}


def compare(first: Mapping[str, str], other: Mapping[str, str], name: str) -> str:
    """Return one row of the table."""
    common = [claim for claim in first if claim in other]
    same = sum(first[claim] == other[claim] for claim in common)
    opposite = [claim for claim in common if {first[claim], other[claim]} == {SUPPORTED, CONTRADICTED}]
    undecided = list(other.values()).count(INCONCLUSIVE)
    share = f"{same} of {len(common)} ({same / len(common):.0%})"
    return f"| {name} | {share} | {undecided} | {', '.join(opposite) or 'none'} |"


if __name__ == "__main__":
    main(*sys.argv[1:])
