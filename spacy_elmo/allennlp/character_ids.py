"""Words to padded tensors of character ids, and such tensors to the word types that a biLM runs on."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..bilm.characters import BOUNDARY_WORDS, boundary_ids, word_ids
from ..bilm.sentences import Sentences, as_words
from ..bilm.words import WordTypes
from ..errors import ArgumentError

# What every AllenNLP model and nearly every published one has.
MAX_CHARACTERS = 50

Ids = npt.NDArray[np.int64]


def batch_to_ids(batch: Sentences, max_characters: int = MAX_CHARACTERS) -> Tensor:
    """The character ids of tokenised sentences, as `Elmo` takes them.

    Args:
        batch: Tokenised sentences, without boundaries: see `as_words` for what may be given. "<S>" and "</S>" among the
            words mean the boundaries.
        max_characters: Of a word, its two marks included; other than 50 only for a model whose config says so.

    Returns:
        int64 (n_sentences, the most words of a sentence, max_characters), zeros after a sentence's last word.

    Raises:
        TypeError: If `batch` are not tokenised sentences.
    """
    sentences = as_words(batch)
    ids = np.zeros((len(sentences), max(map(len, sentences), default=0), max_characters), dtype=np.int64)
    for row, sentence in zip(ids, sentences, strict=True):
        row[: len(sentence)] = word_ids(sentence, max_characters, BOUNDARY_WORDS)
    return torch.from_numpy(ids)


def word_types(ids: Ids) -> WordTypes:
    """The word types of sentences given as character ids, each put between its boundaries, also an empty one.

    Args:
        ids: int64 (n_sentences, n_words, n_characters), zeros after a sentence's last word.

    Raises:
        ArgumentError: If a row of zeros stands between words: it cannot be padding, and there is no such word.
    """
    is_word = np.any(ids, axis=2)
    n_words = is_word.sum(axis=1)
    gaps = np.any(is_word[:, 1:] > is_word[:, :-1], axis=1)
    if gaps.any():
        row = int(gaps.argmax())
        raise ArgumentError(
            f"The character ids of sentence {row} have a row of zeros before a word. Zeros are padding, which belongs "
            f"after a sentence's last word; `batch_to_ids` puts it there."
        )
    boundaries = boundary_ids(ids.shape[2])
    # A dict of rows finds the distinct ones many times faster than sorting them.
    numbers = {row.tobytes(): number for number, row in enumerate(boundaries)}
    lengths = (n_words + 2).tolist()
    ends = np.cumsum(lengths)
    tokens = np.ones(sum(lengths), dtype=np.int64)  # </S> where no word and no <S> stands
    tokens[ends - lengths] = 0
    words = np.ones(len(tokens), dtype=bool)
    words[ends - lengths] = words[ends - 1] = False
    rows = np.ascontiguousarray(ids[is_word])
    tokens[words] = [numbers.setdefault(row.tobytes(), len(numbers)) for row in rows]
    types = np.frombuffer(b"".join(numbers), dtype=np.int64).reshape(len(numbers), -1)
    return WordTypes(types.copy(), tokens, lengths)
