"""Arrays in HDF5 files, with nothing taken on trust: such a file can be damaged, or ask for other files' contents."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import CheckpointError

# Numbers that HDF5 may read at once, though a dataset has fewer.
_MAX_CHUNK = 1_000_000
# What h5py raises where a file is damaged.
_DAMAGES = (
    OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, MemoryError,
    SystemError, NotImplementedError,
)  # fmt: skip

Shapes = dict[str, tuple[int, ...]]


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A file, for reading. Whatever h5py meets in a damaged one becomes a CheckpointError."""
    import h5py  # a tenth of a second that no other format needs

    try:
        with h5py.File(path, "r") as file:
            yield file
    except CheckpointError:
        raise
    except _DAMAGES as error:
        reason = f"{error or type(error).__name__}"
        raise CheckpointError(f"{path}: not a whole HDF5 file ({reason}). Fetch or copy it again.") from None


def shapes_in(file: Any) -> Shapes:
    """The shapes of all datasets. Links are not among them, as they can lead into other files."""
    shapes: Shapes = {}
    file.visititems(lambda path, item: shapes.update({path: item.shape}) if hasattr(item, "shape") else None)
    if not all(isinstance(shape, tuple) for shape in shapes.values()):
        raise ValueError("a dataset has no shape")
    return shapes


def dtypes_in(path: Path) -> set[str]:
    """The types of all datasets, by NumPy's names."""
    dtypes: set[str] = set()
    with opened(path) as file:
        file.visititems(lambda _, item: dtypes.add(str(item.dtype)) if hasattr(item, "dtype") else None)
    return dtypes


def check_storage(dataset: Any, path: Path) -> None:
    """Raise CheckpointError where the file itself does not hold a dataset's numbers.

    HDF5 can also make them up, or take them from any file of the machine.
    """
    fault = None
    if dataset.is_virtual or dataset.external:
        fault = "is kept in other files"
    elif dataset.dtype.kind != "f":
        fault = f"holds {dataset.dtype} and not floating point numbers"
    elif dataset.id.get_storage_size() == 0:
        fault = "was never written"
    elif dataset.chunks and math.prod(dataset.chunks) > max(dataset.size, _MAX_CHUNK):
        fault = f"is cut into chunks of {dataset.chunks}, far larger than itself"
    if fault:
        raise CheckpointError(f"{path}: the dataset {dataset.name.lstrip('/')} {fault}.")


def read_float32(dataset: Any) -> npt.NDArray[np.float32]:
    """A dataset's numbers. What is too large for float32 becomes infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(dataset, dtype=np.float32)


def holds_vectors(shapes: Shapes) -> bool:
    """Whether a file holds vectors of sentences, one dataset each, as `allennlp elmo` and `bilm-tf` write them."""
    names = set(shapes) - {"sentence_to_index"}
    return bool(names) and all(name.isdecimal() for name in names)
