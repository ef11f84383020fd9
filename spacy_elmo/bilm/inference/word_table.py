"""Vectors of words that were seen before, so that the word encoder computes a word once, and not once a batch."""

import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

# Bytes of the vectors kept: 32,000 words of the published "original" model, 131,000 of the "small".
CACHE_BYTES = 64 * 2**20

Ids = npt.NDArray[np.int64]


class WordTable:
    """A bounded table of vectors, by the words' ids, so that no two words can be mistaken for each other.

    The words used longest ago make room for new ones.
    """

    def __init__(self, width: int) -> None:
        rows = max(1, CACHE_BYTES // (4 * width))
        self._table = torch.empty(rows, width, dtype=torch.float32, device="cpu")
        self._rows: OrderedDict[bytes, int] = OrderedDict()
        self._lock = threading.Lock()

    def lookup(self, ids: Ids, compute: Callable[[Ids], Tensor]) -> Tensor:
        """The vectors (n_words, width) of words with these ids (n_words, n).

        `compute` gives the vectors of those that are not here.
        """
        # Nobody waits, neither for another thread nor, in a forked process, for one that did not come along.
        if not self._lock.acquire(blocking=False):
            return compute(ids)
        try:
            return self._lookup(ids, compute)
        finally:
            self._lock.release()

    def _lookup(self, ids: Ids, compute: Callable[[Ids], Tensor]) -> Tensor:
        keys = _keys(ids)
        rows = np.fromiter((self._rows.get(key, -1) for key in keys), np.int64, len(keys))
        missing = np.flatnonzero(rows < 0)
        for i in np.flatnonzero(rows >= 0).tolist():
            self._rows.move_to_end(keys[i])
        vectors = self._table[torch.from_numpy(rows.clip(0))]
        if len(missing):
            computed = compute(ids[missing])
            vectors[torch.from_numpy(missing)] = computed
            self._add([keys[i] for i in missing.tolist()], computed)
        return vectors

    def _add(self, keys: list[bytes], vectors: Tensor) -> None:
        capacity = len(self._table)
        # One place for each key: words that differ only behind where they are cut have the same ids.
        places = {key: i for i, key in enumerate(keys)}
        keys = list(places)[:capacity]
        rows = list(range(len(self._rows), min(len(self._rows) + len(keys), capacity)))
        rows += [self._rows.popitem(last=False)[1] for _ in range(len(keys) - len(rows))]
        self._table[rows] = vectors[[places[key] for key in keys]]
        self._rows.update(zip(keys, rows, strict=True))


def _keys(ids: Ids) -> list[bytes]:
    rows = np.ascontiguousarray(ids, dtype=np.int32)
    keys: list[bytes] = rows.view(f"V{rows.shape[1] * rows.itemsize}").ravel().tolist()
    return keys
