"""MLflow's view of the results: a projection of DVC's files, written after the work, never needed by it."""
