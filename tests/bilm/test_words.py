import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_elmo.bilm import BiLMConfig
from spacy_elmo.bilm.char_cnn import CharCNN
from spacy_elmo.bilm.words import WordTypes
from tests.reference import numpy_elmo

some_sentences = st.lists(st.lists(st.text(st.characters(exclude_categories=()), max_size=4), max_size=6), max_size=5)


def numbering(max_characters: int) -> CharCNN:
    return CharCNN(BiLMConfig(max_characters=max_characters, filters=((1, 1),)))


@settings(max_examples=100, deadline=None)
@given(sentences=some_sentences)
def test_each_token_has_the_ids_of_its_word(sentences: list[list[str]]) -> None:
    types = WordTypes.of(sentences, numbering(12))
    wanted = [row for sentence in sentences for row in numpy_elmo.sentence_ids(sentence, 12)]
    np.testing.assert_array_equal(types.ids[types.tokens], np.reshape(wanted, (-1, 12)))
    assert types.lengths == [len(sentence) + 2 for sentence in sentences]


@settings(max_examples=100, deadline=None)
@given(sentences=some_sentences)
def test_each_word_is_one_type(sentences: list[list[str]]) -> None:
    types = WordTypes.of(sentences, numbering(12))
    n_words = len({word for sentence in sentences for word in sentence})
    assert len(types.ids) == 2 + n_words
    assert set(types.tokens.tolist()) == (set(range(2 + n_words)) if sentences else set())


def test_boundaries_are_types_0_and_1() -> None:
    types = WordTypes.of([["a", "b"], [], ["b"]], numbering(5))
    assert types.tokens.tolist() == [0, 2, 3, 1, 0, 1, 0, 3, 1]
    np.testing.assert_array_equal(types.ids[:2], numpy_elmo.sentence_ids([], 5))


def test_words_that_look_like_boundaries_are_words() -> None:
    types = WordTypes.of([["<S>", "</S>"]], numbering(10))
    assert types.tokens.tolist() == [0, 2, 3, 1]
    np.testing.assert_array_equal(types.ids[2:], [numpy_elmo.word_ids(word, 10) for word in ("<S>", "</S>")])
