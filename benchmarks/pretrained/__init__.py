"""The study over a pretrained multilingual encoder: `python -m benchmarks.pretrained --shared ../shared`."""
