"""How well a language model predicts texts it has not seen, without any sampling."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from ..bilm import BiLMState
from ..bilm.inference import batches
from ..bilm.sentences import Sentences, as_words
from ..bilm.words import WordTypes
from ..corpus.corpus import UNKNOWN, class_numbers
from ..errors import ArgumentError
from .model import LanguageModel


@dataclass(frozen=True)
class SentenceScore:
    """Log-probabilities of one sentence in nats, natural logarithms, by the softmax over the whole vocabulary.

    Attributes:
        forward: Of each word given those before it, and last of the sentence's end, shape (n_words + 1,) float32.
        backward: Of the sentence's beginning given all words, then of each word given those after it, same shape.
        n_unknown: Words that are not in the vocabulary, predicted as <UNK>.
    """

    forward: npt.NDArray[np.float32]
    backward: npt.NDArray[np.float32]
    n_unknown: int

    @property
    def perplexity(self) -> "Perplexity":
        """Of this sentence alone."""
        return Perplexity.of([self])


@dataclass(frozen=True)
class Perplexity:
    """exp of the mean negative log-probability of a prediction; the words and one sentence boundary each count.

    Attributes:
        forward: Of the left-to-right model.
        backward: Of the right-to-left model.
        n_predictions: In each direction.
        n_unknown: Words among them that are not in the vocabulary. Predicting <UNK> is easier than predicting a word,
            so perplexities compare only between models of one vocabulary, on one tokenisation.
    """

    forward: float
    backward: float
    n_predictions: int
    n_unknown: int

    @property
    def average(self) -> float:
        """exp of the mean of both directions' means."""
        return math.sqrt(self.forward * self.backward)

    @property
    def unknown_share(self) -> float:
        """Of the predictions, those of words that are not in the vocabulary."""
        return self.n_unknown / self.n_predictions

    @classmethod
    def of(cls, scores: Sequence[SentenceScore]) -> "Perplexity":
        """Of all sentences together. Raises ArgumentError where there is nothing to predict."""
        return cls.from_totals(totals(scores))

    @classmethod
    def from_totals(cls, sums: Sequence[float]) -> "Perplexity":
        """From `totals`, or sums of them."""
        forward, backward, n_predictions, n_unknown = sums
        if not n_predictions:
            raise ArgumentError("There is no perplexity of no text.")
        return cls(_exp(-forward / n_predictions), _exp(-backward / n_predictions), int(n_predictions), int(n_unknown))


def totals(scores: Sequence[SentenceScore]) -> list[float]:
    """Of sentences the summed log-probabilities forward and backward, predictions, and unknown words."""
    each = [(float(one.forward.sum()), float(one.backward.sum()), len(one.forward), one.n_unknown) for one in scores]
    return np.sum(each or np.zeros((0, 4)), axis=0).tolist()


def score(model: LanguageModel, sentences: Sentences) -> list[SentenceScore]:
    """Score sentences, each alone and from a fresh state, exactly as `BiLM.embed` reads them.

    Args:
        model: On any device.
        sentences: Lists of words, or what else holds them, see `as_words`.

    Raises:
        TypeError: A text stands in the place of a list of words, or something that is no string in that of a word.
    """
    words = as_words(sentences)
    numbers = class_numbers(model.vocabulary)
    ends = np.cumsum([0, *(len(sentence) + 1 for sentence in words)])
    # One array for all sentences: thousands of small ones, between arrays of all words' scores, left memory in pieces.
    forward, backward = found = np.empty((2, ends[-1]), dtype=np.float32)
    # An empty sentence still has an end to predict; its length of 1 keeps it among the others.
    for batch in batches([max(1, len(sentence)) for sentence in words]):
        places = np.concatenate([np.arange(ends[i], ends[i + 1]) for i in batch])
        found[:, places] = _score_batch(model, [words[i] for i in batch], numbers)
    return [
        SentenceScore(forward[start:end], backward[start:end], sum(word not in numbers for word in sentence))
        for (start, end), sentence in zip(pairwise(ends), words, strict=True)
    ]


def _score_batch(
    model: LanguageModel, sentences: Sequence[Sequence[str]], numbers: dict[str, int]
) -> npt.NDArray[np.float32]:
    """Forward and backward log-probabilities of sentences one after another, (2, sum of n_words + 1)."""
    types = WordTypes.of(sentences, model.bilm.word_encoder)
    layers, _ = model.bilm.engine.run(types, BiLMState.zeros(model.bilm.config, len(sentences), model.bilm.device))
    forward, backward = layers[-1].chunk(2, dim=1)
    targets = [[0, *(numbers.get(word, UNKNOWN) for word in sentence), 1] for sentence in sentences]
    wanted = torch.tensor([target for sentence in targets for target in sentence], device=model.bilm.device)
    ends = np.cumsum(types.lengths)
    # Nothing is predicted after a sentence's end, or before its beginning.
    has_next, has_last = np.ones((2, len(wanted)), dtype=bool)
    has_next[ends - 1] = has_last[ends - types.lengths] = False
    # Of all sentences at once, for the sake of the products.
    found = (
        model.softmax.log_probabilities(forward[has_next], wanted[has_last]),
        model.softmax.log_probabilities(backward[has_last], wanted[has_next]),
    )
    return torch.stack(found).cpu().numpy()


def _exp(nats: float) -> float:
    return math.exp(nats) if nats < 700 else math.inf
