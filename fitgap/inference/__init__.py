"""Statistical inference: estimates with intervals, and verdicts based on them."""
