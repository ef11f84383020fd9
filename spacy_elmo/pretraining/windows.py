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

from ..corpus.corpus import BEGIN_SENTENCE, END_SENTENCE, UNKNOWN, Corpus
from ..corpus.errors import CorpusError
from .randomness import Purpose, generator

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """The rows of all lanes at `unroll` time steps, time-major: row `t * n_lanes + lane`.

    ids: character ids of the distinct words, shape (n_types, max_characters).
    inputs: which of them each row reads, forward and backward, shape (2, n_rows).
    targets: the class that each row has to predict, shape (2, n_rows).
    starts: rows before which the state is set to zero, shape (n_rows,) bool.
    """

    ids: IntArray
    inputs: IntArray
    targets: IntArray
    starts: npt.NDArray[np.bool_]


class Windows:
    """All windows of a training run, by epoch and by number in the epoch.

    n_classes: size of the vocabulary; a target that is no part of it counts as <UNK>.
    n_lanes: lanes of all ranks together; lanes: those of this rank.
    n_windows: windows of an epoch. What does not fill a last window, less than `unroll` rows a lane, is left for
        another epoch with another order.
    Raises CorpusError where the corpus does not fill one window.
    """

    def __init__(
        self,
        corpus: Corpus,
        n_classes: int,
        max_characters: int,
        *,
        seed: int,
        unroll: int,
        n_lanes: int,
        lanes: range,
        carry_state: bool = True,
    ) -> None:
        self.corpus = corpus
        self.n_classes = n_classes
        self.max_characters = max_characters
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
        self._open: dict[int, tuple[int, IntArray]] = {}

    def window(self, epoch: int, number: int) -> Window:
        order, ends = self._order(epoch)
        rows = np.stack([self._lane_rows(lane, number * self.unroll, order, ends) for lane in self.lanes], axis=2)
        inputs, targets, starts = rows[0:2], rows[2:4], rows[4].astype(bool)
        if number == 0:
            starts[0] = True  # nothing runs on from one epoch into the next
        types, inputs = np.unique(inputs, return_inverse=True)
        return Window(
            ids=self.corpus.words.character_ids(types, self.max_characters),
            inputs=inputs.reshape(2, -1),
            targets=np.where(targets < self.n_classes, targets, UNKNOWN).reshape(2, -1),
            starts=starts.reshape(-1),
        )

    def _order(self, epoch: int) -> tuple[IntArray, IntArray]:
        """The order of the passages, and in it the row where each ends."""
        if self._epoch is None or self._epoch[0] != epoch:
            order = generator(self.seed, epoch, Purpose.SHUFFLE).permutation(len(self.corpus.train))
            self._epoch = (epoch, order, np.cumsum(self.corpus.train.rows[order]))
        return self._epoch[1:]

    def _lane_rows(self, lane: int, first: int, order: IntArray, ends: IntArray) -> IntArray:
        """Rows `first` to `first + unroll` of a lane as of `_read_passage`, shape (5, unroll)."""
        row = lane * self.lane_rows + first
        place = int(np.searchsorted(ends, row, side="right"))
        parts, wanted = [], self.unroll
        while wanted:
            passage = self._passage(lane, int(order[place]))
            inside = row - (int(ends[place]) - passage.shape[1])
            part = passage[:, inside : inside + wanted]
            parts.append(part)
            wanted -= part.shape[1]
            row += part.shape[1]
            place += 1
        return np.concatenate(parts, axis=1)

    def _passage(self, lane: int, number: int) -> IntArray:
        """A lane comes back to its passage window after window, so it stays open."""
        if self._open.get(lane, (-1, None))[0] != number:
            self._open[lane] = number, _read_passage(self.corpus.train[number], self.carry_state)
        return self._open[lane][1]


def _read_passage(types: npt.NDArray[np.int32], carry_state: bool) -> IntArray:
    """Forward and backward input, forward and backward target, and whether the state begins afresh, (5, n_rows)."""
    n_rows = len(types)
    firsts = np.flatnonzero(types == BEGIN_SENTENCE)
    ends = np.append(firsts[1:], n_rows)
    lengths = ends - firsts
    first, end = np.repeat(firsts, lengths), np.repeat(ends, lengths)
    rows = np.empty((5, n_rows), dtype=np.int64)
    place = np.arange(n_rows)
    rows[0] = types
    rows[1] = types[np.where(place == first, first, first + end - place)]
    rows[1, firsts] = END_SENTENCE
    rows[2, :-1] = types[1:]
    rows[2, ends - 1] = END_SENTENCE
    rows[3] = types[first + end - 1 - place]
    rows[4] = place == 0 if carry_state else place == first
    return rows
