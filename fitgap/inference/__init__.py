"""Statistical inference: estimates with intervals, and verdicts that follow from them."""
