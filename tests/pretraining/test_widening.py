"""A larger biLM that begins as a smaller one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spacy_elmo.bilm import BiLM
from spacy_elmo.bilm.config import BiLMConfig, LexiconConfig
from spacy_elmo.language.softmax import Softmax
from spacy_elmo.pretraining.widening import can_widen, widen, widen_classes

SMALL = BiLMConfig(filters=((1, 4), (3, 5)), char_dim=4, max_characters=12, projection_dim=6, cell_dim=7, n_layers=2)
SENTENCES = [["A", "longer", "sentence", "about", "nothing", "."], ["Word"], ["Ñandúes", "run", "."]]


@st.composite
def shapes(draw: st.DrawFn) -> tuple[BiLMConfig, BiLMConfig]:
    """A shape, and one at least as large."""
    count = st.integers(1, 5)
    widths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    small = BiLMConfig(
        filters=tuple((width, draw(count)) for width in widths),
        char_dim=4,
        max_characters=10,
        n_highway=draw(st.integers(0, 2)),
        activation=draw(st.sampled_from(["relu", "tanh"])),
        projection_dim=draw(count),
        cell_dim=draw(count),
        n_layers=draw(st.integers(1, 3)),
        skip_connections=draw(st.booleans()),
    )
    more = st.integers(0, 4)
    filters = [(width, n + draw(more)) for width, n in small.filters]
    filters += draw(st.lists(st.tuples(st.integers(1, 6), count), max_size=2))
    return small, replace(
        small,
        filters=tuple(filters),
        projection_dim=small.projection_dim + draw(more),
        cell_dim=small.cell_dim + draw(more),
    )


@given(shapes(), st.integers(0, 1000))
def test_it_computes_what_the_smaller_one_does(pair: tuple[BiLMConfig, BiLMConfig], seed: int) -> None:
    shape, larger = pair
    torch.manual_seed(seed)
    small = BiLM(shape)
    assert can_widen(shape, larger)
    large = widen(small, larger)
    assert large.config == larger
    narrow, wide = shape.projection_dim, larger.projection_dim
    for old, new in zip(small.embed(SENTENCES), large.embed(SENTENCES), strict=True):
        np.testing.assert_allclose(new[..., :narrow], old[..., :narrow], rtol=0, atol=1e-5)
        np.testing.assert_allclose(new[..., wide : wide + narrow], old[..., narrow:], rtol=0, atol=1e-5)


def test_further_units_differ_and_can_be_learned_from() -> None:
    torch.manual_seed(0)
    large = widen(BiLM(SMALL), replace(SMALL, filters=((1, 8), (3, 9), (5, 4)), projection_dim=12, cell_dim=14))
    further = np.concatenate([layers[..., 6:12] for layers in large.embed(SENTENCES)], axis=1)
    assert all(np.linalg.matrix_rank(layer) == 6 for layer in further)
    # What the old units do not read yet reaches them with the first step.
    sum(layers[..., :6].square().sum() for layers in large(SENTENCES)).backward()
    layer = large.stacks[0][1]
    blocks = {
        "word": large.char_cnn.projection.weight.grad[:6, 4:8],
        "input": layer.weight.grad[:7, 6:12],
        "state": layer.weight.grad[:7, 18:],
        "cell": layer.projection.grad[:6, 7:],
    }
    assert {name for name, block in blocks.items() if block.abs().max() == 0} == set()


def test_the_smaller_one_stays_as_it_is() -> None:
    small = BiLM(SMALL)
    before = small.digest()
    torch.nn.init.ones_(widen(small, SMALL).stacks[0][0].weight)
    assert small.digest() == before


@pytest.mark.parametrize(
    "change",
    [
        {"projection_dim": 5},
        {"cell_dim": 6},
        {"filters": ((1, 4),)},
        {"filters": ((1, 3), (3, 5))},
        {"filters": ((2, 4), (3, 5))},
        {"filters": ((3, 5), (1, 4))},
        {"n_layers": 3},
        {"n_highway": 2},
        {"char_dim": 8},
        {"max_characters": 20},
        {"activation": "tanh"},
        {"cell_clip": None},
        {"skip_connections": False},
        {"lexicon": LexiconConfig(n_words=5, word_dim=3, n_characters=4)},
    ],
)
def test_what_no_widening_leads_to(change: dict[str, object]) -> None:
    larger = {"projection_dim": 8}
    assert can_widen(SMALL, replace(SMALL, **larger))
    assert not can_widen(SMALL, replace(SMALL, **{**larger, **change}))


def test_a_lexicon_is_not_widened() -> None:
    small = replace(SMALL, lexicon=LexiconConfig(n_words=5, word_dim=3, n_characters=4))
    assert not can_widen(small, replace(small, projection_dim=8))


def test_classes_keep_their_scores() -> None:
    """Whatever stands in the further columns of what is scored."""
    torch.manual_seed(0)
    small, large = Softmax(5, 3), Softmax(7, 4)
    unknown = large.weight[6].clone()
    widen_classes(small, large, torch.tensor([0, 1, 2, 4]), torch.tensor([0, 1, 5, 3]))
    hidden = torch.randn(2, 4)
    found = hidden @ large.weight.T + large.bias
    wanted = hidden[:, :3] @ small.weight.T + small.bias
    torch.testing.assert_close(found[:, [0, 1, 5, 3]], wanted[:, [0, 1, 2, 4]])
    torch.testing.assert_close(large.weight[6], unknown)
