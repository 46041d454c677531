"""Passes side by side on a processor, each by one thread. Imports torch: load only when needed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class Lanes:
    """As many threads as torch has, each of which computes passes of its own, alone.

    Threads that share each product wait for the slowest of them at its end, some hundred times a
    pass: with anything else running on the machine, that costs more than the products.
    """

    def __init__(self, threads: int) -> None:
        self.count = threads
        self._pool = _threads_that_compute_alone(threads) if threads > 1 else None

    def map(self, run: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Results in the order of the items."""
        if self._pool is None:
            return [run(item) for item in items]
        return list(self._pool.map(run, items))


def _threads_that_compute_alone(threads: int) -> ThreadPoolExecutor:
    # Not a name that `cli.leaving` waits for: idle ones need no waiting.
    pool = ThreadPoolExecutor(threads, thread_name_prefix="lane")
    started = Barrier(threads)

    def compute_alone(_: int) -> int:
        # torch keeps a number for each thread, and one for threads that ask for the first time.
        torch.set_num_threads(1)
        started.wait()
        return torch.get_num_threads()

    before = torch.get_num_threads()
    try:
        list(pool.map(compute_alone, range(threads)))
    except BaseException:  # no more threads to be had: those that wait for the others must end
        started.abort()
        pool.shutdown(wait=False)
        raise
    finally:
        torch.set_num_threads(before)
    return pool
