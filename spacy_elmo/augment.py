"""Typing errors: a data augmentation for `spacy train`, so that what is trained has seen them.

A word is a token with two letters or more. An error is one of the four kinds that Damerau (1964) found in most misspelt
words: two neighbouring letters change places; or a letter is left out, replaced by another, or followed by one too
many. As in the keyboard noise of Belinkov and Bisk (2018), the wrong letter is that of a key next to the right one on a
QWERTY keyboard, here in the same case; for a letter without a key there it is any from a to z. The kinds are equally
likely, and so are the places in a word; only unlike letters change places.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from random import Random
from string import ascii_lowercase
from typing import Any

from spacy.attrs import NORM, ORTH
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span, SpanGroup
from spacy.training import Example

from .errors import ArgumentError

Augmenter = Callable[[Language, Example], Iterator[Example]]

# Each row of keys, and how far it is moved to the right of the first, in keys.
KEYS = (("qwertyuiop", 0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))
PLACES = {letter: (x + shift, y) for y, (row, shift) in enumerate(KEYS) for x, letter in enumerate(row)}
# The keys that touch a letter's key: those beside it, and those of the next rows less than a key to its left or right.
NEXT = {
    key: [other for other, (u, v) in PLACES.items() if other != key and max(abs(u - x), abs(v - y)) <= 1]
    for key, (x, y) in PLACES.items()
}
# All that a DocBin keeps of tokens. Not the norm: it is of the word, and components read it.
ANNOTATIONS: list[int | str] = [attribute for attribute in DocBin().attrs if attribute not in (ORTH, NORM)]


def create_typos_augmenter(level: float, rate: float) -> Augmenter:
    """Misspell some of the words of some of the texts: `@augmenters = "spacy-elmo.typos.v1"`.

    Every token stays one token, so entities, spans, categories and other annotations still fit. The errors are
    different each time a text is read, and the same again with the same `training.seed`.

    Args:
        level: The share of texts that get errors, from 0 to 1. The others do not change.
        rate: The share of words that are misspelt in these texts, from 0 to 1. A misspelt word has one error.

    Returns:
        What a corpus reader takes as its `augmenter`.

    Raises:
        ArgumentError: A share is below 0 or above 1.
    """
    for name, share in (("level", level), ("rate", rate)):
        if not 0 <= share <= 1:
            raise ArgumentError(f"spacy-elmo.typos.v1: {name} is {share}; a share is from 0 to 1.")
    return partial(_augment, level=level, rate=rate)


def _augment(nlp: Language, example: Example, *, level: float, rate: float) -> Iterator[Example]:
    # Python's own generator, for this is the one that `training.seed` is for.
    if random.random() < level:
        example = _with_typos(nlp, example, rate, Random(random.getrandbits(64)))
    yield example


def _with_typos(nlp: Language, example: Example, rate: float, chance: Random) -> Example:
    words = [token.text for token in example.reference]
    reference = with_words(example.reference, with_typos(words, rate, chance))
    if [token.text for token in example.predicted] == words:
        # The tokenizer might split a misspelt word.
        predicted = with_words(example.predicted, [token.text for token in reference])
    else:
        predicted = nlp.make_doc(reference.text)
    return Example(predicted, reference)


def is_word(token: str) -> bool:
    """Whether it has two letters or more."""
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


def with_typos(tokens: Sequence[str], rate: float, chance: Random) -> list[str]:
    """The tokens, with errors in about a share `rate` of the words among them."""
    found = []
    for token in tokens:
        if is_word(token):
            # Drawn for every word, so that what follows does not depend on the rate.
            hit, other = chance.random() < rate, misspelt(token, chance)
            token = other if hit else token
        found.append(token)
    return found


def with_words(doc: Doc, words: Sequence[str]) -> Doc:
    """A copy of a Doc with other words for its tokens. All that is annotated stays at the tokens where it was."""
    spaces = None if doc.has_unknown_spaces else [bool(token.whitespace_) for token in doc]
    copy = Doc(doc.vocab, words=list(words), spaces=spaces)
    values: Any = doc.to_array(ANNOTATIONS)
    copy.from_array(ANNOTATIONS, values)
    for token, before in zip(copy, doc, strict=True):
        if token.orth == before.orth:
            token.norm_ = before.norm_  # a tokenizer's exception may have given it
    copy.cats = dict(doc.cats)
    # What is known by its characters: these have moved.
    for name, group in doc.spans.items():
        spans = [Span(copy, span.start, span.end, span.label, kb_id=span.kb_id, span_id=span.id) for span in group]
        copy.spans[name] = SpanGroup(copy, name=group.name, attrs=dict(group.attrs), spans=spans)
    copy.user_data = dict(_moved(doc, copy))
    return copy


def _moved(doc: Doc, copy: Doc) -> Iterator[tuple[Any, Any]]:
    """Its user data. Custom attributes of tokens and spans are kept by the characters where these begin and end."""
    begins: dict[int | None, int | None] = {None: None} | {a.idx: b.idx for a, b in zip(doc, copy, strict=True)}
    ends: dict[int | None, int | None] = {None: None}
    ends |= {a.idx + len(a): b.idx + len(b) for a, b in zip(doc, copy, strict=True)}
    for key, value in doc.user_data.items():
        if isinstance(key, tuple) and key[0] == "._.":
            mark, name, begin, end, *rest = key
            key = (mark, name, begins[begin], ends[end], *rest)
        yield key, value
