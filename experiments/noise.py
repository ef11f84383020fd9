"""Put typing errors into a labelled data set.

    python -m experiments.noise INPUT.spacy OUTPUT.spacy [--rate 0.1] [--seed 0]

Each word gets one error with the probability --rate: `spacy_elmo.augment` says what a word is, and what an error. The
same seed gives the same errors, and those of a small rate are among those of a larger one.

Tokens, the spaces between them, entities, categories and all other annotations stay as they are.
"""

import argparse
from pathlib import Path
from random import Random

from spacy.tokens import Doc

from spacy_elmo.augment import is_word, with_typos, with_words

from .datasets import read_docs, write_docs


def noised(docs: list[Doc], rate: float, seed: int) -> list[Doc]:
    """Copies of the docs with errors in about a share `rate` of their words."""
    chance = Random(seed)
    return [with_words(doc, with_typos([token.text for token in doc], rate, chance)) for doc in docs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if not 0 <= arguments.rate <= 1:
        raise SystemExit(f"--rate {arguments.rate}: a probability is from 0 to 1.")
    docs = read_docs(arguments.input)
    copies = noised(docs, arguments.rate, arguments.seed)
    write_docs(copies, arguments.output)
    pairs = [(a.text, b.text) for doc, copy in zip(docs, copies, strict=True) for a, b in zip(doc, copy, strict=True)]
    changed = sum(one != other for one, other in pairs)
    print(f"{arguments.output}: errors in {changed} of {sum(is_word(one) for one, _ in pairs)} words")


if __name__ == "__main__":
    main()
