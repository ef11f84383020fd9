"""Texts to sentences of words, in memory."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from .corpus import BEGIN_SENTENCE
from .files import find
from .texts import Texts
from .tokenize import TextSettings
from .workers import tokenized


def read_sentences(paths: Sequence[Path], settings: TextSettings) -> Iterator[list[str]]:
    """The sentences of texts, made as for a corpus.

    Args:
        paths: Files, directories or globs, see `files.find`.
        settings: How texts become sentences.

    Raises:
        CorpusError: A text cannot be read or tokenised.
    """
    for _, tokens in tokenized(Texts(find(paths), settings.format).pieces(), settings, 1):
        firsts = np.flatnonzero(tokens.rows == BEGIN_SENTENCE).tolist()
        for start, end in pairwise([*firsts, len(tokens.rows)]):
            yield [tokens.words[i - 1] for i in tokens.rows[start + 1 : end].tolist()]
