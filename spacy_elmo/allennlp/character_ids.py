"""Words to padded tensors of character ids, and such tensors to the word types that a biLM runs on."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..bilm.characters import boundary_ids, word_ids
from ..bilm.words import WordTypes

# What every AllenNLP model and nearly every published one has.
MAX_CHARACTERS = 50
# Written as words, AllenNLP takes these for the boundaries themselves.
_BOUNDARIES = ("<S>", "</S>")

Ids = npt.NDArray[np.int64]


def batch_to_ids(batch: Sequence[Sequence[str]], max_characters: int = MAX_CHARACTERS) -> Tensor:
    """The character ids of tokenised sentences, as `Elmo` takes them.

    batch: lists of words, without sentence boundaries; "<S>" and "</S>" among the words mean the boundaries.
    max_characters: of a word, its two marks included; other than 50 only for a model whose config says so.
    RETURNS: int64 (n_sentences, the most words of a sentence, max_characters), zeros after a sentence's last word.
    Raises TypeError where `batch` is not made of lists of strings.
    """
    _check(batch)
    ids = np.zeros((len(batch), max(map(len, batch), default=0), max_characters), dtype=np.int64)
    for row, sentence in zip(ids, batch, strict=True):
        row[: len(sentence)] = encode_words(sentence, max_characters)
    return torch.from_numpy(ids)


def encode_words(words: Sequence[str], max_characters: int) -> Ids:
    """The ids of words, (n_words, max_characters), with AllenNLP's reading of "<S>" and "</S>"."""
    ids = word_ids(words, max_characters)
    boundaries = dict(zip(_BOUNDARIES, boundary_ids(max_characters), strict=True))
    for row, word in zip(ids, words, strict=True):
        if word in boundaries:
            row[:] = boundaries[word]
    return ids


def word_types(ids: Ids) -> WordTypes:
    """The word types of sentences given as ids (n_sentences, n_words, n_characters), zeros after the last word; each
    sentence put between its boundaries, also an empty one.

    Raises ValueError where a row of zeros stands between words: it cannot be padding, and there is no such word.
    """
    is_word = np.any(ids, axis=2)
    n_words = is_word.sum(axis=1)
    gaps = np.any(is_word[:, 1:] > is_word[:, :-1], axis=1)
    if gaps.any():
        row = int(gaps.argmax())
        raise ValueError(
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


def _check(batch: Sequence[Sequence[str]]) -> None:
    if isinstance(batch, str) or any(isinstance(sentence, str) for sentence in batch):
        raise TypeError(
            "`batch_to_ids` takes tokenised sentences, lists of words such as [['A', 'word']], but got a string in "
            "place of a list. Split the text into words first."
        )
