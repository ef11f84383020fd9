import numpy as np
import pytest
import torch

from spacy_elmo.allennlp import batch_to_ids
from spacy_elmo.allennlp.character_ids import word_types
from spacy_elmo.bilm import BiLMConfig
from spacy_elmo.bilm.char_cnn import CharCNN
from spacy_elmo.bilm.characters import PAD, boundary_ids, word_ids
from spacy_elmo.bilm.words import WordTypes

from .models import BATCHES


def test_words_are_padded_with_zeros() -> None:
    ids = batch_to_ids([["a", "bc"], [], ["é"]])
    assert ids.shape == (3, 2, 50)
    assert ids.dtype == torch.int64
    # The ids that AllenNLP 2.10.1 gives.
    assert ids[0, 0, :4].tolist() == [259, 98, 260, 261]
    assert ids[0, 1, :5].tolist() == [259, 99, 100, 260, 261]
    assert ids[2, 0, :5].tolist() == [259, 196, 170, 260, 261]
    assert ids[0, 0, 3:].unique().tolist() == [PAD]
    assert not ids[1].any()
    assert not ids[2, 1].any()


def test_long_words_are_cut() -> None:
    ids = batch_to_ids([["x" * 48, "x" * 49, "é" * 30]])
    assert torch.equal(ids[0, 0], ids[0, 1])
    assert ids[0, :, -1].tolist() == [260, 260, 260]


@pytest.mark.parametrize(("batch", "shape"), [([], (0, 0, 50)), ([[]], (1, 0, 50)), ([[], []], (2, 0, 50))])
def test_no_words(batch: list[list[str]], shape: tuple[int, ...]) -> None:
    assert batch_to_ids(batch).shape == shape


def test_boundaries_among_the_words() -> None:
    """AllenNLP's own reading; other words in angle brackets are words."""
    ids = batch_to_ids([["<S>", "</S>", "<s>"]])[0].numpy()
    np.testing.assert_array_equal(ids[:2], boundary_ids(50))
    np.testing.assert_array_equal(ids[2:], word_ids(["<s>"], 50))


def test_another_length_of_words() -> None:
    assert batch_to_ids([["x" * 30]], max_characters=20).shape == (1, 1, 20)


@pytest.mark.parametrize("batch", ["a sentence", ["a sentence"], [["a"], "b"]])
def test_text_in_place_of_words_is_refused(batch: list[list[str]]) -> None:
    with pytest.raises(TypeError, match="lists of words"):
        batch_to_ids(batch)


@pytest.mark.parametrize("batch", [*BATCHES, [[]], [["a", "b", "a"], [], ["b"]]])
def test_word_types_are_those_of_the_words(batch: list[list[str]]) -> None:
    """The ids of every token, also where surrogates and long words that are cut alike have one type or two."""
    found = word_types(batch_to_ids(batch).numpy())
    wanted = WordTypes.of(batch, CharCNN(BiLMConfig(max_characters=50)))
    assert found.lengths == wanted.lengths
    np.testing.assert_array_equal(found.ids[found.tokens], wanted.ids[wanted.tokens])
    np.testing.assert_array_equal(found.ids[:2], boundary_ids(50))
    assert len(np.unique(found.ids, axis=0)) == len(found.ids)


def test_padding_between_words_is_refused() -> None:
    ids = batch_to_ids([["a", "b"], ["a", "b", "c"]]).numpy()
    ids[1, 1] = 0
    with pytest.raises(ValueError, match="sentence 1 have a row of zeros before a word"):
        word_types(ids)
