"""The lexicon of a new model: the words and characters that its texts have most of."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from ..bilm.config import LexiconConfig
from ..bilm.lexicon import BEGIN_WORD, BOUNDARIES, END_WORD, PADDING, UNKNOWN, Lexicon
from ..corpus.corpus import MARKS, Corpus
from .errors import ConfigError

WORD_MARKS = (UNKNOWN, PADDING, *BOUNDARIES)
CHARACTER_MARKS = (UNKNOWN, PADDING, BEGIN_WORD, END_WORD, *BOUNDARIES)


def lexicon_of(corpus: Corpus, shape: LexiconConfig) -> Lexicon:
    """The most frequent words and characters of the training texts, after the marks.

    Args:
        corpus: A character counts as often as the words do that it stands in; equals stand in the order of their own.
        shape: How many at most, marks included. A lexicon of texts that have fewer is smaller.

    Raises:
        ConfigError: See `check_room`.
    """
    check_room(shape)
    words = corpus.words.first(len(corpus.words))[len(MARKS) :]
    counts = dict(zip(words, corpus.counts[len(MARKS) :].tolist(), strict=True))
    characters: Counter[str] = Counter()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
    return Lexicon(
        words=_numbered(WORD_MARKS, counts.items(), shape.n_words),
        characters=_numbered(CHARACTER_MARKS, sorted(characters.items()), shape.n_characters),
    )


def check_room(shape: LexiconConfig) -> None:
    """Raises ConfigError where a lexicon has no room for anything but the marks."""
    for key, marks in (("n_words", WORD_MARKS), ("n_characters", CHARACTER_MARKS)):
        if 0 < (size := getattr(shape, key)) <= len(marks):
            raise ConfigError(f"model.lexicon.{key} is {size}, but the marks alone take {len(marks)}; give it more.")


def _numbered(marks: Sequence[str], counts: Iterable[tuple[str, int]], size: int) -> dict[str, int] | None:
    """Numbers from 0 on, as many as there may be; None where there may be none."""
    if not size:
        return None
    # What only the held-out texts have was never counted. Sorting keeps the order of equals.
    frequent = sorted((item for item in counts if item[1] and item[0] not in marks), key=lambda item: -item[1])
    entries = [*marks, *(entry for entry, _ in islice(frequent, size - len(marks)))]
    return {entry: number for number, entry in enumerate(entries)}
