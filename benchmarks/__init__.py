"""Measurements against a physical or peer baseline, in the same run. `python -m benchmarks` runs all of them."""
