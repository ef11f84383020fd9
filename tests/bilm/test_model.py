import copy
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_elmo import BiLM, BiLMState, load_bilm
from spacy_elmo.bilm import characters
from spacy_elmo.bilm.words import WordTypes
from spacy_elmo.errors import ArgumentError
from tests.checkpoints.test_allennlp import write_pair
from tests.conftest import TINY, random_bilm
from tests.reference.numpy_elmo import NumpyELMo, random_options, random_weights

SENTENCES = [
    ["Nobody", "in", "that", "long", ",", "long", "room", "looked", "up", "from", "the", "naïve", "cards", "."],
    ["one"],
    ["日本語", "🙂", "\ud800", "", "x" * 47, "x" * 48, "x" * 49, "é" * 30],
    ["a", "b"] * 6,
    ["Elmo", ",", "Elmo", "?"],
]

# Together these hold every choice: highway layers 0 to 2, LSTM layers 1 to 3, both activations, each clip on and off,
# skip connections on and off, cells narrower and wider than the projection and as wide. The rest is drawn at random.
SHAPES: list[dict[str, Any]] = [
    {"n_highway": 0, "n_layers": 1, "activation": "relu", "cell_clip": 3, "proj_clip": 3, "use_skip_connections": True},
    {"n_highway": 1, "n_layers": 2, "activation": "relu", "cell_clip": 3, "proj_clip": 3, "use_skip_connections": True},
    {"n_highway": 2, "n_layers": 3, "activation": "tanh", "cell_clip": 3, "proj_clip": 3, "use_skip_connections": True},
    {"n_highway": 2, "n_layers": 2, "activation": "tanh", "cell_clip": None, "proj_clip": None, "dim": 7},
    {"n_highway": 1, "n_layers": 3, "cell_clip": None, "proj_clip": 3, "use_skip_connections": False, "dim": 5},
    {"n_highway": 0, "n_layers": 2, "cell_clip": 3, "proj_clip": None, "use_skip_connections": False, "dim": 33},
    {"projection_dim": 12, "dim": 4, "cell_clip": 3, "proj_clip": 3, "use_skip_connections": True, "n_layers": 3},
    {"projection_dim": 6, "dim": 6, "cell_clip": 0.5, "proj_clip": 0.4, "n_layers": 2},
]

# With larger weights the cells and the projections reach their clips; the recurrence amplifies float32 rounding, too.
SCALES = [(1.0, 1e-5), (4.0, 1e-4)]


def pair_of_models(directory: Path, overrides: dict[str, Any], scale: float) -> tuple[BiLM, NumpyELMo]:
    """A random model, read from files into ours, and its reference."""
    rng = np.random.default_rng(SHAPES.index(overrides))
    options = random_options(rng, **overrides)
    weights = random_weights(options, rng, scale)
    return load_bilm(write_pair(directory, options, weights), device="cpu"), NumpyELMo(options, weights)


def unclipped(reference: NumpyELMo) -> NumpyELMo:
    lstm = {**reference.lstm, "cell_clip": None, "proj_clip": None}
    return NumpyELMo({"char_cnn": reference.cnn, "lstm": lstm}, reference.w)


@pytest.mark.parametrize(("scale", "tolerance"), SCALES)
@pytest.mark.parametrize("overrides", SHAPES)
def test_embed_equals_the_reference(tmp_path: Path, overrides: dict[str, Any], scale: float, tolerance: float) -> None:
    bilm, reference = pair_of_models(tmp_path, overrides, scale)
    found = bilm.embed(SENTENCES)
    for array, sentence in zip(found, SENTENCES, strict=True):
        wanted = reference.embed(sentence)
        assert array.dtype == np.float32
        assert array.shape == wanted.shape == (bilm.config.n_layers + 1, len(sentence), bilm.config.width)
        np.testing.assert_allclose(array, wanted, rtol=0, atol=tolerance)
    if scale > 1 and reference.lstm["cell_clip"] and reference.lstm["proj_clip"]:
        # The clips have taken part.
        assert np.abs(found[0] - unclipped(reference).embed(SENTENCES[0])).max() > 0.1


@pytest.mark.parametrize(("scale", "tolerance"), SCALES)
@pytest.mark.parametrize("overrides", SHAPES)
def test_embed_stateful_equals_the_reference(
    tmp_path: Path, overrides: dict[str, Any], scale: float, tolerance: float
) -> None:
    bilm, reference = pair_of_models(tmp_path, overrides, scale)
    batches = [
        [["a", "first", "sentence", "."], ["another"], []],
        [["two"], [], ["it", "begins", "late"]],
        [["and", "on"], ["so", "it", "goes", ",", "on"], ["the", "end", "."]],
    ]
    state = None
    states = [reference.zero_state() for _ in range(3)]
    for batch in batches:
        found, state = bilm.embed_stateful(batch, state)
        for row, (array, sentence) in enumerate(zip(found, batch, strict=True)):
            wanted, states[row] = reference.embed_stateful(sentence, states[row])
            np.testing.assert_allclose(array, wanted, rtol=0, atol=tolerance)
        for direction, layer, row in itertools.product(range(2), range(bilm.config.n_layers), range(3)):
            hidden, cell = states[row][direction][layer]
            np.testing.assert_allclose(state.hidden[direction, layer, row], hidden, rtol=0, atol=tolerance)
            np.testing.assert_allclose(state.cell[direction, layer, row], cell, rtol=0, atol=tolerance)


@pytest.mark.parametrize("overrides", SHAPES[:5])
def test_forward_types_equals_the_engines_run(tmp_path: Path, overrides: dict[str, Any]) -> None:
    """From a state to a state, boundaries included."""
    bilm, _ = pair_of_models(tmp_path, overrides, 1.0)
    state: BiLMState | None = None
    wanted_state = BiLMState.zeros(bilm.config, 5)
    for sentences in (SENTENCES, SENTENCES[::-1]):
        types = WordTypes.of(sentences, bilm.word_encoder)
        layers, state = bilm.forward_types(types, state)
        wanted, wanted_state = bilm.engine.run(types, wanted_state)
        for found, value in zip((layers, *vars(state).values()), (wanted, *vars(wanted_state).values()), strict=True):
            assert found.requires_grad
            torch.testing.assert_close(found.detach(), value, rtol=0, atol=1e-5)


def test_the_state_given_stays_as_it_is(tiny_bilm: BiLM) -> None:
    _, state = tiny_bilm.embed_stateful([["a", "b"], ["c"]])
    kept = state.hidden.clone(), state.cell.clone()
    found, _ = tiny_bilm.embed_stateful([["d"], ["e", "f"]], state)
    again, _ = tiny_bilm.embed_stateful([["d"], ["e", "f"]], state)
    assert torch.equal(state.hidden, kept[0])
    assert torch.equal(state.cell, kept[1])
    for first, second in zip(found, again, strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_state_changes_the_vectors_of_the_lstms_alone(tiny_bilm: BiLM) -> None:
    _, state = tiny_bilm.embed_stateful([["a", "b"]])
    (found,), _ = tiny_bilm.embed_stateful([["c", "d"]], state)
    (fresh,) = tiny_bilm.embed([["c", "d"]])
    np.testing.assert_array_equal(found[0], fresh[0])
    assert np.abs(found[1:] - fresh[1:]).max(axis=(1, 2)).min() > 1e-3


@pytest.mark.parametrize("n_sequences", [0, 1, 3])
def test_a_state_of_another_number_of_sequences_is_refused(tiny_bilm: BiLM, n_sequences: int) -> None:
    state = BiLMState.zeros(TINY, n_sequences)
    with pytest.raises(ArgumentError, match=rf"{n_sequences} sequences, but there are 2 sentences"):
        tiny_bilm.embed_stateful([["a"], ["b"]], state)


def test_embed_stateful_of_no_sentences(tiny_bilm: BiLM) -> None:
    arrays, state = tiny_bilm.embed_stateful([])
    assert arrays == []
    assert state.n_sequences == 0


def test_layer_0_is_the_word_vector_twice(tiny_bilm: BiLM) -> None:
    (array,) = tiny_bilm.embed([["to", "be", "or", "to", "be"]])
    np.testing.assert_array_equal(array[0, :, :6], array[0, :, 6:])
    np.testing.assert_array_equal(array[0, :2], array[0, 3:])
    # In the other layers the same word differs from place to place.
    assert np.abs(array[1:, :2] - array[1:, 3:]).max(axis=(1, 2)).min() > 1e-3


def test_empty_sentences_and_single_words(tiny_bilm: BiLM) -> None:
    assert tiny_bilm.embed([]) == []
    shapes = [array.shape for array in tiny_bilm.embed([[], ["a"], [], ["b", "c"], []])]
    assert shapes == [(3, n, 12) for n in (0, 1, 0, 2, 0)]
    assert [array.shape for array in tiny_bilm.embed([[], []])] == [(3, 0, 12)] * 2
    assert all(array.dtype == np.float32 for array in tiny_bilm.embed([[], ["a"]]))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=30), max_size=8))
def test_any_words_are_accepted(tiny_bilm: BiLM, sentence: list[str]) -> None:
    (array,) = tiny_bilm.embed([sentence])
    assert array.shape == (3, len(sentence), 12)
    assert np.isfinite(array).all()
    # Words of the same bytes are the same word.
    (readable,) = tiny_bilm.embed([[word.encode("utf8", "ignore").decode("utf8") for word in sentence]])
    np.testing.assert_allclose(array, readable, rtol=0, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.text(max_size=6), max_size=6), max_size=5))
def test_forward_equals_embed(tiny_bilm: BiLM, sentences: list[list[str]]) -> None:
    tensors, arrays = tiny_bilm(sentences), tiny_bilm.embed(sentences)
    assert len(tensors) == len(arrays)
    for tensor, array in zip(tensors, arrays, strict=True):
        assert tensor.dtype == torch.float32
        np.testing.assert_allclose(tensor.detach().numpy(), array, rtol=0, atol=1e-5)


@pytest.mark.parametrize("overrides", SHAPES)
def test_forward_equals_embed_in_every_shape(tmp_path: Path, overrides: dict[str, Any]) -> None:
    bilm, _ = pair_of_models(tmp_path, overrides, scale=2.0)
    for tensor, array in zip(bilm(SENTENCES), bilm.embed(SENTENCES), strict=True):
        np.testing.assert_allclose(tensor.detach().numpy(), array, rtol=0, atol=1e-5)


GRADIENT_SENTENCES = [["The", "cat", "sat"], ["naïve"], [], ["the", "cat"]]


def test_forward_gradients_equal_finite_differences() -> None:
    """In float64, for the two largest entries of each parameter's gradient and three others at random."""
    bilm = random_bilm().double()
    generator = torch.Generator().manual_seed(0)
    factors = [torch.randn(3, len(s), 12, generator=generator, dtype=torch.float64) for s in GRADIENT_SENTENCES]

    def loss() -> torch.Tensor:
        return torch.stack([(x * y).sum() for x, y in zip(bilm(GRADIENT_SENTENCES), factors, strict=True)]).sum()

    loss().backward()
    step = 1e-6
    for name, parameter in bilm.named_parameters():
        assert parameter.grad is not None, name
        gradient, values = parameter.grad.flatten(), parameter.data.view(-1)
        assert gradient.abs().max() > 0, name
        entries = gradient.abs().topk(2).indices.tolist()
        entries += torch.randint(len(gradient), (3,), generator=generator).tolist()
        for entry in entries:
            if name == "char_cnn.embedding.weight" and entry < TINY.char_dim:
                continue  # the row of zeros, which does not learn
            kept = values[entry].item()
            with torch.no_grad():
                values[entry] = kept + step
                above = loss().item()
                values[entry] = kept - step
                below = loss().item()
                values[entry] = kept
            assert gradient[entry].item() == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-7), name


def test_forward_in_float32_reaches_every_parameter(tiny_bilm: BiLM) -> None:
    total = torch.cat([layers.flatten() for layers in tiny_bilm(GRADIENT_SENTENCES)]).square().sum()
    names, parameters = zip(*tiny_bilm.named_parameters(), strict=True)
    for name, gradient in zip(names, torch.autograd.grad(total, parameters), strict=True):
        assert torch.isfinite(gradient).all(), name
        assert gradient.abs().max() > 1e-4, name


def test_embed_makes_no_graph(tiny_bilm: BiLM) -> None:
    assert tiny_bilm.char_cnn.projection.weight.requires_grad
    arrays, state = tiny_bilm.embed_stateful([["a", "b"]])
    assert type(arrays[0]) is np.ndarray
    for tensor in (state.hidden, state.cell):
        assert tensor.grad_fn is None
        assert not tensor.requires_grad
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("call", [BiLM.embed, BiLM.embed_stateful, BiLM.forward])
@pytest.mark.parametrize(
    "sentences",
    ["A sentence", ["A", "sentence"], [["A"], "sentence"], [[1]], [["A", None]], [[b"A"]], [[["A"]]]],
)
def test_what_is_not_lists_of_strings_is_refused(
    tiny_bilm: BiLM, call: Callable[[BiLM, Any], Any], sentences: Any
) -> None:
    with pytest.raises(TypeError, match=r"tokenised sentences|A word has to be a string"):
        call(tiny_bilm, sentences)


def test_other_iterables_do_as_well_as_lists(tiny_bilm: BiLM) -> None:
    wanted = tiny_bilm.embed([["a", "b"], ["c"]])
    for sentences in ((("a", "b"), ("c",)), (iter(sentence) for sentence in (["a", "b"], ["c"]))):
        for array, other in zip(tiny_bilm.embed(sentences), wanted, strict=True):
            np.testing.assert_array_equal(array, other)


def test_boundaries_among_the_words_are_text_unless_asked_for(tiny_bilm: BiLM) -> None:
    sentence = ["a", "<S>", "</S>", "<s>"]
    (as_text,) = tiny_bilm.embed([sentence])
    reading = copy.deepcopy(tiny_bilm).read_boundary_words()
    (found,) = reading.embed([sentence])
    ids = characters.word_ids(sentence, tiny_bilm.config.max_characters)
    ids[1:3] = characters.boundary_ids(tiny_bilm.config.max_characters)
    wanted = tiny_bilm.char_cnn(torch.from_numpy(ids)).detach()
    np.testing.assert_allclose(found[0, :, :6], wanted, rtol=0, atol=1e-6)
    assert np.abs(as_text - found)[:, 1:3].max() > 0.1
    np.testing.assert_array_equal(tiny_bilm.embed([sentence])[0], as_text)


# bfloat16 keeps 8 significant bits; its errors in a vector are measured against the vector's length.
BFLOAT16_TOLERANCE = 0.02


def in_bfloat16(bilm: BiLM) -> BiLM:
    other = BiLM(bilm.config, precision="bfloat16")
    other.load_state_dict(bilm.state_dict())
    return other.eval()


def relative_errors(bilm: BiLM, exact: BiLM, sentences: list[list[str]]) -> np.ndarray:
    found, wanted = (np.concatenate(model.embed(sentences), axis=1) for model in (bilm, exact))
    assert found.dtype == np.float32
    return np.linalg.norm(found - wanted, axis=2) / np.linalg.norm(wanted, axis=2)


def test_bfloat16_is_near(tiny_bilm: BiLM) -> None:
    errors = relative_errors(in_bfloat16(tiny_bilm), tiny_bilm, SENTENCES)
    assert errors.max() < BFLOAT16_TOLERANCE
    # It is in use: float32 alone would be exact to 1e-6, as the vectors of the char CNN are.
    assert errors[0].max() < 1e-6
    assert errors[1:].mean(axis=1).min() > 1e-4


def test_bfloat16_is_near_with_the_embedded_model() -> None:
    exact = load_bilm("en_elmo_sm", device="cpu")
    errors = relative_errors(load_bilm("en_elmo_sm", device="cpu", precision="bfloat16"), exact, SENTENCES)
    assert errors.max() < BFLOAT16_TOLERANCE
    assert errors[1:].mean(axis=1).min() > 1e-4


def test_parameters_stay_float32_in_bfloat16(tiny_bilm: BiLM) -> None:
    bilm = in_bfloat16(tiny_bilm)
    bilm.embed([["a"]])
    assert {parameter.dtype for parameter in bilm.parameters()} == {torch.float32}


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"'float16' is not one of float32, bfloat16"):
        BiLM(TINY, precision="float16")
