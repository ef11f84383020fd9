"""The engine of one machine: parts one after another in this process, or some at a time in processes of their own."""

import os
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process

import torch
from spacy.util import import_file

from ..bilm import BiLM
from .errors import EmbeddingError
from .parts import Part, Record
from .worker import Work, Worker, load


def run(work: Work, bilm: BiLM, parts: Iterable[Part], n_workers: int) -> Generator[tuple[int, int], None, None]:
    """Embed parts.

    Args:
        work: What to do.
        bilm: Its model, for this process.
        parts: Those to do, held as they come: two a worker at most.
        n_workers: Processes, which share the cores; 1 for this one, on all that torch has threads for.

    Yields:
        Of each part, the bytes read for it and the tokens in it.

    Raises:
        EmbeddingError: A worker process died.
    """
    if n_workers == 1:
        yield from ((part.n_bytes, record.tokens) for part, record in Worker(work, bilm)(parts))
        return
    n_threads = max(1, torch.get_num_threads() // n_workers)
    # A forked process would hold locks of torch's threads without the threads.
    pool = ProcessPoolExecutor(n_workers, get_context("spawn"), _start, (work, n_threads))
    try:
        yield from _in_order(pool, parts, 2 * n_workers)
    except BrokenProcessPool:
        raise EmbeddingError(
            "a worker process died. What is finished is kept, and the same command goes on; if memory ran out, use "
            "fewer workers."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, parts: Iterable[Part], n_most: int) -> Iterator[tuple[int, int]]:
    running: deque[tuple[Part, Future[Record]]] = deque()
    for part in parts:
        running.append((part, pool.submit(_embed, part)))
        if len(running) == n_most:
            part, future = running.popleft()
            yield part.n_bytes, future.result().tokens
    for part, future in running:
        yield part.n_bytes, future.result().tokens


_worker: Worker


def _start(work: Work, n_threads: int) -> None:
    global _worker
    parent = parent_process()
    assert parent is not None
    # A parent that is killed leaves its workers waiting for ever; the next run would meet them at its parts.
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    torch.set_num_threads(n_threads)
    if work.code is not None:
        import_file("python_code", work.code)
    _worker = Worker(work, load(work))


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _embed(part: Part) -> Record:
    ((_, record),) = _worker([part])
    return record
