from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_elmo import BiLM, load_bilm
from spacy_elmo.bilm.char_cnn import CharCNN
from spacy_elmo.bilm.char_features import Highway
from spacy_elmo.bilm.characters import word_ids
from tests.checkpoints.test_allennlp import write_pair
from tests.conftest import TINY
from tests.reference import numpy_elmo
from tests.reference.numpy_elmo import NumpyELMo, random_options, random_weights

WORDS = ["", "a", "of", "Elmo", "naïve", "日本語", "🙂", "\ud800", "x" * 47, "x" * 48, "é" * 30, "a" * 200]


@pytest.mark.parametrize(
    "overrides",
    [
        {"filters": [[1, 3], [2, 4], [3, 5]], "n_highway": 1, "activation": "relu"},
        {"filters": [[7, 6]], "n_highway": 0, "activation": "tanh"},
        {"filters": [[5, 2], [1, 9]], "n_highway": 2, "activation": "tanh"},
        {"filters": [[4, 8], [4, 3]], "n_highway": 2, "activation": "relu", "max_characters_per_token": 9},
        {"filters": [[3, 4], [1, 4]], "n_highway": 1, "activation": "relu", "max_characters_per_token": 3},
    ],
)
def test_word_vectors_equal_the_references(tmp_path: Path, overrides: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    options = random_options(rng, **overrides)
    weights = random_weights(options, rng)
    bilm, reference = load_bilm(write_pair(tmp_path, options, weights)), NumpyELMo(options, weights)
    max_characters = options["char_cnn"]["max_characters_per_token"]
    wanted = [reference.token_vector(numpy_elmo.word_ids(word, max_characters)) for word in WORDS]
    with torch.no_grad():
        found = bilm.char_cnn(torch.from_numpy(word_ids(WORDS, max_characters)))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(words=st.lists(st.text(max_size=25), min_size=1, max_size=6))
def test_a_word_does_not_depend_on_the_words_beside_it(tiny_bilm: BiLM, words: list[str]) -> None:
    ids = torch.from_numpy(word_ids(words, TINY.max_characters))
    with torch.no_grad():
        together = tiny_bilm.char_cnn(ids)
        alone = torch.cat([tiny_bilm.char_cnn(row[None]) for row in ids])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_no_words(tiny_bilm: BiLM) -> None:
    found = tiny_bilm.char_cnn(torch.from_numpy(word_ids([], TINY.max_characters)))
    assert found.shape == (0, TINY.projection_dim)


def test_highway_written_out() -> None:
    torch.manual_seed(0)
    highway, x = Highway(5), torch.randn(3, 5)
    gate = 1 / (1 + torch.exp(-(x @ highway.carry.weight.T + highway.carry.bias)))
    transformed = (x @ highway.transform.weight.T + highway.transform.bias).clamp(min=0)
    torch.testing.assert_close(highway(x), gate * transformed + (1 - gate) * x, rtol=0, atol=1e-6)


def test_padding_outside_words_has_no_vector_and_no_gradient() -> None:
    torch.manual_seed(0)
    cnn = CharCNN(TINY)
    assert torch.equal(cnn.embedding.weight[0], torch.zeros(TINY.char_dim))
    cnn(torch.zeros(2, TINY.max_characters, dtype=torch.int64)).sum().backward()
    assert cnn.embedding.weight.grad is not None
    assert torch.equal(cnn.embedding.weight.grad[0], torch.zeros(TINY.char_dim))
