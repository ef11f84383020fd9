"""Layers of texts already seen, so that a frozen biLM runs over a training corpus once and not once an epoch."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence

from .types import Array

Compute = Callable[[list[int]], Sequence[Array]]

# How many texts that were predicted are remembered, by the hash of their key, some 100 bytes each.
MAX_PREDICTED = 100_000


class LayerCache:
    """Keeps arrays on the CPU up to a number of bytes and drops those used least recently. Threads may share it.

    What training reads is kept at once. A text that is predicted is kept when it comes again after more training, as
    those of an evaluation do: a service that predicts all day after it was trained keeps nothing more.

    Args:
        max_bytes: 0 keeps nothing.

    Raises:
        ValueError: max_bytes is negative.
    """

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < 0:
            raise ValueError(f"A cache holds 0 bytes or more, but not {max_bytes}.")
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._weights: Hashable = None
        self._arrays: OrderedDict[Hashable, Array] = OrderedDict()
        # Texts predicted since the last training step, and before it.
        self._predicted: dict[int, None] = {}
        self._predicted_before: dict[int, None] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["LayerCache"], tuple[int]]:
        """A copy begins empty: what is kept can be computed, and would make a pickle many times as large."""
        return LayerCache, (self.max_bytes,)

    def __len__(self) -> int:
        return len(self._arrays)

    def get(self, keys: Sequence[Hashable], weights: Hashable, compute: Compute, *, is_train: bool) -> list[Array]:
        """Look arrays up, and compute those that are not here.

        Args:
            keys: what each array is computed from.
            weights: what else they are computed with; another one than before drops everything held.
            compute: gets the positions of the missing keys, each of them once, and gives their arrays. It runs
                without the lock.
            is_train: whether this is training, or prediction.

        Returns:
            The array of each key; those that are kept are read-only.
        """
        with self._lock:
            if weights != self._weights:
                self._clear()
                self._weights = weights
            found = {key: self._arrays[key] for key in keys if key in self._arrays}
            for key in found:
                self._arrays.move_to_end(key)
        missing = list({key: i for i, key in enumerate(keys) if key not in found}.values())
        computed = dict(zip((keys[i] for i in missing), compute(missing) if missing else (), strict=True))
        with self._lock:
            # Another thread may have gone on to other weights meanwhile.
            if weights == self._weights:
                self._note(computed, is_train)
        return [found[key] if key in found else computed[key] for key in keys]

    def clear(self) -> None:
        """Drop all that is kept."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        self._arrays.clear()
        self._predicted.clear()
        self._predicted_before.clear()
        self.n_bytes = 0

    def _note(self, computed: dict[Hashable, Array], is_train: bool) -> None:
        if is_train:
            _add_newest(self._predicted_before, self._predicted)
            self._predicted.clear()
        else:
            _add_newest(self._predicted, map(hash, computed))
        for key, array in computed.items():
            if is_train or hash(key) in self._predicted_before:
                self._add(key, array)

    def _add(self, key: Hashable, array: Array) -> None:
        if array.nbytes > self.max_bytes or key in self._arrays:
            return
        array.setflags(write=False)
        self._arrays[key] = array
        self.n_bytes += array.nbytes
        while self.n_bytes > self.max_bytes:
            _, dropped = self._arrays.popitem(last=False)
            self.n_bytes -= dropped.nbytes


def _add_newest(kept: dict[int, None], hashes: Iterable[int]) -> None:
    kept.update(dict.fromkeys(hashes))
    while len(kept) > MAX_PREDICTED:
        del kept[next(iter(kept))]
