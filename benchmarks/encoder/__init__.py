"""Benchmarks of the encoder; `python -m benchmarks.encoder` is the first of them."""
