"""Ragged sequences to time-major packed rows and back, without any padding.

Sequences stand one after another in a flat array. Sorted by length, longest first, the rows of one time step of all
sequences are neighbours in the packed array, and the sequences still alive at a step are always its first ones:

    flat    a0 a1 b0 b1 b2        forward    b0 a0 | b1 a1 | b2
                                  backward   b2 a1 | b1 a0 | b0
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Packing:
    """How a batch of sequences is packed.

    Attributes:
        order: Sequence numbers, longest first, (n_sequences,). Sequence `order[i]` is the i-th of each step.
        batch_sizes: Sequences alive at each time step, never increasing, (n_steps,).
        forward: The flat row of each packed row, reading left to right, (n_rows,).
        backward: The same, reading right to left.
    """

    order: npt.NDArray[np.int64]
    batch_sizes: npt.NDArray[np.int64]
    forward: npt.NDArray[np.int64]
    backward: npt.NDArray[np.int64]

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "Packing":
        """Pack sequences of these lengths.

        Raises:
            ValueError: If there are none, or one is shorter than 1.
        """
        sizes = np.asarray(lengths, dtype=np.int64)
        if len(sizes) == 0 or sizes.min() < 1:
            raise ValueError(f"Packing needs sequences of at least one row, but got lengths {list(lengths)}.")
        order = np.argsort(-sizes, kind="stable")
        ordered = sizes[order]
        starts = (np.cumsum(sizes) - sizes)[order]
        # Sequences longer than t are alive at step t; `ordered` is descending, so search its mirror image.
        batch_sizes = len(sizes) - np.searchsorted(ordered[::-1], np.arange(ordered[0]), side="right")
        steps = np.repeat(np.arange(ordered[0]), batch_sizes)
        ranks = np.arange(len(steps)) - np.repeat(np.cumsum(batch_sizes) - batch_sizes, batch_sizes)
        forward = starts[ranks] + steps
        backward = starts[ranks] + ordered[ranks] - 1 - steps
        return cls(order, batch_sizes, forward, backward)

    @property
    def directions(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Of each packed row, the token that the forward and the backward direction read there."""
        return self.forward, self.backward

    def chunks(self, max_rows: int) -> list[tuple[slice, slice]]:
        """Split the time steps into runs of at most `max_rows` packed rows (a single step may hold more).

        Gives pairs (steps, rows) of slices.
        """
        ends = np.cumsum(self.batch_sizes)
        runs, step, row = [], 0, 0
        while step < len(ends):
            last = max(step + 1, int(np.searchsorted(ends, row + max_rows, side="right")))
            runs.append((slice(step, last), slice(row, int(ends[last - 1]))))
            step, row = last, int(ends[last - 1])
        return runs
