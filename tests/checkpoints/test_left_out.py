"""Models of bilm-tf whose projections change no width: its files leave them out."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from spacy_elmo import CheckpointError, load_bilm, save_bilm
from spacy_elmo.checkpoints import describe, locate
from tests.checkpoints.test_allennlp import Weights, message_of, write_pair
from tests.reference.numpy_elmo import NumpyELMo, random_options, random_weights

WORDS = "CNN_proj/"
OUTPUTS = "W_P_0"
SENTENCES = [["The", "river", "bank"], ["naïve"]]


def model(*absent: str, **lstm: Any) -> tuple[dict[str, Any], Weights]:
    """Options where all widths are 10, and weights without these datasets."""
    rng = np.random.default_rng(3)
    options = random_options(
        rng, filters=[[1, 4], [3, 6]], n_highway=1, n_layers=2, projection_dim=10, dim=10, embedding={"dim": 3}
    )
    options["lstm"] |= {"cell_clip": 3, "proj_clip": 0.05, **lstm}
    weights = random_weights(options, rng)
    return options, {path: array for path, array in weights.items() if not any(part in path for part in absent)}


def computed(options: dict[str, Any], weights: Weights) -> list[np.ndarray]:
    """What bilm-tf computes: nothing is projected, and so outputs are not clipped either."""
    options, weights = copy.deepcopy(options), dict(weights)
    if not any(WORDS in path for path in weights):
        weights |= {f"{WORDS}W_proj": np.eye(10), f"{WORDS}b_proj": np.zeros(10)}
    cells = [path.removesuffix("B") for path in weights if path.endswith("LSTMCell/B")]
    if not any(path.endswith(OUTPUTS) for path in weights):
        weights |= {f"{cell}{OUTPUTS}": np.eye(10) for cell in cells}
        options["lstm"]["proj_clip"] = None
    reference = NumpyELMo(options, weights)
    return [reference.embed(words) for words in SENTENCES]


@pytest.mark.parametrize("absent", [(WORDS,), (OUTPUTS,), (WORDS, OUTPUTS), ()])
def test_vectors_are_those_of_the_model_without_the_projections(tmp_path: Path, absent: tuple[str, ...]) -> None:
    options, weights = model(*absent)
    bilm = load_bilm(write_pair(tmp_path, options, weights), device="cpu")
    with torch.no_grad():
        exact = bilm.double()(SENTENCES)
    for found, wanted in zip(exact, computed(options, weights), strict=True):
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-9, atol=1e-9)


def test_the_identity_that_stands_for_them_is_exact_in_float32(tmp_path: Path) -> None:
    """The last layer's outputs are the cells' own, to the last bit."""
    options, weights = model(WORDS, OUTPUTS)
    bilm = load_bilm(write_pair(tmp_path, options, weights), device="cpu")
    for name, parameter in bilm.named_parameters():
        if name.endswith(".projection") or name == "char_cnn.projection.weight":
            assert torch.equal(parameter, torch.eye(10)), name
            x = torch.randn(500, 10)
            assert torch.equal(x @ parameter.T, x), name


def test_such_a_model_can_be_written_in_both_formats(tmp_path: Path) -> None:
    options, weights = model(WORDS, OUTPUTS)
    bilm = load_bilm(write_pair(tmp_path, options, weights), device="cpu")
    for format in ("native", "allennlp"):
        again = load_bilm(save_bilm(bilm, tmp_path / format, format=format), device="cpu")
        assert again.config == bilm.config
        for found, wanted in zip(again.embed(SENTENCES), bilm.embed(SENTENCES), strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("lack", "missing"),
    [
        (lambda path: path == f"{WORDS}b_proj", f"the datasets {WORDS}b_proj are missing"),
        (lambda path: "RNN_1" in path and path.endswith(OUTPUTS), "RNN_1/RNN/MultiRNNCell/Cell0/LSTMCell/W_P_0"),
    ],
)
def test_half_of_them_is_too_few(tmp_path: Path, lack: Callable[[str], bool], missing: str) -> None:
    options, weights = model()
    pair = write_pair(tmp_path, options, {path: array for path, array in weights.items() if not lack(path)})
    assert missing in message_of(pair)


@pytest.mark.parametrize(("absent", "key", "width"), [(OUTPUTS, "dim", 9), (WORDS, "projection_dim", 9)])
def test_projections_that_change_a_width_cannot_be_left_out(tmp_path: Path, absent: str, key: str, width: int) -> None:
    options, _ = model()
    options["lstm"] |= {"dim": 9, "projection_dim": 10} if key == "dim" else {"dim": 9, "projection_dim": 9}
    weights = random_weights(options, np.random.default_rng(0))
    pair = write_pair(tmp_path, options, {path: array for path, array in weights.items() if absent not in path})
    assert "are missing" in message_of(pair)


@pytest.mark.parametrize("dimension", [10**9, 10**15])
def test_what_would_stand_for_them_takes_no_memory_that_the_file_does_not(tmp_path: Path, dimension: int) -> None:
    options, weights = model(OUTPUTS)
    options["lstm"] |= {"dim": dimension, "projection_dim": dimension}
    assert "contradicts" in message_of(write_pair(tmp_path, options, weights))


def test_one_layer_where_the_options_do_not_say_how_many(tmp_path: Path) -> None:
    options, weights = model()
    weights = {path: array for path, array in weights.items() if "Cell1" not in path}
    del options["lstm"]["n_layers"]
    bilm = load_bilm(write_pair(tmp_path, options, weights), device="cpu")
    assert bilm.config.n_layers == 1
    options["lstm"]["n_layers"] = 1
    for found, wanted in zip(bilm.embed(SENTENCES), computed(options, weights), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def test_a_softmax_beside_the_weights_is_let_be_and_named(tmp_path: Path) -> None:
    options, weights = model()
    surplus = {"softmax/W": np.zeros((7, 10)), "softmax/b": np.zeros(7)}
    pair = write_pair(tmp_path, options, {**weights, **surplus})
    plain = tmp_path / "plain"
    plain.mkdir()
    wanted = load_bilm(write_pair(plain, options, weights), device="cpu").embed(SENTENCES)
    for one, other in zip(load_bilm(pair, device="cpu").embed(SENTENCES), wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    assert describe(locate(pair))["ignored"] == ["softmax/W", "softmax/b"]
    assert "ignored" not in describe(locate(plain))


@pytest.mark.parametrize("names", [["0", "1", "sentence_to_index"], [str(i) for i in range(3_000)]])
@pytest.mark.parametrize("given", ["pair", "file"])
def test_vectors_given_as_weights_are_called_vectors(tmp_path: Path, names: list[str], given: str) -> None:
    options, _ = model()
    (tmp_path / "options.json").write_text(json.dumps(options), "utf8")
    with h5py.File(tmp_path / "vectors.hdf5", "w") as file:
        for name in names:
            file[name] = np.zeros((3, 2, 20), np.float32) if name.isdecimal() and len(names) < 9 else "{}"
    pair = [tmp_path / "options.json", tmp_path / "vectors.hdf5"]
    message = message_of(pair if given == "pair" else pair[1])
    assert f"{pair[1]} holds vectors of sentences" in message
    assert len(message) < 400


def test_an_hdf5_of_much_else_is_told_shortly(tmp_path: Path) -> None:
    options, _ = model()
    pair = write_pair(tmp_path, options, {f"layer_{i:05}": np.zeros(1) for i in range(5_000)})
    message = message_of(pair)
    assert "It holds: layer_00000, layer_00001" in message
    assert "and 4,988 more" in message
    assert len(message) < 1_500


def test_options_with_a_byte_order_mark(tmp_path: Path) -> None:
    options, weights = model()
    pair = write_pair(tmp_path, options, weights)
    pair[0].write_text(json.dumps(options), "utf-8-sig")
    assert load_bilm(pair, device="cpu").config.cell_dim == 10


@pytest.mark.parametrize("name", ["weights.h5", "elmo_weights.h5", "model.h5"])
def test_weights_of_the_shorter_ending(tmp_path: Path, name: str) -> None:
    options, weights = model()
    pair = write_pair(tmp_path, options, weights)
    pair[1].rename(tmp_path / name)
    for source in (tmp_path, tmp_path / name, tmp_path / "options.json"):
        assert load_bilm(source, device="cpu").config.cell_dim == 10


@pytest.mark.parametrize(
    ("section", "key", "value", "ours"),
    [
        ("lstm", "use_skip_connections", "false", "skip_connections"),
        ("lstm", "use_skip_connections", 1, "skip_connections"),
        ("lstm", "cell_clip", "3", "cell_clip"),
        ("lstm", "cell_clip", True, "cell_clip"),
        ("lstm", "proj_clip", float("inf"), "projection_clip"),
        ("lstm", "n_layers", True, "n_layers"),
        ("lstm", "n_layers", 2.0, "n_layers"),
        ("char_cnn", "filters", [[True, 4], [3, 6]], "filters"),
        ("char_cnn", "activation", ["relu"], "activation"),
    ],
)
def test_values_of_a_wrong_kind_are_named(tmp_path: Path, section: str, key: str, value: Any, ours: str) -> None:
    options, weights = model()
    options[section][key] = value
    pair = write_pair(tmp_path, options, weights)
    with pytest.raises(CheckpointError, match=f"options.json: biLM config: '{ours}' is ") as error:
        load_bilm(pair)
    assert repr(value) in str(error.value)
