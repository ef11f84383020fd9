"""What inference computes from parameters once and keeps, until the parameters change."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")

# Numbers of a parameter that are compared, evenly spaced. See `_fingerprint`.
SAMPLE = 64


class Derived:
    """Packed weights, vectors of words already seen: anything that follows from parameters alone. Nothing in here is
    copied or pickled along; a copy derives its own.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[Any, Any]] = {}

    def get(self, key: Hashable, sources: Sequence[Tensor], build: Callable[[], T]) -> T:
        """What `build` gave for this key, as long as the sources are the tensors they were then, with the same values;
        else what it gives now. On a GPU always the latter: to look at values would take longer than to build.
        """
        if any(source.device.type != "cpu" for source in sources):
            return build()
        fingerprint = [_fingerprint(source) for source in sources]
        kept_fingerprint, value = self._kept.get(key, (None, None))
        if kept_fingerprint != fingerprint:
            # The old goes first: the two together would take twice the memory.
            del value
            self._kept.pop(key, None)
            value = build()
            self._kept[key] = fingerprint, value
        return value

    def forget(self) -> None:
        """For those who know that parameters have changed, and in a way that torch does not see."""
        self._kept.clear()

    def __reduce__(self) -> tuple[type["Derived"], tuple[()]]:
        return Derived, ()


def _fingerprint(tensor: Tensor) -> tuple[Any, ...]:
    """Changes when the tensor does. Torch counts changes in place, but not those made through `.data` or through a
    NumPy array of the same memory, as Thinc's optimizer does; an update touches about every number, and is seen in a
    few of them.
    """
    version = 0 if tensor.is_inference() else tensor._version
    flat = tensor.detach().reshape(-1)
    sample = flat[:: max(1, len(flat) // SAMPLE)].numpy().tobytes()
    return tensor.data_ptr(), version, tensor.dtype, tensor.shape, sample
