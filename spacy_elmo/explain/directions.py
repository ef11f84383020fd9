"""Vectors of length 1, whose products are cosines."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
T = TypeVar("T", bound=np.floating)


def directions(vectors: npt.NDArray[T]) -> npt.NDArray[T]:
    """Vectors of length 1, (…, width), of their own type; one of zeros stays as it is."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, np.finfo(vectors.dtype).tiny), dtype=vectors.dtype)
