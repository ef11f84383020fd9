"""Two sentences side by side: how near each word of one is to each of the other, in every layer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..bilm import BiLM
from ..similarity import WordFrequencies
from .directions import Array, directions
from .errors import ExplainError


@dataclass(frozen=True)
class Comparison:
    """The cosines of two sentences' words, and of the sentences.

    The last layer given is the average of all of them, which the component "elmo" writes by default.

    Attributes:
        one: The first sentence.
        other: The second one.
        cosines: (n_layers + 2, n_one, n_other) float32.
        mean: Of the means over words, punctuation left out, (n_layers + 2,) float32.
        largest: Of the largest values of each dimension, (n_layers + 2,) float32.
        weighted: Of the means in which frequent words count less, (n_layers + 2,) float32; None where it is not known
            how frequent they are.
    """

    one: tuple[str, ...]
    other: tuple[str, ...]
    cosines: Array
    mean: Array
    largest: Array
    weighted: Array | None = None


def compare(
    bilm: BiLM, one: Sequence[str], other: Sequence[str], frequencies: WordFrequencies | None = None
) -> Comparison:
    """Compare two sentences.

    Args:
        bilm: The model.
        one: The words of the first sentence.
        other: Those of the second one.
        frequencies: How frequent words are, such as `WordFrequencies.of_vocabulary(language_model.vocabulary)`.

    Raises:
        ExplainError: One of them has no word.
    """
    if not one or not other:
        raise ExplainError("There is nothing to compare: a sentence has no words.")
    vectors = [np.concatenate([a, a.mean(axis=0, keepdims=True)]) for a in bilm.embed([one, other])]
    a, b = map(directions, vectors)
    counted = [_counted(*pair) for pair in zip(vectors, (one, other), strict=True)]

    def similarities(pool: Callable[[Array, list[str]], Array]) -> Array:
        """Of the vectors, (n_layers + 2, width), that `pool` makes of layers and their words."""
        first, second = (directions(pool(*layers_and_words)) for layers_and_words in counted)
        return (first * second).sum(axis=-1)

    def weighted(layers: Array, words: list[str]) -> Array:
        assert frequencies is not None
        return np.average(layers, axis=1, weights=frequencies.weights(words))

    return Comparison(
        tuple(one),
        tuple(other),
        a @ b.transpose(0, 2, 1),
        similarities(lambda layers, _: layers.mean(axis=1)),
        similarities(lambda layers, _: layers.max(axis=1)),
        None if frequencies is None else similarities(weighted),
    )


def _counted(layers: Array, words: Sequence[str]) -> tuple[Array, list[str]]:
    """The words that are no punctuation, or all where there are no others, with their layers."""
    rows = [i for i, word in enumerate(words) if any(map(str.isalnum, word))] or list(range(len(words)))
    return layers[:, rows], [words[i] for i in rows]
