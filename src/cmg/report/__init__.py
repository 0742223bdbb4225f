"""Reports: documents of runs, evaluations and studies, and how they are shown and written."""
