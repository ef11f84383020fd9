"""How well the model of a run predicts the held-out texts."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..corpus.corpus import BEGIN_SENTENCE, Corpus
from ..language import LanguageModel, Perplexity, score
from ..language.perplexity import totals
from .distributed import Ranks


def heldout_sentences(corpus: Corpus, max_words: int) -> Iterator[list[str]]:
    """The held-out sentences, up to the one that completes `max_words`; all for 0."""
    n_words = 0
    for i in range(len(corpus.heldout)):
        passage = corpus.heldout[i]
        for sentence in np.split(passage, np.flatnonzero(passage == BEGIN_SENTENCE)[1:]):
            if max_words and n_words >= max_words:
                return
            yield [corpus.words.word(number) for number in sentence[1:].tolist()]
            n_words += len(sentence) - 1


def evaluate(model: LanguageModel, sentences: Sequence[list[str]], ranks: Ranks) -> dict[str, Any]:
    """Score sentences, each rank its share of them.

    Returns:
        JSON-ready facts, for the log and beside a model; the same on all ranks.
    """
    mine = score(model, sentences[ranks.rank :: ranks.size])
    perplexity = Perplexity.from_totals(ranks.sum(totals(mine)))
    return {
        "perplexity": perplexity.average,
        "forward_perplexity": perplexity.forward,
        "backward_perplexity": perplexity.backward,
        "mean_log_probability": -math.log(perplexity.average),
        "heldout_predictions": perplexity.n_predictions,
        "heldout_unknown": perplexity.n_unknown,
        "unknown_share": perplexity.unknown_share,
    }
