"""The layer mix against its formulas in NumPy, in float64."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from thinc.api import Model

from spacy_elmo.layers import layer_mix
from spacy_elmo.layers.layer_mix import LayerMix, mix_weights

Array = npt.NDArray[Any]

N_LAYERS, WIDTH = 3, 4
LENGTHS = (5, 0, 1, 3)
W = np.array([0.3, -1.2, 0.8], dtype=np.float32)
GAMMA = np.array([1.7], dtype=np.float32)
OUTPUTS: list[str | int] = ["mix", "average", "top", "concat", 0, 1, 2, -1, -3]

all_outputs = pytest.mark.parametrize("output", OUTPUTS)
with_and_without_norm = pytest.mark.parametrize("layer_norm", [False, True])


def random_layers(lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0.2, 1.5, (N_LAYERS, length, WIDTH)).astype(np.float32) for length in lengths]


def initialized_mix(output: str | int, layer_norm: bool = False, dropout: float = 0.0) -> Model:
    mix = LayerMix(output, layer_norm, dropout)
    mix.initialize(X=random_layers())
    if output == "mix":
        mix.set_param("w", W.copy())
        mix.set_param("gamma", GAMMA.copy())
    return mix


def formula(layers: Array, output: str | int, layer_norm: bool, w: Array = W, gamma: Array = GAMMA) -> Array:
    """Equation 1 of the paper, and the fixed choices, on one float64 array (n_layers, n_tokens, width)."""
    h = layers.astype(np.float64)
    if layer_norm:
        mean, variance = h.mean(axis=-1, keepdims=True), h.var(axis=-1, keepdims=True)
        h = (h - mean) / np.sqrt(variance + 1e-8)
    if output == "mix":
        s = np.exp(w.astype(np.float64))
        s /= s.sum()
        return np.asarray(float(gamma[0]) * sum(s[k] * h[k] for k in range(len(h))))
    if output == "average":
        return np.asarray(sum(h) / len(h))
    if output == "concat":
        return np.concatenate(list(h), axis=1)
    return h[-1] if output == "top" else h[int(output)]


def finite_differences(function: Callable[[], float], x: Array, step: float = 1e-5) -> Array:
    """The gradient of a function of `x` (float64), which is changed in place and put back."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        before = x[i]
        x[i] = before + step
        above = function()
        x[i] = before - step
        gradient[i] = (above - function()) / (2 * step)
        x[i] = before
    return gradient


@all_outputs
@with_and_without_norm
def test_values_are_those_of_the_formula(output: str | int, layer_norm: bool) -> None:
    layers = random_layers()
    vectors = initialized_mix(output, layer_norm).predict(layers)
    assert [array.shape[0] for array in vectors] == list(LENGTHS)
    for array, doc_layers in zip(vectors, layers, strict=True):
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, formula(doc_layers, output, layer_norm), atol=1e-5)


@all_outputs
@with_and_without_norm
def test_gradient_of_the_layers_is_that_of_finite_differences(output: str | int, layer_norm: bool) -> None:
    layers = random_layers()
    vectors, backprop = initialized_mix(output, layer_norm).begin_update(layers)
    rng = np.random.default_rng(1)
    d_vectors = [rng.normal(size=array.shape).astype(np.float32) for array in vectors]
    d_layers = backprop(d_vectors)
    assert [array.shape for array in d_layers] == [array.shape for array in layers]
    for doc_layers, dY, dX in zip(layers, d_vectors, d_layers, strict=True):
        x = doc_layers.astype(np.float64)
        expected = finite_differences(lambda x=x, dY=dY: float((formula(x, output, layer_norm) * dY).sum()), x)
        np.testing.assert_allclose(dX, expected, atol=2e-4, rtol=1e-4)


def test_tokens_without_vectors_have_no_gradient_by_the_norm() -> None:
    """The loss of a component that is trained is the square of this."""
    layers = random_layers()
    layers[0][:, 1] = 0
    vectors, backprop = initialized_mix("mix", layer_norm=True).begin_update(layers)
    d_layers = backprop([np.random.default_rng(1).normal(size=array.shape).astype(np.float32) for array in vectors])
    assert not d_layers[0][:, 1].any()
    assert d_layers[0][:, 0].any()


@with_and_without_norm
def test_gradients_of_w_and_gamma_are_those_of_finite_differences(layer_norm: bool) -> None:
    layers = random_layers()
    mix = initialized_mix("mix", layer_norm)
    vectors, backprop = mix.begin_update(layers)
    rng = np.random.default_rng(2)
    d_vectors = [rng.normal(size=array.shape).astype(np.float32) for array in vectors]
    backprop(d_vectors)
    w, gamma = W.astype(np.float64), GAMMA.astype(np.float64)

    def loss() -> float:
        pairs = zip(layers, d_vectors, strict=True)
        return sum(float((formula(x, "mix", layer_norm, w, gamma) * dY).sum()) for x, dY in pairs)

    np.testing.assert_allclose(mix.get_grad("w"), finite_differences(loss, w), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(mix.get_grad("gamma"), finite_differences(loss, gamma), atol=1e-4, rtol=1e-4)


def test_gradients_of_two_batches_add_up() -> None:
    batches = [random_layers((2, 3), seed=3), random_layers((4,), seed=4)]
    mix, both = initialized_mix("mix"), initialized_mix("mix")
    for layers in batches:
        vectors, backprop = mix.begin_update(layers)
        backprop([np.ones_like(array) for array in vectors])
    vectors, backprop = both.begin_update([array for layers in batches for array in layers])
    backprop([np.ones_like(array) for array in vectors])
    np.testing.assert_allclose(mix.get_grad("w"), both.get_grad("w"), atol=1e-5)
    np.testing.assert_allclose(mix.get_grad("gamma"), both.get_grad("gamma"), rtol=1e-5)


@with_and_without_norm
def test_mix_starts_as_the_average(layer_norm: bool) -> None:
    layers = random_layers()
    mix, average = LayerMix("mix", layer_norm), LayerMix("average", layer_norm)
    for learned, fixed in zip(mix.predict(layers), average.predict(layers), strict=True):
        np.testing.assert_allclose(learned, fixed, atol=1e-6)
    np.testing.assert_allclose(mix_weights(mix), [1 / 3] * 3, atol=1e-7)


def test_mix_weights_are_the_softmax_of_w() -> None:
    weights = np.exp(W) / np.exp(W).sum()
    np.testing.assert_allclose(mix_weights(initialized_mix("mix")), weights, atol=1e-6)


@pytest.mark.parametrize("output", ["average", "top", "concat", 1])
def test_fixed_choices_have_nothing_to_learn(output: str | int) -> None:
    assert initialized_mix(output).param_names == ()


@pytest.mark.parametrize(("output", "width"), [("mix", WIDTH), ("concat", N_LAYERS * WIDTH), (0, WIDTH)])
def test_width_is_known_after_initialize(output: str | int, width: int) -> None:
    mix = initialized_mix(output)
    assert mix.get_dim("nO") == width
    assert mix.get_dim("nL") == N_LAYERS
    assert mix.predict(random_layers((2,)))[0].shape == (2, width)


@pytest.mark.parametrize(("shape", "told"), [((2, WIDTH), "on 3 layers .* 2 layers"), ((3, 9), "4 wide.* 9 wide")])
def test_a_mix_that_was_trained_on_other_layers_is_told(shape: tuple[int, int], told: str) -> None:
    with pytest.raises(ValueError, match=f"{told}.*the component 'elmo' that it was trained with"):
        layer_mix.set_dims(initialized_mix("mix"), *shape)


def test_an_output_that_is_none_is_told_of_numbers_from_the_top() -> None:
    with pytest.raises(ValueError, match="the number of a layer, below 0 from the top"):
        LayerMix("middle")


def test_layer_norm_gives_rows_of_mean_0_and_variance_1() -> None:
    (vectors,) = initialized_mix("top", layer_norm=True).predict(random_layers((6,)))
    np.testing.assert_allclose(vectors.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(vectors.var(axis=1), 1, atol=1e-5)


def test_layer_norm_keeps_rows_of_zeros() -> None:
    """Whitespace tokens have zeros, which stay zeros, and give no gradient that is not finite."""
    layers = np.zeros((N_LAYERS, 2, WIDTH), dtype=np.float32)
    vectors, backprop = initialized_mix("mix", layer_norm=True).begin_update([layers])
    np.testing.assert_array_equal(vectors[0], 0)
    (d_layers,) = backprop([np.ones_like(vectors[0])])
    assert np.isfinite(d_layers).all()


@all_outputs
def test_dropout_leaves_predictions_alone(output: str | int) -> None:
    layers = random_layers()
    dropped, plain = initialized_mix(output, dropout=0.5), initialized_mix(output)
    for a, b in zip(dropped.predict(layers), plain.predict(layers), strict=True):
        np.testing.assert_array_equal(a, b)


def test_dropout_masks_in_training_and_scales_what_it_keeps() -> None:
    layers = random_layers((200,))
    mix = initialized_mix("top", dropout=0.25)
    ((full,), (vectors,)) = mix.predict(layers), mix.begin_update(layers)[0]
    kept = vectors != 0
    assert 0.65 < kept.mean() < 0.85
    np.testing.assert_allclose(vectors[kept], full[kept] / 0.75, rtol=1e-5)


def test_dropout_masks_the_gradient_likewise() -> None:
    layers = random_layers((50,))
    mix = initialized_mix("top", dropout=0.25)
    vectors, backprop = mix.begin_update(layers)
    (d_layers,) = backprop([np.ones_like(vectors[0])])
    np.testing.assert_array_equal(d_layers[:-1], 0)
    np.testing.assert_allclose(d_layers[-1], np.where(vectors[0] != 0, 1 / 0.75, 0), rtol=1e-5)


def test_two_training_steps_draw_two_masks() -> None:
    layers = random_layers((50,))
    mix = initialized_mix("top", dropout=0.5)
    first, second = mix.begin_update(layers)[0][0], mix.begin_update(layers)[0][0]
    assert ((first != 0) != (second != 0)).any()


@pytest.mark.parametrize("output", ["last", "", None, True, 1.0, [0, 1]])
def test_unknown_output_is_refused_by_name(output: Any) -> None:
    with pytest.raises(ValueError, match="mix, average, top, concat") as error:
        LayerMix(output)
    assert repr(output) in str(error.value)


@pytest.mark.parametrize("output", [3, -4, 100])
def test_layer_out_of_range_is_refused_by_number(output: int) -> None:
    with pytest.raises(ValueError, match=f"layers 0 to 2, and no layer {output}"):
        LayerMix(output).initialize(X=random_layers())


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 2])
def test_dropout_out_of_range_is_refused(dropout: float) -> None:
    with pytest.raises(ValueError, match="from 0 to below 1") as error:
        LayerMix("mix", dropout=dropout)
    assert repr(dropout) in str(error.value)


@all_outputs
@with_and_without_norm
def test_no_docs_at_all(output: str | int, layer_norm: bool) -> None:
    vectors, backprop = initialized_mix(output, layer_norm).begin_update([])
    assert vectors == []
    assert backprop([]) == []


@all_outputs
@with_and_without_norm
def test_only_docs_without_tokens(output: str | int, layer_norm: bool) -> None:
    mix = initialized_mix(output, layer_norm)
    vectors, backprop = mix.begin_update(random_layers((0, 0)))
    assert [array.shape for array in vectors] == [(0, mix.get_dim("nO"))] * 2
    assert [array.shape for array in backprop(vectors)] == [(N_LAYERS, 0, WIDTH)] * 2
    for name in mix.grad_names:
        np.testing.assert_array_equal(mix.get_grad(name), 0)


def test_input_is_left_unchanged() -> None:
    """Cached layers are read-only, and shared between listeners."""
    layers = random_layers()
    for array in layers:
        array.setflags(write=False)
    for output in OUTPUTS:
        vectors, backprop = initialized_mix(output, layer_norm=True, dropout=0.5).begin_update(layers)
        for array in vectors:
            array += 1
        backprop(vectors)
    for array, fresh in zip(layers, random_layers(), strict=True):
        np.testing.assert_array_equal(array, fresh)


def test_parameters_come_back_from_bytes() -> None:
    layers = random_layers()
    mix = initialized_mix("mix")
    loaded = LayerMix("mix").from_bytes(mix.to_bytes())
    np.testing.assert_array_equal(loaded.get_param("w"), W)
    np.testing.assert_array_equal(loaded.get_param("gamma"), GAMMA)
    for a, b in zip(loaded.predict(layers), mix.predict(layers), strict=True):
        np.testing.assert_array_equal(a, b)


@all_outputs
@with_and_without_norm
def test_a_long_document_is_mixed_in_blocks(
    output: str | int, layer_norm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mix, layers = initialized_mix(output, layer_norm), random_layers((11, 0, 3))
    whole = mix.predict(layers)
    monkeypatch.setattr(layer_mix, "BLOCK", 4)
    for found, wanted in zip(mix.predict(layers), whole, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
        assert found.dtype == np.float32
    trained, _ = mix.begin_update(layers)
    np.testing.assert_allclose(trained[0], whole[0], rtol=1e-6, atol=1e-6)


def test_a_long_document_takes_no_copy_of_its_layers() -> None:
    mix = initialized_mix("average")
    layers = random_layers((1_000_000,))
    tracemalloc.start()
    (vectors,) = mix.predict(layers)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < vectors.nbytes + layers[0].nbytes // 5


def test_l2_draws_the_mix_to_the_average() -> None:
    """The gradient of l2 * |w|^2 is 2 * l2 * w; gamma has none."""
    layers = random_layers()
    gradients = []
    for l2 in (0.0, 0.5):
        mix = initialized_mix("mix")
        mix.attrs["l2"] = l2
        ys, backprop = mix.begin_update(layers)
        backprop([np.ones_like(y) for y in ys])
        gradients.append((mix.get_grad("w"), mix.get_grad("gamma")))
    np.testing.assert_allclose(gradients[1][0] - gradients[0][0], W, atol=1e-5)
    np.testing.assert_array_equal(gradients[1][1], gradients[0][1])
    with pytest.raises(ValueError, match="l2 of an ELMo mix"):
        LayerMix("mix", l2=-1.0)


@pytest.mark.parametrize("output", ["average", "top", "concat", 1])
def test_l2_is_refused_where_no_mix_is_learned(output: str | int) -> None:
    with pytest.raises(ValueError, match=f"An ELMo output {output!r} learns no mix"):
        LayerMix(output, l2=0.001)
