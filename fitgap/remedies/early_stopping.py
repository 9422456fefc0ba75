"""Early stopping: training ends when the validation loss no longer falls, and goes back to where it was lowest.

Prechelt, Early Stopping - But When?, 1998, doi:10.1007/3-540-49430-8_3.
"""

from typing import Annotated

from pydantic import Field

from fitgap.remedies.remedy import Remedy


class EarlyStopping(Remedy):
    """An end of the training after some epochs without a lower validation loss."""

    early_stopping: Annotated[int, Field(ge=0, le=1000)] = 0  # epochs without a lower validation loss; 0: no such end

    def patience(self) -> int:
        """Return how many epochs without a lower validation loss end the training."""
        return self.early_stopping
