"""What linear classifiers make of vectors, on vectors whose score is known. The peers themselves are packages apart."""

import numpy as np

from experiments.compare_vectors import of_words, score, tags_words
from experiments.context import Text

NUMBERS = {"a": 0.0, "b": 1.0, "c": 2.0}
TAGGED = [Text([["a", "b"], ["c"]], ["O", "B-X", "I-X"]), Text([["a"]], ["O"])] * 5
LABELLED = [Text([["a", "a"]], ["low"]), Text([["c"], ["c", "b"]], ["high"])] * 5


def embed(sentences: list[list[str]]) -> list[np.ndarray]:
    return [np.array([[NUMBERS[word], 1.0] for word in words], dtype=np.float32) for words in sentences]


def test_texts_with_a_tag_a_word_have_a_row_a_word() -> None:
    assert tags_words(TAGGED)
    np.testing.assert_array_equal(of_words(embed)(TAGGED[:2])[:, 0], [0, 1, 2, 0])


def test_texts_with_a_label_have_their_mean() -> None:
    assert not tags_words(LABELLED)
    np.testing.assert_allclose(of_words(embed)(LABELLED[:2])[:, 0], [0, 5 / 3])


def test_the_score_is_of_what_the_vectors_tell() -> None:
    for texts in (TAGGED, LABELLED):
        rows = of_words(embed)(texts)
        assert score(texts, texts, rows, rows) == 100
        assert score(texts, texts, rows, np.zeros_like(rows)) < 70
