"""Write the results to MLflow: an optional copy of DVC's files that no stage reads."""
