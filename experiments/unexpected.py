"""How well the least expected words of a text are its errors.

    python -m experiments.unexpected TEXTS [--model en_elmo_sm] [--sentences 600] [--rate 0.02] [--output OUTPUT]

Puts errors into texts: of each word with the probability --rate, half of them typing errors (`spacy_elmo.augment`),
half other words of the vocabulary, drawn log-uniformly. Then ranks all words by their surprisal, from either direction
and from both, with and without what a word outside the vocabulary costs; beside it, the words outside the vocabulary
first, as a spelling checker has them. Prints the share of errors among the first k (precision at k), the last k being
the number of errors.
"""

import argparse
import math
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np

from spacy_elmo import LanguageModel, load_language_model
from spacy_elmo.augment import is_word, misspelt
from spacy_elmo.corpus.corpus import MARKS
from spacy_elmo.corpus.sentences import read_sentences
from spacy_elmo.explain import measure_surprisal
from spacy_elmo.explain.texts import text_settings

from . import report

KS = (20, 50, 100)


def with_errors(sentences: list[list[str]], vocabulary: list[str], rate: float) -> tuple[list[list[str]], list[bool]]:
    """The sentences with errors, and which words are errors."""
    chance = Random(0)
    changed, errors = [], []
    for words in sentences:
        row = []
        for word in words:
            other = word
            if chance.random() < rate and is_word(word):
                rank = math.exp(chance.uniform(math.log(len(MARKS)), math.log(len(vocabulary))))
                other = misspelt(word, chance) if chance.random() < 0.5 else vocabulary[int(rank)]
            row.append(other)
            errors.append(other != word)
        changed.append(row)
    return changed, errors


def precisions(model: LanguageModel, sentences: list[list[str]], is_error: list[bool]) -> dict[str, dict[int, float]]:
    found = measure_surprisal(model, sentences, 1).sentences
    forward, backward, both = (
        np.concatenate([getattr(one, key) for one in found]) for key in ("forward", "backward", "both")
    )
    unknown = ~np.concatenate([one.known for one in found])
    cost = math.log2(len(model.vocabulary))
    rankings = {
        "words outside the vocabulary first": unknown + 0.0,
        "forward": forward,
        "backward": backward,
        "forward + backward": forward + backward,
        "both sides": both,
        "both sides, unknown words cost more": both + cost * unknown,
    }
    errors = np.array(is_error)
    ks = (*KS, int(errors.sum()))
    return {
        name: {k: float(errors[np.argsort(-bits, kind="stable")[:k]].mean()) for k in ks}
        for name, bits in rankings.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--model", default="en_elmo_sm")
    parser.add_argument("--sentences", type=int, default=600)
    parser.add_argument("--rate", type=float, default=0.02)
    parser.add_argument("--output", type=Path, default=Path("metrics/unexpected"))
    arguments = parser.parse_args()
    model = load_language_model(arguments.model, "cpu")
    sentences = list(islice(read_sentences([arguments.texts], text_settings(arguments.model)), arguments.sentences))
    changed, errors = with_errors(sentences, model.vocabulary, arguments.rate)
    found = precisions(model, changed, errors)
    rows = [[name, *(f"{value:.2f}" for value in values.values())] for name, values in found.items()]
    header = ["ranking", *(f"precision at {k}" for k in next(iter(found.values())))]
    text = (
        f"{sum(errors)} errors in {len(errors):,} words, {len(sentences):,} sentences.\n\n{report.table(header, rows)}"
    )
    report.write(arguments.output, text, {"errors": sum(errors), "words": len(errors), "precision": found})


if __name__ == "__main__":
    main()
