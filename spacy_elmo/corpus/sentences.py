"""Texts to sentences of words, in memory."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .corpus import BEGIN_SENTENCE
from .texts import Texts, find
from .workers import tokenized


def read_sentences(paths: Sequence[Path], nlp_config: dict[str, Any]) -> Iterator[list[str]]:
    """The sentences of files, tokenised as for a corpus (see `prepare`)."""
    for _, tokens in tokenized(Texts(find(paths)).pieces(), nlp_config, 1):
        firsts = np.flatnonzero(tokens.rows == BEGIN_SENTENCE).tolist()
        for start, end in pairwise([*firsts, len(tokens.rows)]):
            yield [tokens.words[i - 1] for i in tokens.rows[start + 1 : end].tolist()]
