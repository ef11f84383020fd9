"""How little a language model expected each word, and what it expected in its place."""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..corpus.corpus import MARKS, UNKNOWN, class_numbers
from ..language import LanguageModel
from .errors import ExplainError
from .occurrences import Occurrence
from .predictions import predict_places

Values = npt.NDArray[np.float64]
# How a word outside the vocabulary is called where it is what was expected.
UNKNOWN_WORD = "(unknown word)"
Likely = tuple[tuple[str, float], ...]
# Sentences whose words, with what was expected in their places, are there at a time.
MAX_SENTENCES = 2_000


@dataclass(frozen=True)
class Cloze:
    """The likeliest words at a place, each with its probability.

    Attributes:
        forward: Given the words before.
        backward: Given the words after.
        both: Given both, see `predictions.Places`.
    """

    forward: Likely
    backward: Likely
    both: Likely


@dataclass(frozen=True)
class Surprisal:
    """Of one sentence, -log2 P of each word in bits.

    Attributes:
        words: The sentence.
        known: Which words are in the vocabulary; of another one this is the surprisal of any word outside.
        forward: Given the words before, (n_words,).
        backward: Given the words after, (n_words,).
        both: Given both, (n_words,).
        clozes: What was expected at each place.
    """

    words: tuple[str, ...]
    known: tuple[bool, ...]
    forward: Values
    backward: Values
    both: Values
    clozes: tuple[Cloze, ...]


@dataclass(frozen=True)
class SurprisalReport:
    """The sentences of a text."""

    sentences: tuple[Surprisal, ...]


@dataclass(frozen=True)
class Gap:
    """A place without a word, and what would stand there.

    Attributes:
        before: The words before it.
        after: The words after it.
        cloze: What is expected.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    cloze: Cloze


@dataclass(frozen=True)
class Unexpected:
    """A word that a language model did not expect where it stands.

    Attributes:
        occurrence: The word.
        bits: How little, given both sides; of a word outside the vocabulary with log2 of the vocabulary's size added,
            as if there were as many words outside, all equally likely.
        expected: What it expected.
    """

    occurrence: Occurrence
    bits: float
    expected: Likely


@dataclass(frozen=True)
class UnexpectedWords:
    """The least expected words of some texts, the least expected first.

    Attributes:
        found: These words.
        n_words: Of the texts.
        n_sentences: Of the texts.
    """

    found: tuple[Unexpected, ...]
    n_words: int
    n_sentences: int


def measure_surprisal(model: LanguageModel, sentences: Sequence[Sequence[str]], n_likely: int = 8) -> SurprisalReport:
    """Measure the surprisal of each word, and find what was likelier.

    Args:
        model: A language model, see `load_language_model`.
        sentences: Lists of words, each read alone.
        n_likely: How many words to tell of each place.

    Raises:
        ExplainError: There are no words.
    """
    if not any(sentences):
        raise ExplainError("There are no words in these texts.")
    numbers = class_numbers(model.vocabulary)
    parts: list[list[tuple[Values, list[Cloze]]]] = [[] for _ in sentences]
    for places in predict_places(model, sentences):
        distributions = places.forward, places.backward, places.both
        words = sentences[places.sentence][places.first : places.first + len(places.both)]
        wanted = torch.tensor([numbers.get(word, UNKNOWN) for word in words], device=places.both.device)[:, None]
        bits = np.stack([-one.gather(1, wanted)[:, 0].double().cpu().numpy() / math.log(2) for one in distributions])
        likely = [_likely(model, one, n_likely) for one in distributions]
        parts[places.sentence].append((bits, [Cloze(*three) for three in zip(*likely, strict=True)]))
    return SurprisalReport(
        tuple(_sentence(words, found, numbers) for words, found in zip(sentences, parts, strict=True))
    )


def _sentence(words: Sequence[str], parts: list[tuple[Values, list[Cloze]]], numbers: dict[str, int]) -> Surprisal:
    forward, backward, both = np.concatenate([np.empty((3, 0)), *(bits for bits, _ in parts)], axis=1)
    clozes = tuple(cloze for _, clozes in parts for cloze in clozes)
    return Surprisal(tuple(words), tuple(word in numbers for word in words), forward, backward, both, clozes)


def fill_gap(model: LanguageModel, before: Sequence[str], after: Sequence[str], n_likely: int = 12) -> Gap:
    """Find the likeliest words for a gap.

    Args:
        model: A language model.
        before: The words before it, from the beginning of the sentence.
        after: The words after it, to the end.
        n_likely: How many to tell.
    """
    # Neither direction has read the word itself, whatever stands there.
    (found,) = measure_surprisal(model, [[*before, MARKS[UNKNOWN], *after]], n_likely).sentences
    return Gap(tuple(before), tuple(after), found.clozes[len(before)])


def least_expected(model: LanguageModel, sentences: Sequence[Sequence[str]], n: int = 50) -> UnexpectedWords:
    """Find the words of texts that a language model expected least: errors, names, and what is new.

    Args:
        model: A language model.
        sentences: Lists of words.
        n: How many to find.

    Raises:
        ExplainError: There are no words.
    """
    filled = [words for words in sentences if words]
    if not filled:
        raise ExplainError("There are no words in these texts.")
    parts = (filled[i : i + MAX_SENTENCES] for i in range(0, len(filled), MAX_SENTENCES))
    found = heapq.nlargest(n, chain.from_iterable(_unexpected(model, part) for part in parts), key=lambda one: one.bits)
    return UnexpectedWords(tuple(found), sum(map(len, sentences)), len(sentences))


def _unexpected(model: LanguageModel, sentences: Sequence[Sequence[str]]) -> Iterator[Unexpected]:
    """All words of some sentences."""
    for surprisal in measure_surprisal(model, sentences, 3).sentences:
        bits = surprisal.both + np.where(surprisal.known, 0, math.log2(len(model.vocabulary)))
        for i, cloze in enumerate(surprisal.clozes):
            yield Unexpected(Occurrence(surprisal.words, i), float(bits[i]), cloze.both)


def _likely(model: LanguageModel, log_probabilities: Tensor, n: int) -> list[Likely]:
    """Of each place; the marks of a sentence's ends are no words, and left out."""
    logits = log_probabilities.clone()
    logits[:, :UNKNOWN] = -torch.inf
    values, classes = logits.topk(min(n, logits.shape[1] - UNKNOWN), dim=1)
    return [
        tuple(
            (UNKNOWN_WORD if c == UNKNOWN else model.vocabulary[c], math.exp(value))
            for c, value in zip(row_classes, row, strict=True)
        )
        for row_classes, row in zip(classes.tolist(), values.tolist(), strict=True)
    ]
