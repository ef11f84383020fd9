"""What was measured with this package: comparisons, probes and studies, each run as `python -m experiments.NAME`."""
