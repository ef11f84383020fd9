"""Vectors of sentences and whole texts, and how alike two of them are.

What a sentence's words become one vector by: `mean_vector`, which is what `Doc._.elmo` and `Span._.elmo` give;
`max_vector`; or `WordFrequencies.vector`, in which frequent words count less. Each of the component's vectors or of one
layer. But all sentences share much of such a vector, so that unrelated ones, too, have cosines of 0.5 and more:
`SentenceVectors` learns what they share, from texts without labels, and takes it out. What is worth most, `python -m
experiments.similarity` measured.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from spacy.tokens import Doc, Span

from .errors import ElmoError
from .language.sampler import log_uniform
from .layers import slot
from .layers.types import Array

__all__ = ["SentenceVectors", "SimilarityError", "WordFrequencies", "cosine", "max_vector", "mean_vector"]

# The a of Arora et al. 2017: a word as frequent as that counts half.
SMOOTHING = 1e-3


class SimilarityError(ElmoError, ValueError):
    """Vectors that are not there or of different models, or no texts to learn from."""


def mean_vector(tokens: Doc | Span, layer: int | None = None) -> Array | None:
    """The mean of the words' ELMo vectors, (width,) float32.

    Punctuation does not count, for it would make all sentences alike; unless there is nothing else. Zeros for
    whitespace alone.

    Args:
        tokens: A Doc, or a part of one.
        layer: Of which layer, for which the component has to have `keep_layers`; None for the component's own vectors.

    Returns:
        The vector; None where the component has not run.

    Raises:
        SimilarityError: The layer is not there.
    """
    found = _word_vectors(tokens, layer)
    return None if found is None else _pooled(found[1], lambda rows: rows.mean(axis=0))


def max_vector(tokens: Doc | Span, layer: int | None = None) -> Array | None:
    """The largest value of each column of the words' ELMo vectors, (width,) float32; else as `mean_vector`."""
    found = _word_vectors(tokens, layer)
    return None if found is None else _pooled(found[1], lambda rows: rows.max(axis=0))


@dataclass(frozen=True)
class WordFrequencies:
    """How frequent words are, so that a frequent one counts less: a / (a + p), p its frequency (Arora et al. 2017).

    Attributes:
        shares: p of words in small letters; of others it is 0.
    """

    shares: Mapping[str, float]

    @classmethod
    def of(cls, texts: Iterable[Doc | Span]) -> "WordFrequencies":
        """As they are in texts.

        Raises:
            SimilarityError: There are no words.
        """
        counts = Counter(token.lower_ for text in texts for token in _read(text) if not token.text.isspace())
        if not counts:
            raise SimilarityError("There are no words whose frequencies could be learned.")
        n = counts.total()
        return cls({word: count / n for word, count in counts.items()})

    @classmethod
    def of_vocabulary(cls, vocabulary: Sequence[str]) -> "WordFrequencies":
        """As a language model takes them to be, whose words stand by descending frequency: by Zipf's law."""
        shares: Counter[str] = Counter()
        for word, share in zip(vocabulary, log_uniform(len(vocabulary)).tolist(), strict=True):
            shares[word.lower()] += share
        return cls(shares)

    def weights(self, words: Iterable[str]) -> Array:
        """What words count, between 0 and 1, (n_words,) float32."""
        return np.array([SMOOTHING / (SMOOTHING + self.shares.get(word.lower(), 0.0)) for word in words], dtype="f4")

    def vector(self, tokens: Doc | Span, layer: int | None = None) -> Array | None:
        """The weighted mean of the words' ELMo vectors, (width,) float32; else as `mean_vector`."""
        found = _word_vectors(tokens, layer)
        if found is None:
            return None
        words, rows = found
        return _pooled(rows, lambda rows: np.average(rows, axis=0, weights=self.weights(words)))


def cosine(one: Array, other: Array) -> float:
    """The cosine of two vectors, 0 where one of them is zero.

    Raises:
        SimilarityError: They are of different widths.
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

    A text's vector is `pool` of it, minus the mean of these over the texts that this was fitted on (the first step of
    Mu and Viswanath 2018, "All-but-the-top"; their second, and weights by the words' frequency, brought nothing here).

        vectors = SentenceVectors.fit(nlp.pipe(texts))
        vectors.similarity(nlp("How do I get there?"), nlp("Which way is it?"))

    Attributes:
        mean: (width,) float32, what all texts share. To be kept with a pipeline: `SentenceVectors(np.load(...))`.
        pool: What makes one vector of a text: `mean_vector`, `max_vector`, the `vector` of `WordFrequencies`, or one of
            them with a layer by `functools.partial`.
    """

    mean: Array
    pool: Callable[[Doc | Span], Array | None] = mean_vector

    @classmethod
    def fit(
        cls, texts: Iterable[Doc | Span], pool: Callable[[Doc | Span], Array | None] = mean_vector
    ) -> "SentenceVectors":
        """Learn what texts share.

        Args:
            texts: Docs on which the component "elmo" has run, or parts of them, of the length and kind that are to be
                compared. A hundred or more. Those without words do not count.
            pool: See above.

        Raises:
            SimilarityError: There are no texts, or none with words; or one has no ELMo vectors.
        """
        found = [vector for text in texts if (vector := _known_vector(text, pool)).any()]
        if not found:
            raise SimilarityError("There are no texts to learn from: give some of the kind that is to be compared.")
        return cls(np.mean(found, axis=0), pool)

    def vector(self, text: Doc | Span) -> Array:
        """The vector of a text, (width,) float32; zeros where it has no words.

        Raises:
            SimilarityError: It has no ELMo vectors, or those of another model than the texts that this was fitted on.
        """
        vector = _known_vector(text, self.pool)
        if vector.shape != self.mean.shape:
            raise SimilarityError(
                f"These sentence vectors were fitted on ELMo vectors of width {len(self.mean)}, and those of "
                f"{text.text[:50]!r} are {len(vector)} wide: they are another model's."
            )
        return vector - self.mean if vector.any() else vector

    def similarity(self, one: Doc | Span, other: Doc | Span) -> float:
        """The cosine of two texts' vectors: around 0 for unrelated ones, 1 for the same."""
        return cosine(self.vector(one), self.vector(other))


def _read(text: Doc | Span) -> Doc | Span:
    """The text, if it is not still a string."""
    if not isinstance(text, Doc | Span):
        raise SimilarityError(f"A sentence vector is of a Doc or a Span, and not {text!r}: give what nlp.pipe gives.")
    return text


def _known_vector(text: Doc | Span, pool: Callable[[Doc | Span], Array | None]) -> Array:
    vector = pool(_read(text))
    if vector is None:
        raise SimilarityError(f"{text.text[:50]!r} has no ELMo vectors: 'elmo' has not run on its Doc.")
    return vector


def _word_vectors(tokens: Doc | Span, layer: int | None) -> tuple[list[str], Array] | None:
    """The words that count, and their vectors, (n_words, width); None where the component has not run."""
    tokens = _read(tokens)
    start = tokens.start if isinstance(tokens, Span) else 0
    vectors = slot.last(tokens.doc, "vectors", start, start + len(tokens))
    if vectors is None:
        return None
    if layer is not None:
        vectors = _layer(tokens, layer)
    words = [token for token in tokens if not token.text.isspace()]
    counted = [token for token in words if not token.is_punct] or words
    return [token.text for token in counted], vectors[[token.i for token in counted]]


def _layer(tokens: Doc | Span, layer: int) -> Array:
    layers = slot.last(tokens.doc, "layers")
    if layers is None or not -len(layers) <= layer < len(layers):
        there = "none at all" if layers is None else f"0 to {len(layers) - 1}"
        raise SimilarityError(
            f"There is no layer {layer} on the Doc of {tokens.text[:50]!r}, but {there}. A component 'elmo' with "
            f"keep_layers = true leaves all of its model's there."
        )
    chosen: Array = layers[layer]
    return chosen


def _pooled(rows: Array, pool: Callable[[Array], Array]) -> Array:
    """Zeros where there are no words."""
    return np.asarray(pool(rows) if len(rows) else np.zeros(rows.shape[1]), dtype=np.float32)
