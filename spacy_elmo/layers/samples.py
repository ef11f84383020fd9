"""Span getters for long texts: some of a Doc's sentences in place of all. What is in no span is not read.

As settings of the component "elmo" and of `SpanMeans` alike, they say by the config how much of a text is read. A Doc
without sentence boundaries counts as one sentence, as everywhere: spaCy initializes components with such Docs, before
any other component has run.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from spacy.tokens import Doc, Span

from ..errors import ArgumentError
from .spans import sentences_or_doc


def _check(n: int) -> None:
    if n < 1:
        raise ArgumentError(f"The sentences that are read of a text are 1 or more, and not n = {n}.")


@dataclass(frozen=True)
class FirstSentences:
    """The span getter "spacy-elmo.first_sentences.v1": the sentences at the beginning of a Doc.

    Args:
        n: How many sentences.
    """

    n: int

    def __post_init__(self) -> None:
        """Check the number."""
        _check(self.n)

    def __call__(self, docs: Iterable[Doc]) -> list[list[Span]]:
        """The sentences of each Doc."""
        return [sentences[: self.n] for sentences in sentences_or_doc(docs)]


@dataclass(frozen=True)
class SampledSentences:
    """The span getter "spacy-elmo.sampled_sentences.v1": sentences of a Doc, drawn at random, in their order.

    For the same Doc they are always the same.

    Args:
        n: How many sentences; if the Doc has no more, all of them.
        seed: Another seed draws other sentences.
    """

    n: int
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the number."""
        _check(self.n)

    def __call__(self, docs: Iterable[Doc]) -> list[list[Span]]:
        """The sentences of each Doc."""
        return [self._sample(sentences) for sentences in sentences_or_doc(docs)]

    def _sample(self, sentences: list[Span]) -> list[Span]:
        if len(sentences) <= self.n:
            return sentences
        drawn = random.Random(f"{self.seed} {len(sentences)}").sample(range(len(sentences)), self.n)
        return [sentences[i] for i in sorted(drawn)]
