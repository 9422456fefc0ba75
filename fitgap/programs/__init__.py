"""Programs: what `make` runs beside the stages, each `python -m fitgap.programs.NAME`."""

from fitgap.system.environment import restart_without_strays

restart_without_strays()
