"""Programs: what `make` runs beside the stages, each `python -m fitgap.programs.NAME`."""
