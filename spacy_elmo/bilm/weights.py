"""Whether a model's weights are still what they were: for all that is computed from weights once and then kept."""

import secrets
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

T = TypeVar("T")


@dataclass(frozen=True)
class _Record:
    """A tensor as it was once.

    The tensor itself is held, so that no other object can take its identity; its memory only weakly: where
    `parameter.data = …` or `module.to(…)` puts other memory in its place, the old one is freed. Torch does not use the
    address of a storage again as long as a weak reference to it is left, so equal addresses are one storage.
    """

    tensor: Tensor
    storage: StorageWeakRef
    facts: tuple[Any, ...]

    @classmethod
    def of(cls, tensor: Tensor) -> "_Record":
        return cls(tensor, StorageWeakRef(tensor.untyped_storage()), _facts(tensor))

    def holds_for(self, tensor: Tensor) -> bool:
        return (
            tensor is self.tensor
            and tensor.untyped_storage()._cdata == self.storage.cdata
            and _facts(tensor) == self.facts
        )


def _facts(tensor: Tensor) -> tuple[Any, ...]:
    """Without a look at the values, which would be slow where there are many of them, or where they are on a GPU.

    Torch counts in `_version` what is written into a tensor, but not into one that was made in inference mode.
    """
    version = None if tensor.is_inference() else tensor._version
    return version, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride(), tensor.device


class WeightsTracker:
    """Gives some tensors a token that stays the same only as long as they do, and keeps what was made of them so long.

    A copy and an unpickled one start afresh, under another token and with nothing kept.
    """

    def __init__(self) -> None:
        self.renew()

    def token(self, tensors: Iterable[Tensor]) -> str:
        """A text that no other tracker and no other process gives, and another one after each change.

        Of what torch counts, that is: of the tensors themselves, their memory, type, shape and device, and of the
        number of writes into them.
        """
        token, _ = self._look_at(tensors)
        return token

    def kept(self, name: Hashable, tensors: Iterable[Tensor], make: Callable[[], T]) -> T:
        """What `make` gave under this name since the tensors last changed."""
        _, kept = self._look_at(tensors)
        if name not in kept:
            kept[name] = make()
        value: T = kept[name]
        return value

    def renew(self) -> None:
        """Another token from now on, and nothing kept."""
        self._seen: tuple[list[_Record], str, dict[Hashable, Any]] = [], _new_token(), {}

    def _look_at(self, tensors: Iterable[Tensor]) -> tuple[str, dict[Hashable, Any]]:
        records, token, kept = self._seen
        found = list(tensors)
        if len(found) != len(records) or not all(map(_Record.holds_for, records, found)):
            token, kept = _new_token(), {}
            self._seen = [_Record.of(tensor) for tensor in found], token, kept
        return token, kept

    def __reduce__(self) -> tuple[type["WeightsTracker"], tuple[()]]:
        return WeightsTracker, ()


def _new_token() -> str:
    # From the system's randomness, which forks do not share, and of which no seed in a user's program takes anything.
    return secrets.token_hex(16)
