"""The claims as one flat table, for `dvc plots show` and `dvc plots diff` and as a table in MLflow."""

from typing import Any

import pandas as pd

COLUMNS = ("id", "statement", "verdict", "estimate", "ci_low", "ci_high", "unit", "n", "compared", "direction", "note")
WITHOUT_UNIT = "as it is"


def claims_table(claims: list[dict[str, Any]]) -> pd.DataFrame:
    """Give one row per claim, in the order of the report; `claims` is what `judge_all` gives.

    `unit` is never empty, because plots put the claims of one unit side by side.
    """
    table = pd.DataFrame(claims, columns=list(COLUMNS))
    return table.assign(unit=table["unit"].replace("", WITHOUT_UNIT))
