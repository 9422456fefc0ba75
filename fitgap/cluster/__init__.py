"""Run the work of a stage on a Ray cluster, if RAY_ADDRESS names one. Without it, nothing of Ray is imported."""
