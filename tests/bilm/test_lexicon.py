"""Words and characters by number."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_elmo.bilm.config import LexiconConfig
from spacy_elmo.bilm.lexicon import Lexicon
from spacy_elmo.errors import ArgumentError
from tests.reference.numpy_manylangs import MARKS

BOS, EOS, OOV, PAD, BOW, EOW = range(len(MARKS))
CHARACTERS = {entry: number for number, entry in enumerate([*MARKS, "a", "b", "é", "日"])}
WORDS = {"<oov>": 0, "<pad>": 1, "<eos>": 2, "a": 3, "bé": 4, "abab": 5}
BOTH = Lexicon(WORDS, CHARACTERS)

any_text = st.text(st.characters(exclude_categories=()), max_size=8) | st.sampled_from([*MARKS, "bé", "abab", "ababa"])


def test_a_word_is_its_number_and_its_characters_between_the_swapped_marks() -> None:
    assert BOTH.word_ids(["bé", "cb"], 6).tolist() == [[4, EOW, 7, 8, BOW, PAD, PAD], [0, EOW, OOV, 7, BOW, PAD, PAD]]


def test_words_are_cut_by_characters_before_they_are_looked_up() -> None:
    assert BOTH.word_ids(["abab", "ababé", "abécd"], 6).tolist() == [
        [5, EOW, 6, 7, 6, 7, BOW],
        [5, EOW, 6, 7, 6, 7, BOW],
        [0, EOW, 6, 7, 8, OOV, BOW],
    ]


def test_boundaries_are_words_of_one_character() -> None:
    wanted = [[0, EOW, BOS, BOW, PAD], [2, EOW, EOS, BOW, PAD]]
    assert BOTH.boundary_ids(4).tolist() == wanted
    assert BOTH.word_ids(["<bos>", "<eos>"], 7)[:, :5].tolist() == wanted
    # Cut, they are marks no more.
    assert BOTH.word_ids(["<bos>"], 4).tolist() == [[0, EOW, OOV, 7, BOW]]


def test_one_of_the_two_alone() -> None:
    words, characters = Lexicon(WORDS, None), Lexicon(None, CHARACTERS)
    assert words.word_ids(["a", "b"], 5).tolist() == [[3], [0]]
    assert words.boundary_ids(5).tolist() == [[0], [2]]
    np.testing.assert_array_equal(characters.word_ids(["a", "b"], 5), BOTH.word_ids(["a", "b"], 5)[:, 1:])


@pytest.mark.parametrize("lexicon", [BOTH, Lexicon(WORDS, None), Lexicon(None, CHARACTERS)])
def test_no_words(lexicon: Lexicon) -> None:
    ids = lexicon.word_ids([], 5)
    assert ids.dtype == np.int64
    assert ids.shape == (0, lexicon.boundary_ids(5).shape[1])


@settings(max_examples=100, deadline=None)
@given(words=st.lists(any_text, max_size=6), max_characters=st.integers(3, 10))
def test_any_text(words: list[str], max_characters: int) -> None:
    ids = BOTH.word_ids(words, max_characters)
    assert ids.shape == (len(words), 1 + max_characters)
    for row, word in zip(ids.tolist(), words, strict=True):
        cut = word[: max_characters - 2]
        assert row[0] == WORDS.get(cut, 0)
        inner = [CHARACTERS[cut]] if cut in ("<bos>", "<eos>") else [CHARACTERS.get(c, OOV) for c in cut]
        assert row[1:] == [EOW, *inner, BOW] + [PAD] * (max_characters - len(inner) - 2)


@pytest.mark.parametrize("mark", MARKS)
def test_a_missing_mark_is_named(mark: str) -> None:
    left = {entry: number for entry, number in CHARACTERS.items() if entry != mark}
    with pytest.raises(ArgumentError, match=f"lexicon of characters has no {mark}"):
        Lexicon(WORDS, left)
    if mark in ("<oov>", "<pad>"):
        with pytest.raises(ArgumentError, match=f"lexicon of words has no {mark}"):
            Lexicon(left, CHARACTERS)


def test_what_does_not_go_with_the_config_is_named() -> None:
    BOTH.check(LexiconConfig(6, 2, 10))
    BOTH.check(LexiconConfig(60, 2, 100))
    with pytest.raises(ArgumentError, match="number of 'abab' is 5, but there are 5 words"):
        BOTH.check(LexiconConfig(5, 2, 10))
    with pytest.raises(ArgumentError, match="number of 'a' is -1, but there are 6 words"):
        Lexicon({**WORDS, "a": -1}, CHARACTERS).check(LexiconConfig(6, 2, 10))
    with pytest.raises(ArgumentError, match="says 0 characters, and the lexicon has 10"):
        BOTH.check(LexiconConfig(6, 2, 0))
    with pytest.raises(ArgumentError, match="says 6 words, and the lexicon has 0"):
        Lexicon(None, CHARACTERS).check(LexiconConfig(6, 2, 10))


def test_copies_share_it_and_pickles_hold_it() -> None:
    assert copy.deepcopy([BOTH])[0] is BOTH
    assert pickle.loads(pickle.dumps(BOTH)) == BOTH
