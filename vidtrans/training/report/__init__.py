"""The report page of a run, its curves, and the sheet of an ablation."""
