"""The study of CL2CM, LECCR and both together on real data: `python -m benchmarks.study --shared ../shared`."""
