"""Words and characters by number, as ELMoForManyLangs numbers them: each model has its own.

A word is the number of its form, where the model knows words, and the numbers of its characters between two marks,
where it knows characters. What is not in the lexicon has the number of <oov>.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ArgumentError
from .config import LexiconConfig

BOUNDARIES = ("<bos>", "<eos>")
UNKNOWN, PADDING = "<oov>", "<pad>"
# The original takes each of the two for the other, and all models were trained so.
BEGIN_WORD, END_WORD = "<eow>", "<bow>"

_MARKS = {"words": (UNKNOWN, PADDING), "characters": (UNKNOWN, PADDING, BEGIN_WORD, END_WORD, *BOUNDARIES)}

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lexicon:
    """The numbers of a model's words and characters. Two may share a number.

    Attributes:
        words: The number of each word; None where the model knows none.
        characters: The number of each character; None where the model knows none.

    Raises:
        ArgumentError: If one of the marks is missing.
    """

    words: Mapping[str, int] | None
    characters: Mapping[str, int] | None

    def __post_init__(self) -> None:
        for name, marks in _MARKS.items():
            entries = getattr(self, name)
            if entries is not None and (missing := sorted(set(marks) - set(entries))):
                raise ArgumentError(f"The lexicon of {name} has no {', '.join(missing)}.")

    def __deepcopy__(self, memo: Any) -> "Lexicon":
        """It never changes, so copies of a model share it."""
        return self

    def check(self, config: LexiconConfig) -> None:
        """Check that this is the lexicon of a model of some size.

        Raises:
            ArgumentError: If it is not.
        """
        for name, rows in (("words", config.n_words), ("characters", config.n_characters)):
            entries = getattr(self, name)
            if (entries is None) is not (rows == 0):
                raise ArgumentError(f"The config says {rows} {name}, and the lexicon has {len(entries or ())}.")
            for entry, number in (entries or {}).items():
                if not 0 <= number < rows:
                    raise ArgumentError(f"The number of {entry!r} is {number}, but there are {rows} {name}, from 0 on.")

    def word_ids(self, words: Sequence[str], max_characters: int) -> Ids:
        """Numbers of words cut to `max_characters - 2` characters, (n_words, n).

        n is 1 for the word's own number, if the model knows words, and `max_characters`, if it knows characters.
        """
        return self._ids([word[: max_characters - 2] for word in words], max_characters)

    def boundary_ids(self, max_characters: int) -> Ids:
        """The same of the marks around a sentence, (2, n)."""
        return self._ids(BOUNDARIES, max_characters)

    def _ids(self, words: Sequence[str], max_characters: int) -> Ids:
        columns = []
        if self.words is not None:
            unknown = self.words[UNKNOWN]
            columns.append(np.array([[self.words.get(word, unknown)] for word in words], np.int64).reshape(-1, 1))
        if self.characters is not None:
            columns.append(_character_ids(self.characters, words, max_characters))
        return np.concatenate(columns, axis=1)


def _character_ids(characters: Mapping[str, int], words: Sequence[str], max_characters: int) -> Ids:
    begin, end, unknown = (characters[mark] for mark in (BEGIN_WORD, END_WORD, UNKNOWN))
    ids = np.full((len(words), max_characters), characters[PADDING], dtype=np.int64)
    for row, word in zip(ids, words, strict=True):
        # A mark is one character, also where it stands in a text, as in the original.
        inner = [word] if word in BOUNDARIES else word
        row[: len(inner) + 2] = [begin, *(characters.get(character, unknown) for character in inner), end]
    return ids
