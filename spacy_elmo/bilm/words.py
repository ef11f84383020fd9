"""The distinct words of a batch, so that the word encoder sees each of them once."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

# Boundary marks of a sentence, one at each end, and the first types: <S> is type 0, </S> type 1.
BOUNDARIES = 2

Ids = npt.NDArray[np.int64]


class Numbering(Protocol):
    """How words become rows of ids; each kind of word encoder has its own."""

    def word_ids(self, words: Sequence[str]) -> Ids:
        """The numbers of words, (n_words, n)."""

    def boundary_ids(self) -> Ids:
        """Of the marks of begin and end of a sentence, (2, n)."""


class WordEncoder(Numbering, Protocol):
    """What makes vectors of words."""

    def __call__(self, ids: Tensor, operations: Any = ...) -> Tensor:
        """(n_words, n) int64 to (n_words, projection_dim). operations: see `char_features.Operations`."""


@dataclass(frozen=True)
class WordTypes:
    """The word types of some sentences, with each sentence put between <S> and </S>.

    Attributes:
        ids: The row of ids of each type, (n_types, n), see `Numbering`; <S> and </S> are types 0 and 1.
        tokens: The type of each token, all sentences and their boundaries in one row, (n_rows,).
        lengths: Tokens of each sentence, boundaries included.
    """

    ids: Ids
    tokens: npt.NDArray[np.int64]
    lengths: list[int]

    @classmethod
    def of(cls, sentences: Sequence[Sequence[str]], numbering: Numbering) -> "WordTypes":
        """Number the distinct words of sentences in the order in which they come, the boundaries first."""
        number = {word: i for i, word in enumerate(dict.fromkeys(chain.from_iterable(sentences)), start=BOUNDARIES)}
        ids = np.concatenate([numbering.boundary_ids(), numbering.word_ids(list(number))])
        lengths = [len(sentence) + BOUNDARIES for sentence in sentences]
        tokens = np.fromiter(
            chain.from_iterable((0, *map(number.__getitem__, sentence), 1) for sentence in sentences),
            dtype=np.int64,
            count=sum(lengths),
        )
        return cls(ids, tokens, lengths)
