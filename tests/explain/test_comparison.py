"""Two sentences, word by word."""

import numpy as np
import pytest

from spacy_elmo import BiLM
from spacy_elmo.explain import ExplainError, compare
from spacy_elmo.similarity import WordFrequencies

ONE, OTHER = ["a", "match", "burns", "."], ["the", "match"]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_cosines_are_those_of_the_vectors_and_of_the_layers_average(tiny_bilm: BiLM) -> None:
    found = compare(tiny_bilm, ONE, OTHER)
    one, other = tiny_bilm.embed([ONE, OTHER])
    assert found.cosines.shape == (4, 4, 2)
    assert found.cosines[0, 1, 1] == pytest.approx(1, rel=1e-5)
    assert found.cosines[2, 2, 0] == pytest.approx(cosine(one[2, 2], other[2, 0]), rel=1e-4)
    assert found.cosines[3, 0, 1] == pytest.approx(cosine(one.mean(axis=0)[0], other.mean(axis=0)[1]), rel=1e-4)


def test_frequent_words_count_less_where_frequencies_are_known(tiny_bilm: BiLM) -> None:
    frequencies = WordFrequencies({"match": 0.01})
    found = compare(tiny_bilm, ONE, OTHER, frequencies)
    one, other = tiny_bilm.embed([ONE, OTHER])
    weight = 1e-3 / (1e-3 + 0.01)
    first = np.average(one[2, :3], axis=0, weights=[1, weight, 1])
    assert found.weighted is not None
    assert found.weighted[2] == pytest.approx(
        cosine(first, np.average(other[2], axis=0, weights=[1, weight])), rel=1e-4
    )
    assert compare(tiny_bilm, ONE, OTHER).weighted is None


def test_a_sentence_is_pooled_over_its_words_without_punctuation(tiny_bilm: BiLM) -> None:
    found = compare(tiny_bilm, ONE, OTHER)
    one, other = tiny_bilm.embed([ONE, OTHER])
    assert found.mean[1] == pytest.approx(cosine(one[1, :3].mean(axis=0), other[1].mean(axis=0)), rel=1e-4)
    assert found.largest[1] == pytest.approx(cosine(one[1, :3].max(axis=0), other[1].max(axis=0)), rel=1e-4)
    assert compare(tiny_bilm, ["."], ["."]).mean[2] == pytest.approx(1, rel=1e-5)
    with pytest.raises(ExplainError, match="nothing to compare"):
        compare(tiny_bilm, ONE, [])
