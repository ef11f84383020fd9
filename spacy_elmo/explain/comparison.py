"""Two sentences, word by word: how near each word of one is to each of the other, in every layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..bilm import BiLM
from .errors import ExplainError

Array = npt.NDArray[np.float32]


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
    """

    one: tuple[str, ...]
    other: tuple[str, ...]
    cosines: Array
    mean: Array
    largest: Array


def compare(bilm: BiLM, one: Sequence[str], other: Sequence[str]) -> Comparison:
    """Compare two sentences.

    Args:
        bilm: The model.
        one: The words of the first sentence.
        other: Those of the second one.

    Raises:
        ExplainError: One of them has no word.
    """
    if not one or not other:
        raise ExplainError("There is nothing to compare: a sentence has no words.")
    vectors = [np.concatenate([a, a.mean(axis=0, keepdims=True)]) for a in bilm.embed([one, other])]
    a, b = vectors
    counted = [layers[:, _counted(words)] for layers, words in zip(vectors, (one, other), strict=True)]
    mean, largest = (
        np.einsum("kd,kd->k", *(_unit(pool(layers, axis=1)) for layers in counted)) for pool in (np.mean, np.max)
    )
    return Comparison(tuple(one), tuple(other), _unit(a) @ _unit(b).transpose(0, 2, 1), mean, largest)


def _counted(words: Sequence[str]) -> list[int]:
    """The words that are no punctuation, or all where there are no others."""
    return [i for i, word in enumerate(words) if any(map(str.isalnum, word))] or list(range(len(words)))


def _unit(vectors: Array) -> Array:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Array = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
    return unit
