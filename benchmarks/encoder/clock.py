"""The clock that the benchmarks of the encoder read."""

import time

import torch


class Clock:
    """Seconds on the wall; or, on a machine that others use, those of one core at work."""

    def __init__(self) -> None:
        self._read = time.perf_counter

    def count_one_core(self) -> None:
        """One thread from now on, and only the time in which it works."""
        torch.set_num_threads(1)
        self._read = time.process_time

    def __call__(self) -> float:
        return self._read()


clock = Clock()
