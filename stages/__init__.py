"""The pipeline's stages, one module each, named as in dvc.yaml: `python -m stages.NAME [VARIANT]`."""

from fitgap.system.environment import restart_without_strays

restart_without_strays()
