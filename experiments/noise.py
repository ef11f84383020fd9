"""Put typing errors into a labelled data set.

    python -m experiments.noise INPUT.spacy OUTPUT.spacy [--rate 0.1] [--seed 0]

A word is a token with two letters or more. Each gets one error with the probability --rate. An error is one of the four
kinds that Damerau (1964) found in most misspelt words: two neighbouring letters change places; or a letter is left out,
replaced by another, or followed by one too many. As in the keyboard noise of Belinkov and Bisk (2018), the wrong letter
is that of a key next to the right one on a QWERTY keyboard, here in the same case; for a letter without a key there it
is any from a to z. The kinds are equally likely, and so are the places in a word; only unlike letters change places.

The same seed gives the same errors, and those of a small rate are among those of a larger one.

Tokens, the spaces between them, entities, categories and all other annotations stay as they are.
"""

import argparse
from pathlib import Path
from random import Random
from string import ascii_lowercase
from typing import Any

from spacy.attrs import NORM, ORTH
from spacy.tokens import Doc, DocBin, Span

from .datasets import read_docs, write_docs

# Each row of keys, and how far it is moved to the right of the first, in keys.
KEYS = (("qwertyuiop", 0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))
PLACES = {letter: (x + shift, y) for y, (row, shift) in enumerate(KEYS) for x, letter in enumerate(row)}
# The keys that touch a letter's key: those beside it, and those of the next rows less than a key to its left or right.
NEXT = {
    key: [other for other, (u, v) in PLACES.items() if other != key and max(abs(u - x), abs(v - y)) <= 1]
    for key, (x, y) in PLACES.items()
}
# Not the norm: it is of the word, and components read it.
ANNOTATIONS: list[int | str] = [attribute for attribute in DocBin().attrs if attribute not in (ORTH, NORM)]


def is_word(token: str) -> bool:
    return sum(map(str.isalpha, token)) >= 2


def misspelt(word: str, chance: Random) -> str:
    """The word with one error, which is never the word itself."""
    letters = [i for i, character in enumerate(word) if character.isalpha()]
    pairs = [i for i in letters if word[i + 1 : i + 2].isalpha() and word[i] != word[i + 1]]
    error = chance.choice(["omission", "substitution", "insertion", *(["transposition"] if pairs else [])])
    i = chance.choice(pairs if error == "transposition" else letters)
    before, letter, after = word[:i], word[i], word[i + 1 :]
    if error == "transposition":
        return before + after[0] + letter + after[1:]
    if error == "omission":
        return before + after
    other = chance.choice(NEXT.get(letter.lower(), ascii_lowercase))
    other = other.upper() if letter.isupper() else other
    return before + other + after if error == "substitution" else before + letter + other + after


def noised(docs: list[Doc], rate: float, seed: int) -> list[Doc]:
    """Copies of the docs with errors in about a share `rate` of their words."""
    chance = Random(seed)
    copies = []
    for doc in docs:
        words = [token.text for token in doc]
        for i, word in enumerate(words):
            if is_word(word):
                # Drawn for every word, so that what follows does not depend on the rate.
                hit, other = chance.random() < rate, misspelt(word, chance)
                words[i] = other if hit else word
        copies.append(with_words(doc, words))
    return copies


def with_words(doc: Doc, words: list[str]) -> Doc:
    """A copy of a doc with other words for its tokens."""
    spaces = None if doc.has_unknown_spaces else [bool(token.whitespace_) for token in doc]
    copy = Doc(doc.vocab, words=words, spaces=spaces)
    values: Any = doc.to_array(ANNOTATIONS)
    copy.from_array(ANNOTATIONS, values)
    copy.cats = dict(doc.cats)
    # Spans know their characters, too, and these have moved.
    for name, group in doc.spans.items():
        copy.spans[name] = [Span(copy, span.start, span.end, span.label, span.kb_id) for span in group]
    return copy


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
