"""Vocabularies that are given, not counted."""

from collections import Counter
from pathlib import Path

import numpy as np

from ..disk import read_json
from .corpus import MARKS, UNKNOWN, Corpus
from .errors import CorpusError

_ADVICE = "A vocabulary is a word a line in UTF-8, or the vocabulary.json of a model."
_MAX_BYTES = 1 << 30


def given_vocabulary(path: Path, corpus: Corpus) -> list[str]:
    """The words that a language model is to predict, from a file.

    Args:
        path: See `read_words`.
        corpus: What the model is trained on.

    Returns:
        "<S>", "</S>", "<UNK>", and then the words, those first that the corpus has more often, as a sampled softmax
        wants it.

    Raises:
        CorpusError: The file is no vocabulary, or the corpus has none of its words.
    """
    vocabulary = [*MARKS, *read_words(path)]
    found = corpus.classes(vocabulary)[len(MARKS) :]  # of words by descending count
    seen = found[found != UNKNOWN]
    if not len(seen):
        raise CorpusError(f"{path}: the texts have none of its words. Is it for texts that are tokenised otherwise?")
    unseen = np.setdiff1d(np.arange(len(MARKS), len(vocabulary)), seen)
    return [*MARKS, *(vocabulary[i] for i in [*seen, *unseen])]


def read_words(path: Path) -> list[str]:
    """The words of a vocabulary file.

    Args:
        path: A word a line in UTF-8; or a JSON list of words, in a file whose name ends in .json. The three marks may
            stand first.

    Raises:
        CorpusError: It is neither, or has a word twice, or none.
    """
    words = _json_words(path) if path.suffix.lower() == ".json" else _lines(path)
    while words and words[0] in MARKS:
        words = words[1:]
    if not words:
        raise CorpusError(f"{path}: no words. {_ADVICE}")
    word, n = Counter(words).most_common(1)[0]
    if n > 1:
        raise CorpusError(f"{path}: the word {word!r} is there {n} times.")
    return words


def _json_words(path: Path) -> list[str]:
    words = read_json(path, CorpusError, _ADVICE, max_bytes=_MAX_BYTES)
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise CorpusError(f"{path}: not a list of words. {_ADVICE}")
    return words


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_bytes().decode("utf-8-sig").removesuffix("\n").split("\n")
    except OSError as error:
        raise CorpusError(f"{path}: not readable ({error.strerror or error}).") from None
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 ({error}). {_ADVICE}") from None
    words = [line.removesuffix("\r") for line in lines]
    for number, word in enumerate(words, 1):
        # Such as a count beside the word, which would make all of them unknown.
        if not word or " " in word or "\t" in word:
            raise CorpusError(f"{path}, line {number}: {word!r} is not one word. {_ADVICE}")
    return words
