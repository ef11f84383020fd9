import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_elmo.bilm import characters
from tests.reference import numpy_elmo

# Words at and around the 48 bytes that fit between the marks of 50 characters, some cut inside a character.
WORDS = [
    "",
    "a",
    "Elmo",
    " ",
    "\n\t",
    "\x00",
    "naïve",
    "日本語",
    "🙂",
    "\ud800",
    "a\udcffb",
    "x" * 47,
    "x" * 48,
    "x" * 49,
    "x" * 1000,
    "é" * 30,
    "x" + "é" * 30,
    "日" * 17,
    "🙂" * 13,
]

any_text = st.text(st.characters(exclude_categories=()), max_size=60)


@pytest.mark.parametrize("max_characters", [3, 4, 20, 50])
def test_ids_equal_the_references(max_characters: int) -> None:
    wanted = [numpy_elmo.word_ids(word, max_characters) for word in WORDS]
    np.testing.assert_array_equal(characters.word_ids(WORDS, max_characters), wanted)


@pytest.mark.parametrize("max_characters", [3, 20, 50])
def test_boundary_ids_equal_the_references(max_characters: int) -> None:
    wanted = numpy_elmo.sentence_ids([], max_characters)
    np.testing.assert_array_equal(characters.boundary_ids(max_characters), wanted)


def test_ids_written_out() -> None:
    wanted = [[259, 66, 99, 260, 261, 261], [259, 260, 261, 261, 261, 261], [259, 98, 196, 170, 99, 260]]
    np.testing.assert_array_equal(characters.word_ids(["Ab", "", "aébcd"], 6), wanted)


def test_a_lone_surrogate_counts_for_nothing() -> None:
    ids = characters.word_ids(["a\udcffb", "ab", "\ud800", ""], 50)
    np.testing.assert_array_equal(ids[0], ids[1])
    np.testing.assert_array_equal(ids[2], ids[3])


def test_no_words() -> None:
    ids = characters.word_ids([], 50)
    assert ids.shape == (0, 50)
    assert ids.dtype == np.int64


@settings(max_examples=150, deadline=None)
@given(words=st.lists(any_text, max_size=6), max_characters=st.integers(3, 50))
def test_any_text_lies_between_its_marks(words: list[str], max_characters: int) -> None:
    ids = characters.word_ids(words, max_characters)
    lengths = (ids != characters.PAD).sum(axis=1)
    assert ids.shape == (len(words), max_characters)
    for row, length, word in zip(ids.tolist(), lengths.tolist(), words, strict=True):
        data = word.encode("utf8", "ignore")[: max_characters - 2]
        assert row[0] == characters.BEGIN_WORD
        assert bytes(i - 1 for i in row[1 : length - 1]) == data
        assert row[length - 1] == characters.END_WORD
        assert row[length:] == [characters.PAD] * (max_characters - length)
        assert length == len(data) + 2
