from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_elmo import BiLM, BiLMConfig
from spacy_elmo.bilm.char_features import CharFeatures, convolve
from spacy_elmo.bilm.inference import char_tables
from spacy_elmo.bilm.inference.char_tables import CharTables
from tests.conftest import TINY, random_bilm

filters = st.lists(st.tuples(st.integers(1, 8), st.integers(1, 9)), min_size=1, max_size=4)


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(), filters=filters, char_dim=st.integers(1, 9), n_words=st.integers(1, 7), seed=st.integers(0, 2**31)
)
def test_tables_are_the_convolutions(
    data: st.DataObject, filters: list[tuple[int, int]], char_dim: int, n_words: int, seed: int
) -> None:
    torch.manual_seed(seed)
    n_characters = 20
    config = BiLMConfig(filters=tuple(filters), char_dim=char_dim)
    features = CharFeatures(config, n_characters, padding=3, untrained=0)
    length = data.draw(st.integers(max(width for width, _ in filters), 15))
    ids = torch.randint(0, n_characters, (n_words, length))
    with torch.no_grad():
        found = CharTables(features)(ids)
        wanted = convolve(features.double(), ids)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-5)


SENTENCES = [["Tables", "of", "characters"], ["tables"]]


def counting(monkeypatch: pytest.MonkeyPatch) -> list[CharTables]:
    """The tables that are made from now on."""
    made: list[CharTables] = []
    original = CharTables.__init__

    def make(tables: CharTables, features: CharFeatures) -> None:
        made.append(tables)
        original(tables, features)

    monkeypatch.setattr(CharTables, "__init__", make)
    return made


def test_tables_are_made_once_and_anew_for_other_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    made, bilm = counting(monkeypatch), random_bilm()
    bilm.embed(SENTENCES)
    bilm.embed([["other", "words"]])
    assert len(made) == 1
    with torch.no_grad():
        bilm.char_cnn.embedding.weight.mul_(1.5)
    found = bilm.embed(SENTENCES)
    assert len(made) == 2
    for ours, theirs in zip(found, bilm(SENTENCES), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=0, atol=1e-5)


def too_large(bilm: BiLM, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = sum(width * count for width, count in TINY.filters)
    monkeypatch.setattr(char_tables, "LARGEST_BYTES", 4 * len(bilm.char_cnn.embedding.weight) * columns - 1)


def in_another_type(bilm: BiLM, monkeypatch: pytest.MonkeyPatch) -> None:
    bilm.double()


@pytest.mark.parametrize("change", [too_large, in_another_type])
def test_where_tables_do_not_suit_there_are_none(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[BiLM, pytest.MonkeyPatch], None]
) -> None:
    made, bilm = counting(monkeypatch), random_bilm()
    wanted = bilm.embed(SENTENCES)
    assert made
    made.clear()
    change(bilm, monkeypatch)
    bilm.changed()
    found = bilm.embed(SENTENCES)
    assert not made
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
