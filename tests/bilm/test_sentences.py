from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import spacy

from spacy_elmo.bilm.sentences import as_words

WORDS = [["A", "first", "one"], [], ["Another"]]
DOC = spacy.blank("en")("A first one")


class OldSequence:
    """Iterable by `__getitem__` alone."""

    def __getitem__(self, place: int) -> list[str]:
        return WORDS[place]


def generator() -> Iterator[Iterator[str]]:
    for words in WORDS:
        yield iter(words)


@pytest.mark.parametrize(
    "sentences",
    [
        WORDS,
        tuple(map(tuple, WORDS)),
        generator(),
        map(iter, WORDS),
        (word for word in WORDS),
        [DOC, [], ["Another"]],
        [list(DOC), (), [*spacy.blank("en")("Another")]],
        [DOC[:3], [], [np.str_("Another")]],
        [np.array(WORDS[0]), np.array([], dtype=str), WORDS[2]],
        dict(enumerate(WORDS)).values(),
        OldSequence(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_iterable_of_iterables_of_words_or_tokens(sentences: Any) -> None:
    found = as_words(sentences)
    assert found == WORDS
    assert all(type(words) is list for words in found)


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ("a text", "the whole input is 'a text' \\(str\\)"),
        (b"a text", "the whole input is b'a text'"),
        (None, "the whole input is None \\(NoneType\\)"),
        (7, "the whole input is 7"),
        ({"a": ["b"]}, "the whole input is .* \\(dict\\)"),
        (["a text"], "sentence 0 is 'a text' \\(str\\)"),
        ([["a"], b"b"], "sentence 1 is b'b'"),
        ([["a"], None], "sentence 1 is None"),
        ([["a"], 3.5], "sentence 1 is 3.5 \\(float\\)"),
        ([{"b", "a"}], "sentence 0 is .* \\(set\\)"),
        (DOC, "sentence 0 is A \\(Token\\)"),
    ],
)
def test_what_is_not_split_into_words_is_refused(sentences: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"tokenised sentences, lists of words .*, but {message}"):
        as_words(sentences)


@pytest.mark.parametrize("word", [None, 3, 2.5, b"word", ["word"], float("nan"), np.int64(3), spacy])
def test_a_word_that_is_none_is_refused(word: Any) -> None:
    with pytest.raises(TypeError, match=r"A word has to be a string, .* but sentence 1 has .* among its words"):
        as_words([["a"], ["b", word]])


def test_a_fault_of_the_caller_s_own_generator_stays_what_it_was() -> None:
    def faulty() -> Iterator[list[str]]:
        yield ["a"]
        raise TypeError("of their own")

    with pytest.raises(TypeError, match="of their own"):
        as_words(faulty())


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(TypeError, match=r"'x{50,56}\.\.\. \(str\)"):
        as_words("x" * 1000)
