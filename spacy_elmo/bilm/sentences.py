"""What counts as tokenised sentences: one rule for all that take them."""

from collections.abc import Iterable, Mapping, Set
from typing import Any, Protocol

from ..errors import ElmoError


class SentencesError(ElmoError, TypeError):
    """What was given are no tokenised sentences."""


class Token(Protocol):
    """A word as an object, as spaCy, Stanza, Flair and AllenNLP have it."""

    @property
    def text(self) -> str:
        """The word as it stands in the text."""


Sentences = Iterable[Iterable[str | Token]]

# Iterable, but no sentences and no sentence: a text that is not split yet, and what has no order.
_NO_SEQUENCE = (str, bytes, bytearray, Mapping, Set)


def as_words(sentences: Sentences) -> list[list[str]]:
    """Tokenised sentences as lists of strings, whatever they were given as.

    Args:
        sentences: Any iterable of sentences, each any iterable of words: lists, tuples, generators, spaCy's `Doc` and
            `Span`. A word is a string, or a token with a string in its attribute `text`.

    Returns:
        A list of strings for each sentence.

    Raises:
        SentencesError: If anything else is given, with the place where it stands: a text in place of its words, a
            number, bytes, None. It is a TypeError.
    """
    rows = _items(sentences, "the whole input")
    return [
        # Nearly all words are strings already, and a call for each would take most of the time.
        [word if type(word) is str else _word(word, row) for word in _items(words, f"sentence {row}")]
        for row, words in enumerate(rows)
    ]


def _items(given: Any, place: str) -> list[Any]:
    if isinstance(given, _NO_SEQUENCE) or not _is_iterable(given):
        raise SentencesError(
            f"This takes tokenised sentences, lists of words such as [['A', 'word']], but {place} is {_shown(given)}. "
            f"Split texts into words first, for instance with a spaCy tokenizer."
        )
    return list(given)


def _is_iterable(given: Any) -> bool:
    """By trying: what has only `__getitem__` is no `Iterable`, and a tensor of no dimension is one."""
    try:
        iter(given)
    except TypeError:
        return False
    return True


def _word(word: Any, row: int) -> str:
    if isinstance(word, str):
        return word
    text = getattr(word, "text", None)
    if not isinstance(text, str):
        raise SentencesError(
            f"A word has to be a string, or a token with a string in its attribute `text`, but sentence {row} has "
            f"{_shown(word)} among its words."
        )
    return text


def _shown(given: Any) -> str:
    value = repr(given)
    return f"{value if len(value) <= 60 else value[:57] + '...'} ({type(given).__name__})"
