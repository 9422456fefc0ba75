"""Judge runs that others have trained: of an MLflow store, of DVC experiments, or of a table (docs/judge.md).

from fitgap.judging import judge_runs
judgement = judge_runs("sqlite:///mlflow.db", experiment="cv", metric="val_accuracy")
judgement.table  # a pandas DataFrame, a row per statement
"""

from fitgap.judging.judgement import Judgement, judge_runs

__all__ = ["Judgement", "judge_runs"]
