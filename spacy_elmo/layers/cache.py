"""Layers of texts already seen, so that a frozen biLM runs over a training corpus once and not once an epoch."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

from .types import Array

Compute = Callable[[list[int]], Sequence[Array]]


class LayerCache:
    """Keeps arrays on the CPU up to a number of bytes and drops those used least recently.

    max_bytes: 0 keeps nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < 0:
            raise ValueError(f"A cache holds 0 bytes or more, but not {max_bytes}.")
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._version: Hashable = None
        self._arrays: OrderedDict[Hashable, Array] = OrderedDict()

    def __len__(self) -> int:
        return len(self._arrays)

    def get(self, keys: Sequence[Hashable], version: Hashable, compute: Compute) -> list[Array]:
        """The array of each key. `compute` gets the positions of the keys that are not here and gives their arrays,
        which become read-only. With another `version` than before, everything held is dropped first.
        """
        if version != self._version:
            self.clear()
            self._version = version
        found = {key: self._arrays[key] for key in keys if key in self._arrays}
        for key in found:
            self._arrays.move_to_end(key)
        missing = list({key: i for i, key in enumerate(keys) if key not in found}.values())
        for i, array in zip(missing, compute(missing) if missing else (), strict=True):
            found[keys[i]] = array
            self._add(keys[i], array)
        return [found[key] for key in keys]

    def clear(self) -> None:
        self._arrays.clear()
        self.n_bytes = 0

    def _add(self, key: Hashable, array: Array) -> None:
        if array.nbytes > self.max_bytes:
            return
        array.setflags(write=False)
        self._arrays[key] = array
        self.n_bytes += array.nbytes
        while self.n_bytes > self.max_bytes:
            _, dropped = self._arrays.popitem(last=False)
            self.n_bytes -= dropped.nbytes
