"""Threads of our own for what torch's would do badly.

Two independent computations side by side; one that has threads of its own; and any in a process that was forked.

Torch's number of threads is a setting of each thread. A thread takes it over when it first uses torch, from what was
last set in any thread. So nobody's setting is touched here, but for the moment in which a thread of ours begins: two
threads of our own have half of the caller's number each, and compute for it while it waits. They are started when they
are first needed, once for each such number.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")


class _Task(Generic[T]):
    """A function to be run in another thread, with autograd, inference mode and autocast as this one has them."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function, self._modes = function, _modes()
        self._begun, self._ended = threading.Lock(), threading.Event()
        self._outcome: list[tuple[Any, BaseException | None]] = []

    def run(self) -> None:
        """Run it, in the other thread."""
        if not self._begun.acquire(blocking=False):
            return
        try:
            with self._modes():
                self._outcome.append((self._function(), None))
        except BaseException as error:
            self._outcome.append((None, error))
        self._ended.set()

    def value(self) -> T:
        """What it gives or raises, once."""
        self._ended.wait()
        value, error = self._outcome.pop()
        if error is None:
            return value
        try:
            raise error
        finally:
            del error  # which holds this frame

    def see_to_its_end(self) -> None:
        """Wait for it, or let it not begin at all."""
        if not self._begun.acquire(blocking=False):
            self._ended.wait()


@contextmanager
def _to_the_end(*tasks: _Task[Any]) -> Iterator[None]:
    """Who is interrupted (Ctrl-C) waits for the tasks all the same.

    They would add to gradients behind his back, and torch does not bear that the process ends while it computes.
    """
    try:
        yield
    except BaseException:
        for task in tasks:
            task.see_to_its_end()
        raise


class Worker:
    """A thread with a number of torch's threads to itself.

    A daemon: it ends with the process, and computes also for threads that go on when the main thread has ended.
    """

    def __init__(self, n_threads: int) -> None:
        self._tasks: SimpleQueue[_Task[Any]] = SimpleQueue()
        threading.Thread(target=self._serve, name="spacy_elmo", daemon=True).start()
        # Waited for, so that the next worker finds what torch takes for threads born later put back.
        first = _Task(lambda: _set_threads_of_this_one(n_threads))
        self.begin(first)
        first.value()

    def begin(self, task: _Task[Any]) -> None:
        """Have a task run, after those before it."""
        self._tasks.put(task)

    def _serve(self) -> None:
        while True:
            self._tasks.get().run()


def _modes() -> Callable[[], ExitStack]:
    """What enters the modes that torch has in this thread: each thread has its own."""
    inference, grad = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    autocast = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
    cache = torch.is_autocast_cache_enabled()

    def enter() -> ExitStack:
        modes = ExitStack()
        # Entering costs as much as a small operation, so what a thread of ours begins with is left alone.
        if inference:
            modes.enter_context(torch.inference_mode())
        modes.enter_context(torch.set_grad_enabled(grad))
        if autocast is not None:
            modes.enter_context(torch.autocast("cpu", autocast, cache_enabled=cache))
        return modes

    return enter


def _set_threads_of_this_one(n_threads: int) -> None:
    """Torch's number of threads of a thread that has not used torch yet, and of no other.

    What torch takes for threads born later as well is put back by one of them, at once.
    """
    others, begun, end = torch.get_num_threads(), threading.Event(), threading.Event()

    def put_back() -> None:
        begun.set()
        end.wait()
        torch.set_num_threads(others)

    thread = threading.Thread(target=put_back, daemon=True)
    thread.start()
    begun.wait()
    torch.set_num_threads(n_threads)
    end.set()
    thread.join()


class Workers:
    """The workers of a process, by their number of torch's threads.

    Attributes:
        lock: Held by the one caller at a time of `both`.
        forked: The one thread that lives on in a forked process, where there has been a fork.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.forked: int | None = None
        self._starting = threading.Lock()
        self._pairs: dict[int, tuple[Worker, Worker]] = {}
        self._idle: list[Worker] = []

    def pair(self, n_threads: int) -> tuple[Worker, Worker]:
        """The two workers for this number of threads, started when they are first asked for."""
        with self._starting:
            if n_threads not in self._pairs:
                self._pairs[n_threads] = Worker(n_threads), Worker(n_threads)
            return self._pairs[n_threads]

    @contextmanager
    def one(self) -> Iterator[Worker]:
        """A worker on one of torch's threads, for this caller alone. There are as many as there are callers at once."""
        with self._starting:
            worker = self._idle.pop() if self._idle else Worker(1)
        try:
            yield worker
        finally:
            self._idle.append(worker)


_workers = Workers()


def _begin_anew() -> None:
    """In a process just forked, which has none of its parent's threads."""
    global _workers
    _workers = Workers()
    _workers.forked = threading.get_ident()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def in_turn(first: Callable[[], None], second: Callable[[], None]) -> None:
    """As `both`, one after the other: for a device that goes through its work in order anyway."""
    first()
    second()


def both(first: Callable[[], None], second: Callable[[], None]) -> None:
    """Run two functions at once, each with half of the caller's torch threads, see `n_threads`.

    One after the other where these are one, or where another thread has come first.

    Two threads that each compute a product of their own need not wait for each other inside every single operation, as
    the threads of one product do, which is most of the time where operations are small.
    """
    n, workers = n_threads(), _workers
    if n == 1 or not workers.lock.acquire(blocking=False):
        in_turn(first, second)
        return
    try:
        tasks = _Task(first), _Task(second)
        with _to_the_end(*tasks):
            for worker, task in zip(workers.pair(n // 2), tasks, strict=True):
                worker.begin(task)
            try:
                tasks[0].value()
            finally:
                tasks[1].value()
    finally:
        workers.lock.release()


_caller = threading.local()


def n_threads() -> int:
    """Torch's number of threads, within `alone` that of the thread which called it."""
    number: int | None = getattr(_caller, "n_threads", None)
    return torch.get_num_threads() if number is None else number


def alone(function: Callable[[], T]) -> T:
    """Run a function without torch's threads: one that takes `n_threads()` of its own, or hands work to `both`.

    Torch's threads wait for each other in every operation, and are at work while they wait. Where one of them finds the
    processor that it needs taken, by another program or by one that waits for it, a small operation lasts as long as
    the scheduler lets that one go on: some thousand times its own time.
    """
    n_threads = torch.get_num_threads()
    return safe_after_fork(function) if n_threads == 1 or _is_forked() else _on_worker(function, n_threads)


def here(function: Callable[[], T]) -> T:
    """Run a function: for a device that torch's threads have nothing to do with, in place of the others."""
    return function()


def safe_after_fork(function: Callable[[], T]) -> T:
    """Run a function; in the thread that a forked process began with, by a worker on one of torch's threads.

    That thread takes the threads with which its parent computed for its own, and would wait for them for ever.
    """
    return _on_worker(function, 1) if _is_forked() else function()


def _is_forked() -> bool:
    return threading.get_ident() == _workers.forked


def _on_worker(function: Callable[[], T], n_threads: int) -> T:
    def run() -> T:
        _caller.n_threads = n_threads
        return function()

    task = _Task(run)
    with _workers.one() as worker, _to_the_end(task):
        worker.begin(task)
        return task.value()
