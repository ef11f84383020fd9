"""Vectors of length 1, whose products are cosines."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def directions(vectors: Array) -> Array:
    """Vectors of length 1, (…, width) float32; one of zeros stays as it is."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, np.finfo(np.float32).tiny), dtype=np.float32)
