"""All that is random in a training run, as functions of the seed and of what they are for.

Nothing remembers how far a generator has run: what step 1,000 draws can be drawn without steps 1 to 999, and the part
of one rank without those of the others. So a run that was resumed, or runs on more machines, draws what one long run
alone would have drawn.
The generator is counter-based (Philox, Salmon et al. 2011): key and counter say which numbers come out.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

_BLOCK = 16  # 16-bit numbers that one value of the counter gives


class Purpose(IntEnum):
    """What random numbers are for: each has a stream of its own."""

    SHUFFLE = 0
    NEGATIVES = 1
    DROPOUT = 2


def generator(seed: int, number: int, purpose: Purpose) -> np.random.Generator:
    """The generator for one purpose, for the epoch or the step of this number."""
    return np.random.Generator(_philox(seed, number, purpose))


def dropout_factors(
    seed: int, step: int, lanes: range, unroll: int, size: int, probability: float
) -> npt.NDArray[np.float32]:
    """What dropout multiplies the `size` values of each row of a window with.

    Shape (unroll * n_lanes, size), time-major: 0 with the probability, in steps of 2 ** -16, otherwise what keeps the
    mean (Srivastava et al. 2014, section 10).
    """
    dropped = round(probability * 2**16)
    blocks = -(-unroll * size // _BLOCK)
    bits = _philox(seed, step, Purpose.DROPOUT, lanes.start * blocks).random_raw(len(lanes) * blocks * _BLOCK // 4)
    kept = bits.view(np.uint16).reshape(len(lanes), -1)[:, : unroll * size] >= dropped
    kept = kept.reshape(len(lanes), unroll, size).swapaxes(0, 1).reshape(-1, size)
    return kept.astype(np.float32) * np.float32(1 / (1 - dropped / 2**16))


def _philox(seed: int, number: int, purpose: Purpose, block: int = 0) -> np.random.Philox:
    return np.random.Philox(
        key=np.array([seed, number], dtype=np.uint64), counter=np.array([block, 0, 0, purpose], dtype=np.uint64)
    )
