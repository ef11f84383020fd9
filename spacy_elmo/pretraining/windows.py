"""A corpus as training windows: many lanes of text, a few time steps of each at a time.

An epoch lays all passages end to end in a random order and cuts the row of them into lanes of equal length, which are
read side by side. Window t holds the rows from `t * unroll` of every lane, so that a lane's text goes on from window to
window, and with it the LSTM's state. A passage, or without `carry_state` each sentence, begins from a fresh state.

Each sentence is read in both directions over the same rows:

    row                0     1     2     3
    forward   input    <S>   a     b     c        target   a    b    c    </S>
    backward  input    </S>  c     b     a        target   c    b    a    <S>
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..corpus.corpus import BEGIN_SENTENCE, END_SENTENCE, Corpus, IntArray
from ..corpus.errors import CorpusError
from .randomness import Purpose, generator
from .type_ids import TypeIds

# A lane holds no more than this of its passage. All passages but those of one long sentence are shorter.
BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Window:
    """The rows of all lanes at `unroll` time steps, time-major: row `t * n_lanes + lane`.

    Attributes:
        ids: Of the distinct words, as the word encoder takes them, shape (n_types, n).
        inputs: Which of them each row reads, forward and backward, shape (2, n_rows).
        targets: The class that each row has to predict, shape (2, n_rows).
        starts: Rows before which the state is set to zero, shape (n_rows,), bool.
    """

    ids: IntArray
    inputs: IntArray
    targets: IntArray
    starts: npt.NDArray[np.bool_]


class Windows:
    """All windows of a training run, by epoch and by number in the epoch.

    Attributes:
        n_windows: Windows of an epoch. What does not fill a last window, less than `unroll` rows a lane, is left for
            another epoch with another order.
    """

    def __init__(
        self,
        corpus: Corpus,
        classes: IntArray,
        type_ids: TypeIds,
        *,
        seed: int,
        unroll: int,
        n_lanes: int,
        lanes: range,
        carry_state: bool = True,
    ) -> None:
        """Lay out the windows of a corpus.

        Args:
            corpus: Of which the training passages are read.
            classes: What is to be predicted for each type, see `Corpus.classes`.
            type_ids: The ids of types.
            seed: Of the order of passages in each epoch.
            unroll: Time steps of a window.
            n_lanes: Lanes of all ranks together.
            lanes: Those of this rank.
            carry_state: Whether a sentence begins with the state that the one before it left, within a passage.

        Raises:
            CorpusError: The corpus does not fill one window.
        """
        self.corpus = corpus
        self.classes = classes
        self.type_ids = type_ids
        self.seed = seed
        self.unroll = unroll
        self.lanes = lanes
        self.carry_state = carry_state
        n_rows = int(corpus.train.rows.sum())
        self.lane_rows = n_rows // n_lanes
        self.n_windows = self.lane_rows // unroll
        if not self.n_windows:
            raise CorpusError(
                f"The corpus is too small: its {n_rows:,} training tokens do not fill one batch of {n_lanes} sequences "
                f"of {unroll} tokens. Give it more text, or lower training.batch_size or training.unroll."
            )
        self._epoch: tuple[int, IntArray, IntArray] | None = None
        self._open: dict[int, tuple[tuple[int, int], IntArray]] = {}

    def window(self, epoch: int, number: int) -> Window:
        """One of an epoch, by its number."""
        order, ends = self._order(epoch)
        rows = np.stack([self._lane_rows(lane, number * self.unroll, order, ends) for lane in self.lanes], axis=2)
        inputs, targets, starts = rows[0:2], rows[2:4], rows[4].astype(bool)
        if number == 0:
            starts[0] = True  # nothing runs on from one epoch into the next
        types, inputs = np.unique(inputs, return_inverse=True)
        return Window(
            ids=self.type_ids(types),
            inputs=inputs.reshape(2, -1),
            targets=self.classes[targets].reshape(2, -1),
            starts=starts.reshape(-1),
        )

    def _order(self, epoch: int) -> tuple[IntArray, IntArray]:
        """The order of the passages, and in it the row where each ends."""
        if self._epoch is None or self._epoch[0] != epoch:
            order = generator(self.seed, epoch, Purpose.SHUFFLE).permutation(len(self.corpus.train))
            self._epoch = (epoch, order, np.cumsum(self.corpus.train.rows[order]))
        return self._epoch[1:]

    def _lane_rows(self, lane: int, first: int, order: IntArray, ends: IntArray) -> IntArray:
        """Rows `first` to `first + unroll` of a lane as of `_read_rows`, shape (5, unroll)."""
        row = lane * self.lane_rows + first
        place = int(np.searchsorted(ends, row, side="right"))
        parts, wanted = [], self.unroll
        while wanted:
            number = int(order[place])
            inside = row - (int(ends[place]) - int(self.corpus.train.rows[number]))
            block, inside = divmod(inside, BLOCK_ROWS)
            part = self._block(lane, number, block)[:, inside : inside + wanted]
            parts.append(part)
            wanted -= part.shape[1]
            row += part.shape[1]
            place += row == ends[place]
        return np.concatenate(parts, axis=1)

    def _block(self, lane: int, number: int, block: int) -> IntArray:
        """A lane comes back to its part of a passage window after window, so it stays open."""
        if self._open.get(lane, (None, None))[0] != (number, block):
            rows = slice(block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS)
            self._open[lane] = (number, block), _read_rows(self.corpus.train[number], rows, self.carry_state)
        return self._open[lane][1]


def _read_rows(types: npt.NDArray[np.int32], rows: slice, carry_state: bool) -> IntArray:
    """Rows of a passage.

    Returns:
        Forward and backward input, forward and backward target, and whether the state begins afresh, shape (5, n_rows).
    """
    begins = types == BEGIN_SENTENCE
    firsts = np.append(np.flatnonzero(begins), len(types))
    place = np.arange(*rows.indices(len(types)))
    sentence = np.cumsum(begins)[rows]
    first, end = firsts[sentence - 1], firsts[sentence]
    is_first, is_last = place == first, place == end - 1
    return np.stack(
        [
            types[place],
            np.where(is_first, END_SENTENCE, types[np.where(is_first, first, first + end - place)]),
            np.where(is_last, END_SENTENCE, types[np.where(is_last, place, place + 1)]),
            types[first + end - 1 - place],
            place == 0 if carry_state else is_first,
        ]
    ).astype(np.int64)
