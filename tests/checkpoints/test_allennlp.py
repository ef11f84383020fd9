import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from spacy_elmo import CheckpointError, load_bilm
from tests.reference.numpy_elmo import random_options, random_weights

Weights = dict[str, np.ndarray]

RNG = np.random.default_rng(0)
OPTIONS = random_options(
    RNG, filters=[[1, 4], [3, 6]], n_highway=1, n_layers=2, projection_dim=5, dim=7, embedding={"dim": 3}
)
WEIGHTS = random_weights(OPTIONS, RNG)
LSTM = "RNN_1/RNN/MultiRNNCell/Cell1/LSTMCell"


def write_pair(directory: Path, options: Any, weights: Weights, prefix: str = "") -> list[Path]:
    """Write a model in AllenNLP's format. Gives the paths [options, weights]."""
    options_path, weights_path = directory / f"{prefix}options.json", directory / f"{prefix}weights.hdf5"
    options_path.write_text(json.dumps(options), encoding="utf8")
    with h5py.File(weights_path, "w") as file:
        for path, array in weights.items():
            file[path] = array
    return [options_path, weights_path]


def message_of(source: Any) -> str:
    with pytest.raises(CheckpointError) as error:
        load_bilm(source)
    return str(error.value)


def test_options_become_the_config(tmp_path: Path) -> None:
    config = load_bilm(write_pair(tmp_path, OPTIONS, WEIGHTS)).config
    lstm, cnn = OPTIONS["lstm"], OPTIONS["char_cnn"]
    assert config.to_dict() == {
        "filters": ((1, 4), (3, 6)),
        "char_dim": 3,
        "max_characters": 50,
        "n_highway": 1,
        "activation": cnn["activation"],
        "projection_dim": 5,
        "cell_dim": 7,
        "n_layers": 2,
        "cell_clip": lstm["cell_clip"],
        "projection_clip": lstm["proj_clip"],
        "skip_connections": lstm["use_skip_connections"],
    }


def test_weights_become_the_parameters_bit_by_bit(tmp_path: Path) -> None:
    bilm = load_bilm(write_pair(tmp_path, OPTIONS, WEIGHTS), device="cpu")
    found = {name: parameter.detach().numpy() for name, parameter in bilm.named_parameters()}
    wanted = {
        "char_cnn.embedding.weight": np.concatenate([np.zeros((1, 3)), WEIGHTS["char_embed"]]),
        "char_cnn.convolutions.1.weight": np.einsum("wcf->fcw", WEIGHTS["CNN/W_cnn_1"][0]),
        "char_cnn.convolutions.1.bias": WEIGHTS["CNN/b_cnn_1"],
        "char_cnn.highways.0.carry.weight": WEIGHTS["CNN_high_0/W_carry"].T,
        "char_cnn.highways.0.transform.bias": WEIGHTS["CNN_high_0/b_transform"],
        "char_cnn.projection.weight": WEIGHTS["CNN_proj/W_proj"].T,
        "backward_layers.1.weight": WEIGHTS[f"{LSTM}/W_0"].T,
        "backward_layers.1.bias": WEIGHTS[f"{LSTM}/B"],
        "backward_layers.1.projection": WEIGHTS[f"{LSTM}/W_P_0"].T,
    }
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    # The ones above stand for their kinds; in all there are as many numbers as in the file, and the row of zeros.
    assert sum(array.size for array in found.values()) == sum(array.size for array in WEIGHTS.values()) + 3


@pytest.mark.parametrize(
    ("section", "key", "name", "value"),
    [
        ("char_cnn", "n_highway", "n_highway", 0),
        ("lstm", "cell_clip", "cell_clip", None),
        ("lstm", "proj_clip", "projection_clip", None),
        ("lstm", "use_skip_connections", "skip_connections", False),
    ],
)
def test_options_that_may_be_absent(tmp_path: Path, section: str, key: str, name: str, value: Any) -> None:
    options = copy.deepcopy(OPTIONS)
    del options[section][key]
    weights = {path: array for path, array in WEIGHTS.items() if key != "n_highway" or "CNN_high" not in path}
    assert getattr(load_bilm(write_pair(tmp_path, options, weights)).config, name) == value


@pytest.mark.parametrize("number", [261, 262, None])
def test_options_before_and_after_they_are_edited_as_bilm_tf_asks(tmp_path: Path, number: int | None) -> None:
    options = copy.deepcopy(OPTIONS)
    options["char_cnn"].pop("n_characters", None)
    if number is not None:
        options["char_cnn"]["n_characters"] = number
    bilm = load_bilm(write_pair(tmp_path, options, WEIGHTS), device="cpu")
    np.testing.assert_array_equal(bilm.char_cnn.embedding.weight[1:].detach(), WEIGHTS["char_embed"])


@pytest.mark.parametrize("number", [0, 260, 263, "262", None])
def test_another_alphabet_is_refused(tmp_path: Path, number: Any) -> None:
    options = copy.deepcopy(OPTIONS)
    options["char_cnn"]["n_characters"] = number
    pair = write_pair(tmp_path, options, WEIGHTS)
    assert f"{pair[0]}: n_characters is {number!r}, but must be 261 or 262." in message_of(pair)


@pytest.mark.parametrize("key", ["n_highway", "cell_clip", "use_skip_connections"])
def test_null_means_absent(tmp_path: Path, key: str) -> None:
    options = copy.deepcopy(OPTIONS)
    options["char_cnn" if key == "n_highway" else "lstm"][key] = None
    weights = {path: array for path, array in WEIGHTS.items() if key != "n_highway" or "CNN_high" not in path}
    config = load_bilm(write_pair(tmp_path, options, weights), device="cpu").config
    assert not getattr(config, key.removeprefix("use_"))


@pytest.mark.parametrize(("n_layers", "n_highway", "n_characters"), [(1, 0, 20), (3, 2, 60), (5, 1, 7)])
def test_other_numbers_of_layers_and_characters(
    tmp_path: Path, n_layers: int, n_highway: int, n_characters: int
) -> None:
    rng = np.random.default_rng(1)
    options = random_options(
        rng,
        filters=[[1, 4], [3, 6]],
        n_highway=n_highway,
        n_layers=n_layers,
        projection_dim=5,
        dim=7,
        embedding={"dim": 3},
    )
    options["char_cnn"]["max_characters_per_token"] = n_characters
    bilm = load_bilm(write_pair(tmp_path, options, random_weights(options, rng)), device="cpu")
    assert bilm.embed([["A", "river"]])[0].shape == (n_layers + 1, 2, 10)


def test_float64_weights_are_read_as_float32(tmp_path: Path) -> None:
    wide = {path: array.astype(np.float64) for path, array in WEIGHTS.items()}
    bilm = load_bilm(write_pair(tmp_path, OPTIONS, wide), device="cpu")
    np.testing.assert_array_equal(bilm.char_cnn.projection.bias.detach().numpy(), WEIGHTS["CNN_proj/b_proj"])


# Faults of the weights file


@pytest.mark.parametrize("path", ["char_embed", "CNN/W_cnn_0", "CNN_high_0/b_carry", f"{LSTM}/B", f"{LSTM}/W_P_0"])
def test_a_missing_dataset_is_named(tmp_path: Path, path: str) -> None:
    pair = write_pair(tmp_path, OPTIONS, {key: array for key, array in WEIGHTS.items() if key != path})
    message = message_of(pair)
    assert str(pair[0]) in message
    assert str(pair[1]) in message
    assert f"the datasets {path} are missing" in message


def test_an_hdf5_file_of_something_else_shows_what_it_holds(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, OPTIONS, {"model_weights/dense_1": np.zeros(3), "top": np.zeros(1)})
    message = message_of(pair)
    assert f"{pair[1]} is not the weights file of {pair[0]}" in message
    assert "char_embed" in message
    assert "It holds: model_weights/dense_1, top." in message


def test_an_empty_hdf5_file(tmp_path: Path) -> None:
    assert "It holds: nothing." in message_of(write_pair(tmp_path, OPTIONS, {}))


def test_surplus_datasets_are_named(tmp_path: Path) -> None:
    third = "RNN_0/RNN/MultiRNNCell/Cell2/LSTMCell"
    pair = write_pair(tmp_path, OPTIONS, {**WEIGHTS, f"{third}/B": np.zeros(28), "CNN_high_1/b_carry": np.zeros(10)})
    message = message_of(pair)
    assert str(pair[0]) in message
    assert f"{pair[1]} holds datasets" in message
    assert f"CNN_high_1/b_carry, {third}/B" in message


@pytest.mark.parametrize(
    ("section", "key", "value", "path", "found", "wanted"),
    [
        ("lstm", "dim", 8, "RNN_0/RNN/MultiRNNCell/Cell0/LSTMCell/W_0", "(10, 28)", "(10, 32)"),
        ("lstm", "projection_dim", 6, "CNN_proj/W_proj", "(10, 5)", "(10, 6)"),
        ("char_cnn", "filters", [[1, 4], [3, 7]], "CNN/W_cnn_1", "(1, 3, 3, 6)", "(1, 3, 3, 7)"),
        ("char_cnn", "filters", [[2, 4], [3, 6]], "CNN/W_cnn_0", "(1, 1, 3, 4)", "(1, 2, 3, 4)"),
        ("char_cnn", "embedding", {"dim": 4}, "char_embed", "(261, 3)", "(261, 4)"),
    ],
)
def test_a_shape_that_contradicts_the_options_is_shown_beside_the_wanted_one(
    tmp_path: Path, section: str, key: str, value: Any, path: str, found: str, wanted: str
) -> None:
    options = copy.deepcopy(OPTIONS)
    options[section][key] = value
    pair = write_pair(tmp_path, options, WEIGHTS)
    message = message_of(pair)
    assert f"{pair[1]} contradicts {pair[0]}" in message
    assert f"the dataset {path} has the shape {found}, but the options ask for {wanted}" in message


def text(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf8")


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def last_byte_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [text, nothing, half, last_byte_off])
def test_a_file_that_is_not_a_whole_hdf5_file(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS)
    damage(pair[1])
    message = message_of(pair)
    assert f"{pair[1]}: not a whole HDF5 file" in message


def test_a_dataset_that_holds_no_numbers(tmp_path: Path) -> None:
    words = np.array([b"word"] * 5)
    pair = write_pair(tmp_path, OPTIONS, {**WEIGHTS, "CNN_proj/b_proj": words})
    message = message_of(pair)
    assert str(pair[1]) in message
    assert "CNN_proj/b_proj" in message


# Faults of the options file


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("lstm", "projection_dim"),
        ("lstm", "dim"),
        ("char_cnn", "filters"),
        ("char_cnn", "embedding"),
        ("char_cnn", "max_characters_per_token"),
        ("char_cnn", "activation"),
    ],
)
def test_a_missing_option_is_named(tmp_path: Path, section: str, key: str) -> None:
    options = copy.deepcopy(OPTIONS)
    del options[section][key]
    pair = write_pair(tmp_path, options, WEIGHTS)
    message = message_of(pair)
    assert str(pair[0]) in message
    assert f"the key '{key}' is missing" in message


@pytest.mark.parametrize("section", ["lstm", "char_cnn"])
def test_a_missing_section_is_named(tmp_path: Path, section: str) -> None:
    pair = write_pair(tmp_path, {key: value for key, value in OPTIONS.items() if key != section}, WEIGHTS)
    assert f"{pair[0]}: not the options of an ELMo model, the key '{section}' is missing" in message_of(pair)


@pytest.mark.parametrize(
    ("section", "key", "value", "ours"),
    [
        ("char_cnn", "activation", "gelu", "activation"),
        ("char_cnn", "n_highway", -1, "n_highway"),
        ("char_cnn", "filters", [], "filters"),
        ("char_cnn", "filters", [[60, 4]], "filters"),
        ("char_cnn", "max_characters_per_token", 2, "max_characters"),
        ("lstm", "n_layers", 0, "n_layers"),
        ("lstm", "cell_clip", -3, "cell_clip"),
        ("lstm", "dim", "7", "cell_dim"),
        ("lstm", "projection_dim", None, "projection_dim"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, section: str, key: str, value: Any, ours: str) -> None:
    options = copy.deepcopy(OPTIONS)
    options[section][key] = value
    pair = write_pair(tmp_path, options, WEIGHTS)
    message = message_of(pair)
    assert str(pair[0]) in message
    assert f"'{ours}' is" in message


@pytest.mark.parametrize("content", [b"", b"{not json", b"\x89HDF\r\n\x1a\n", b"\xff\xfe"])
def test_options_that_are_not_json(tmp_path: Path, content: bytes) -> None:
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS)
    pair[0].write_bytes(content)
    assert f"{pair[0]}: not readable as JSON" in message_of(pair)


@pytest.mark.parametrize("options", [[], 3, None, "lstm", {"lstm": None, "char_cnn": []}])
def test_json_that_is_not_options(tmp_path: Path, options: Any) -> None:
    pair = write_pair(tmp_path, options, WEIGHTS)
    assert str(pair[0]) in message_of(pair)


def test_weights_given_as_the_options(tmp_path: Path) -> None:
    options, weights = write_pair(tmp_path, OPTIONS, WEIGHTS)
    assert f"{weights}: not readable as JSON" in message_of([weights, options])
