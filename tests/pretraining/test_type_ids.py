from pathlib import Path

import numpy as np
import pytest

from spacy_elmo import load_bilm
from spacy_elmo.bilm import BiLM
from spacy_elmo.corpus.corpus import MARKS
from spacy_elmo.pretraining.type_ids import type_ids
from tests.conftest import random_bilm
from tests.corpus.corpora import word_table
from tests.manylangs import random_model

WORDS = [*MARKS, "the", "cat", "日本", "<S>", "</S>", "<bos>", "<oov>", "x" * 60]


@pytest.mark.parametrize("kind", ["bytes", "words and characters", "characters", "words"])
def test_types_have_the_ids_of_their_words(tmp_path: Path, kind: str) -> None:
    """And <S> and </S>, those of the boundaries; but not words that look like them."""
    bilm = _bilm(tmp_path, kind)
    types = np.array([3, 1, 0, *range(4, len(WORDS)), 3])
    found = type_ids(word_table(WORDS), bilm)(types)
    encoder = bilm.word_encoder
    for row, number in zip(found, types.tolist(), strict=True):
        wanted = encoder.boundary_ids()[number] if number < 2 else encoder.word_ids([WORDS[number]])[0]
        assert np.array_equal(row, wanted), WORDS[number]
    assert found.dtype == np.int64


def _bilm(directory: Path, kind: str) -> BiLM:
    if kind == "bytes":
        return random_bilm()
    sizes: dict[str, int] = {"words and characters": {}, "characters": {"word_dim": 0}, "words": {"char_dim": 0}}[kind]
    return load_bilm(random_model(directory / "model", **sizes).directory, "cpu")
