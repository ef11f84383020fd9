"""Two independent computations side by side."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch

_lock = threading.Lock()


def in_turn(first: Callable[[], None], second: Callable[[], None]) -> None:
    """As `both`, one after the other: for a device that goes through its work in order anyway."""
    first()
    second()


def both(first: Callable[[], None], second: Callable[[], None]) -> None:
    """Run two functions at once, each with half of torch's threads; one after the other where torch has one thread.

    Two threads that each compute a product of their own need not wait for each other inside every single operation, as
    the threads of one product do, which is most of the time where operations are small.

    Torch's number of threads is a setting of each thread, which takes it over when it first uses torch. A thread that
    does so in these moments stays with half of them, until it calls `torch.set_num_threads`.
    """
    n_threads = torch.get_num_threads()
    # A caller who comes while the threads are halved does without.
    if n_threads == 1 or not _lock.acquire(blocking=False):
        in_turn(first, second)
        return
    half = n_threads // 2
    try:
        torch.set_num_threads(half)
        other = _helper(os.getpid()).submit(_run, second, half)
        try:
            first()
        finally:
            other.result()
    finally:
        torch.set_num_threads(n_threads)
        _lock.release()


def _run(function: Callable[[], None], n_threads: int) -> None:
    torch.set_num_threads(n_threads)
    with torch.no_grad():
        function()


@cache
def _helper(process: int) -> ThreadPoolExecutor:
    """One thread, of this process: a fork does not inherit its parent's."""
    return ThreadPoolExecutor(1, thread_name_prefix="spacy_elmo")
