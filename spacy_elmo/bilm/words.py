"""The distinct words of a batch, so that the character CNN sees each of them once."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from .characters import boundary_ids, word_ids

# Boundary marks of a sentence, one at each end, and the first types: <S> is type 0, </S> type 1.
BOUNDARIES = 2


@dataclass(frozen=True)
class WordTypes:
    """The word types of some sentences, with each sentence put between <S> and </S>.

    ids: character ids of each type, shape (n_types, max_characters); <S> and </S> are types 0 and 1.
    tokens: the type of each token, all sentences and their boundaries in one row, shape (n_rows,).
    lengths: tokens of each sentence, boundaries included.
    """

    ids: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int64]
    lengths: list[int]

    @classmethod
    def of(cls, sentences: Sequence[Sequence[str]], max_characters: int) -> "WordTypes":
        number = {word: i for i, word in enumerate(dict.fromkeys(chain.from_iterable(sentences)), start=BOUNDARIES)}
        ids = np.concatenate([boundary_ids(max_characters), word_ids(list(number), max_characters)])
        lengths = [len(sentence) + BOUNDARIES for sentence in sentences]
        tokens = np.fromiter(
            chain.from_iterable((0, *map(number.__getitem__, sentence), 1) for sentence in sentences),
            dtype=np.int64,
            count=sum(lengths),
        )
        return cls(ids, tokens, lengths)
