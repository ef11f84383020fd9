"""Vectors of sentences and whole texts, and how alike two of them are.

Two ways, by what `python -m experiments.similarity` measured. `mean_vector` needs nothing but the words, and is what
`Doc._.elmo` and `Span._.elmo` give; but all sentences share much of it, so that unrelated ones, too, have cosines of
0.5 and more. `SentenceVectors` learns what they share, from texts without labels, and takes it out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from spacy.tokens import Doc, Span

from .errors import ElmoError
from .layers import slot
from .layers.types import Array

__all__ = ["SentenceVectors", "SimilarityError", "cosine", "mean_vector"]


class SimilarityError(ElmoError, ValueError):
    """Vectors that are not there or of different models, or no texts to learn from."""


def mean_vector(tokens: Doc | Span) -> Array | None:
    """The mean of the words' ELMo vectors, (width,) float32.

    Punctuation does not count, for it would make all sentences alike; unless there is nothing else. Zeros for
    whitespace alone.

    Args:
        tokens: a Doc, or a part of one.

    Returns:
        The vector; None where the component has not run.
    """
    start = tokens.start if isinstance(tokens, Span) else 0
    vectors = slot.last(tokens.doc, "vectors", start, start + len(tokens))
    if vectors is None:
        return None
    words = [token for token in tokens if not token.text.isspace()]
    rows = [token.i for token in words if not token.is_punct] or [token.i for token in words]
    mean: Array = vectors[rows].mean(axis=0) if rows else np.zeros(vectors.shape[1], dtype=np.float32)
    return mean


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

    A text's vector is `mean_vector`, minus the mean of these over the texts that this was fitted on (the first step of
    Mu and Viswanath 2018, "All-but-the-top"; their second, and weights by the words' frequency, brought nothing here).

        vectors = SentenceVectors.fit(nlp.pipe(texts))
        vectors.similarity(nlp("How do I get there?"), nlp("Which way is it?"))

    Attributes:
        mean: (width,) float32, what all texts share. To be kept with a pipeline: `SentenceVectors(np.load(...))`.
    """

    mean: Array

    @classmethod
    def fit(cls, texts: Iterable[Doc | Span]) -> "SentenceVectors":
        """Learn what texts share.

        Args:
            texts: Docs on which the component "elmo" has run, or parts of them, of the length and kind that are to be
                compared. A hundred or more.

        Raises:
            SimilarityError: there are no texts, or one has no ELMo vectors.
        """
        found = [_known_vector(text) for text in texts]
        if not found:
            raise SimilarityError("There are no texts to learn from: give some of the kind that is to be compared.")
        return cls(np.mean(found, axis=0))

    def vector(self, text: Doc | Span) -> Array:
        """The vector of a text, (width,) float32.

        Raises:
            SimilarityError: it has no ELMo vectors, or those of another model than the texts that this was fitted on.
        """
        vector = _known_vector(text)
        if vector.shape != self.mean.shape:
            raise SimilarityError(
                f"These sentence vectors were fitted on ELMo vectors of width {len(self.mean)}, and those of "
                f"{text.text[:50]!r} are {len(vector)} wide: they are another model's."
            )
        return vector - self.mean

    def similarity(self, one: Doc | Span, other: Doc | Span) -> float:
        """The cosine of two texts' vectors: around 0 for unrelated ones, 1 for the same."""
        return cosine(self.vector(one), self.vector(other))


def _known_vector(text: Doc | Span) -> Array:
    vector = mean_vector(text)
    if vector is None:
        raise SimilarityError(f"{text.text[:50]!r} has no ELMo vectors: 'elmo' has not run on its Doc.")
    return vector
