"""Words to vectors with a lexicon, and the biLM above."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_elmo import BiLM, BiLMConfig, load_bilm
from spacy_elmo.bilm import char_features
from spacy_elmo.bilm.config import LexiconConfig
from spacy_elmo.bilm.inference import engine
from spacy_elmo.bilm.lexicon import Lexicon
from spacy_elmo.bilm.lexicon_encoder import LexiconEncoder
from spacy_elmo.errors import ArgumentError
from tests.manylangs import CHARACTERS, SENTENCES, WORDS, ManyLangs, random_model
from tests.reference.numpy_manylangs import MARKS

KINDS: list[dict[str, Any]] = [
    {},
    {"word_dim": 0, "n_highway": 0, "filters": [[4, 9]], "activation": "tanh"},
    {"char_dim": 0},
    {"max_characters_per_token": 7, "filters": [[7, 2], [5, 3]]},
]
# Of the characters and words of the lexicon, mostly, and of any others.
any_word = st.text(st.sampled_from(CHARACTERS), max_size=12) | st.sampled_from([*WORDS, *MARKS]) | st.text(max_size=60)
any_words = st.lists(any_word, min_size=1, max_size=5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ManyLangs:
    return random_model(tmp_path_factory.mktemp("manylangs"))


@pytest.fixture(scope="module")
def bilm(model: ManyLangs) -> BiLM:
    return load_bilm(model.directory, device="cpu")


@pytest.mark.parametrize("overrides", KINDS)
def test_word_vectors_equal_the_references(tmp_path: Path, overrides: dict[str, Any]) -> None:
    model = random_model(tmp_path, **overrides)
    encoder = load_bilm(tmp_path, device="cpu").word_encoder
    assert isinstance(encoder, LexiconEncoder)
    words = [word for sentence in SENTENCES for word in sentence]
    with torch.no_grad():
        found = encoder(torch.from_numpy(encoder.word_ids(words)))
        boundaries = encoder(torch.from_numpy(encoder.boundary_ids()))
    wanted = [model.reference.word_vector(model.reference.cut(word)) for word in words]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    wanted = [model.reference.word_vector(mark) for mark in ("<bos>", "<eos>")]
    np.testing.assert_allclose(boundaries, wanted, rtol=0, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(words=any_words)
def test_any_words_equal_the_references(model: ManyLangs, bilm: BiLM, words: list[str]) -> None:
    (found,) = bilm.embed([words])
    np.testing.assert_allclose(found, model.reference.embed(words), rtol=0, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(words=any_words, working_bytes=st.sampled_from([1, 300, 3000, 2**26]))
def test_neither_neighbours_nor_chunks_matter(bilm: BiLM, words: list[str], working_bytes: int) -> None:
    encoder = bilm.word_encoder
    ids = torch.from_numpy(encoder.word_ids(words))
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        alone = torch.cat([encoder(row[None]) for row in ids])
        patch.setattr(char_features, "WORKING_BYTES", working_bytes)
        patch.setattr(engine, "WORKING_BYTES", working_bytes)
        torch.testing.assert_close(encoder(ids), alone, rtol=0, atol=1e-5)
        # Without the vectors that are kept of other calls.
        found = copy.deepcopy(bilm).embed([words])[0][0, :, :6]
    np.testing.assert_allclose(found, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("overrides", KINDS)
def test_vectors_stay_the_same_from_call_to_call(tmp_path: Path, overrides: dict[str, Any]) -> None:
    """Vectors of words are kept; and many words have one, all of those that the model does not know."""
    bilm = load_bilm(random_model(tmp_path, **overrides).directory, device="cpu")
    sentences = [[f"unknown{i}" for i in range(5)], ["the", "x" * 60, "x" * 61], ["one", "unknown7", "looked", "."]]
    wanted = [copy.deepcopy(bilm).embed([sentence])[0] for sentence in sentences]
    for _ in range(2):
        for sentence, layers in zip(sentences, wanted, strict=True):
            np.testing.assert_allclose(bilm.embed([sentence])[0], layers, rtol=0, atol=1e-6)


def test_no_words(bilm: BiLM) -> None:
    assert bilm.word_encoder(torch.from_numpy(bilm.word_encoder.word_ids([]))).shape == (0, 6)


@pytest.mark.parametrize("overrides", KINDS[:3])
def test_forward_equals_embed(tmp_path: Path, overrides: dict[str, Any]) -> None:
    bilm = load_bilm(random_model(tmp_path, **overrides).directory, device="cpu")
    for found, wanted in zip(bilm(SENTENCES), bilm.embed(SENTENCES), strict=True):
        assert found.requires_grad
        np.testing.assert_allclose(found.detach(), wanted, rtol=0, atol=1e-5)


def test_stateful_equals_one_long_reading(bilm: BiLM) -> None:
    """Forward, a sentence that goes on from another is the end of a long one: the reference of the states."""
    _, state = bilm.embed_stateful([["the", "naïve"]])
    (found,), _ = bilm.embed_stateful([["one"]], state)
    (wanted,) = bilm.embed([["the", "naïve", "<eos>", "<bos>", "one"]])
    np.testing.assert_allclose(found[:, 0, :6], wanted[:, -1, :6], rtol=0, atol=1e-5)


def test_gradients_are_those_of_finite_differences(bilm: BiLM) -> None:
    """In float64, of one entry of each parameter; padding has none, as in the original."""
    exact = copy.deepcopy(bilm).double()
    sentences = [["the", "x" * 48, "日本語"], ["one", "zebra"]]

    def loss() -> torch.Tensor:
        return torch.stack([torch.sin(array).sum() for array in exact(sentences)]).sum()

    loss().backward()
    numbers = exact.lexicon.words, exact.lexicon.characters
    for name, entries in zip(("words", "characters.embedding"), numbers, strict=True):
        assert not exact.get_parameter(f"lexicon_encoder.{name}.weight").grad[entries["<pad>"]].any()
    for name, parameter in exact.named_parameters():
        gradient = parameter.grad.flatten()
        entry = int(gradient.abs().argmax())
        assert gradient[entry] != 0, name
        with torch.no_grad():
            flat, step = parameter.view(-1), 1e-6
            flat[entry] += step
            above = loss()
            flat[entry] -= 2 * step
            below = loss()
            flat[entry] += step
        torch.testing.assert_close(gradient[entry], (above - below) / (2 * step), rtol=1e-4, atol=1e-6)


def test_bfloat16_is_near(model: ManyLangs, bilm: BiLM) -> None:
    rough = load_bilm(model.directory, device="cpu", precision="bfloat16")
    for found, wanted in zip(rough.embed(SENTENCES), bilm.embed(SENTENCES), strict=True):
        error = np.abs(found - wanted).max()
        assert 0 < error < 0.05 * np.abs(wanted).max()


def test_a_lexicon_and_a_config_of_one_belong_together() -> None:
    marks = {mark: number for number, mark in enumerate(MARKS)}
    lexicon = Lexicon(marks, marks)
    with pytest.raises(ArgumentError, match="none was given"):
        BiLM(BiLMConfig(lexicon=LexiconConfig(6, 2, 6)))
    with pytest.raises(ArgumentError, match="there are 5 words"):
        BiLM(BiLMConfig(lexicon=LexiconConfig(5, 2, 6)), lexicon=lexicon)
    with pytest.raises(ArgumentError, match="has no lexicon"):
        BiLM(BiLMConfig(), lexicon=lexicon)
