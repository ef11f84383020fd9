"""Vectors of sentences and whole texts, and how alike two of them are.

Two ways, by what `python -m experiments.similarity` measured. `mean_vector` needs nothing but the words, and is what
`Doc._.elmo` and `Span._.elmo` give; but all sentences share much of it, so that unrelated ones, too, have cosines of
0.5 and more. `SentenceVectors` learns what they share, from texts without labels, and takes it out.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from spacy.tokens import Doc, Span

from . import disk
from .errors import ElmoError
from .layers import slot
from .layers.types import Array

__all__ = ["SentenceVectors", "SimilarityError", "cosine", "mean_vector"]

# The a of a / (a + p), a word's weight by its frequency p (Arora et al. 2017, "A simple but tough-to-beat baseline").
SMOOTHING = 1e-3
FORMAT = "spacy-elmo-sentence-vectors"


class SimilarityError(ElmoError, ValueError):
    """Vectors that are not there or of different models, no texts to learn from, a file that holds something else."""


def mean_vector(tokens: Doc | Span) -> Array | None:
    """The mean of the words' ELMo vectors, (width,) float32.

    Punctuation does not count, for it would make all sentences alike; unless there is nothing else. Zeros for
    whitespace alone.

    Args:
        tokens: a Doc, or a part of one.

    Returns:
        The vector; None where the component has not run.
    """
    return _weighted_mean(tokens, {})


def cosine(one: Array, other: Array) -> float:
    """The cosine of two vectors, 0 where one of them is zero.

    Raises:
        SimilarityError: they are of different widths.
    """
    if one.shape != other.shape:
        raise SimilarityError(
            f"These ELMo vectors are of different models: their widths are {len(one)} and {len(other)}."
        )
    norms = np.linalg.norm(one) * np.linalg.norm(other)
    return float(np.dot(one, other) / norms) if norms else 0.0


@dataclass(frozen=True)
class SentenceVectors:
    """Vectors of sentences or texts from which what all of them share is taken out.

    A text's vector is the mean of its words' ELMo vectors, a word of frequency p weighing a / (a + p) with a = 0.001
    (Arora et al. 2017), minus the mean over the texts that this was fitted on (Mu and Viswanath 2018, "All-but-the-
    top").

        texts = list(nlp.pipe(...))
        vectors = SentenceVectors.fit(texts)
        vectors.similarity(nlp("How do I get there?"), nlp("Which way is it?"))

    Attributes:
        mean: (width,) float32, what all texts share.
        frequencies: Of each word that was seen, in lower case, its share of all words.
    """

    mean: Array
    frequencies: dict[str, float]

    @classmethod
    def fit(cls, texts: Iterable[Doc | Span]) -> "SentenceVectors":
        """Learn frequencies and mean.

        Args:
            texts: Docs on which the component "elmo" has run, or parts of them, of the length and kind that are to be
                compared.

        Raises:
            SimilarityError: there are no texts, or one has no ELMo vectors.
        """
        texts = list(texts)
        counts = Counter(token.lower_ for text in texts for token in text if not token.text.isspace())
        if not counts:
            raise SimilarityError("There are no words to learn from: give texts of the kind that is to be compared.")
        frequencies = {word: count / counts.total() for word, count in counts.items()}
        pooled = [_pool(text, frequencies) for text in texts]
        return cls(np.mean(pooled, axis=0), frequencies)

    def vector(self, text: Doc | Span) -> Array:
        """The vector of a text, (width,) float32.

        Raises:
            SimilarityError: it has no ELMo vectors, or those of another model than the texts that this was fitted on.
        """
        pooled = _pool(text, self.frequencies)
        if pooled.shape != self.mean.shape:
            raise SimilarityError(
                f"These sentence vectors were fitted on ELMo vectors of width {len(self.mean)}, and those of "
                f"{text.text[:50]!r} are {len(pooled)} wide: they are another model's."
            )
        return pooled - self.mean

    def similarity(self, one: Doc | Span, other: Doc | Span) -> float:
        """The cosine of two texts' vectors: around 0 for unrelated ones, 1 for the same."""
        return cosine(self.vector(one), self.vector(other))

    def save(self, path: str | PathLike[str]) -> None:
        """Write this to a JSON file."""
        content = {"format": FORMAT, "mean": self.mean.tolist(), "frequencies": self.frequencies}
        disk.write_whole(path, json.dumps(content).encode())

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "SentenceVectors":
        """Read what `save` wrote.

        Raises:
            SimilarityError: the file holds something else.
        """
        content = disk.read_json(Path(path), SimilarityError, max_bytes=1_000_000_000)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise SimilarityError(f"{path}: not what SentenceVectors.save writes.")
        return cls(np.array(content["mean"], dtype=np.float32), content["frequencies"])


def _pool(text: Doc | Span, frequencies: dict[str, float]) -> Array:
    """See `_weighted_mean`; an error where the component has not run."""
    pooled = _weighted_mean(text, frequencies)
    if pooled is None:
        raise SimilarityError(f"{text.text[:50]!r} has no ELMo vectors: 'elmo' has not run on its Doc.")
    return pooled


def _weighted_mean(tokens: Doc | Span, frequencies: dict[str, float]) -> Array | None:
    """The mean over the words, each weighing by how rare it is. None where the component has not run.

    Args:
        tokens: what to take the mean over.
        frequencies: of words in lower case; others weigh 1.
    """
    start = tokens.start if isinstance(tokens, Span) else 0
    vectors = slot.last(tokens.doc, "vectors", start, start + len(tokens))
    if vectors is None:
        return None
    words = [token for token in tokens if not token.text.isspace()]
    words = [token for token in words if not token.is_punct] or words
    if not words:
        return np.zeros(vectors.shape[1], dtype=np.float32)
    weights = [SMOOTHING / (SMOOTHING + frequencies.get(token.lower_, 0.0)) for token in words]
    mean: Array = np.average(vectors[[token.i for token in words]], axis=0, weights=np.array(weights, dtype=np.float32))
    return mean
