import json
import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_elmo import BiLM, BiLMConfig, CheckpointError, load_bilm, save_bilm
from spacy_elmo.checkpoints.allennlp import ALLENNLP
from tests.checkpoints.test_allennlp import OPTIONS, WEIGHTS, write_pair
from tests.conftest import TINY, random_bilm, shared
from tests.reference.numpy_elmo import NumpyELMo, weight_shapes

SENTENCES = [["The", "cat", "sat"], ["naïve"], ["much-longer-than-the-twenty-characters-of-a-word", "!"]]

CLIPS = st.none() | st.floats(0.125, 8, width=32) | st.integers(1, 5)


@st.composite
def configs(draw: st.DrawFn) -> BiLMConfig:
    max_characters = draw(st.integers(3, 60))
    widths = st.integers(1, min(7, max_characters))
    return BiLMConfig(
        filters=tuple(draw(st.lists(st.tuples(widths, st.integers(1, 5)), min_size=1, max_size=4))),
        char_dim=draw(st.integers(1, 5)),
        max_characters=max_characters,
        n_highway=draw(st.integers(0, 2)),
        activation=draw(st.sampled_from(["relu", "tanh"])),
        projection_dim=draw(st.integers(1, 6)),
        cell_dim=draw(st.integers(1, 6)),
        n_layers=draw(st.integers(1, 3)),
        cell_clip=draw(CLIPS),
        projection_clip=draw(CLIPS),
        skip_connections=draw(st.booleans()),
    )


def contents(directory: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The options and the datasets, read without our own code."""
    weights: dict[str, np.ndarray] = {}
    with h5py.File(directory / "weights.hdf5", "r") as file:
        file.visititems(lambda path, item: weights.update({path: item[()]}) if hasattr(item, "shape") else None)
    return json.loads((directory / "options.json").read_text("utf8")), weights


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def assert_same_bits(found: BiLM, wanted: BiLM) -> None:
    assert found.config == wanted.config
    assert list(found.state_dict()) == list(wanted.state_dict())
    for name, tensor in wanted.state_dict().items():
        assert found.state_dict()[name].numpy().tobytes() == tensor.numpy().tobytes(), name


# Round trips


@settings(max_examples=40, deadline=None)
@given(config=configs(), seed=st.integers(0, 2**16))
def test_native_to_allennlp_to_native_is_the_identity(config: BiLMConfig, seed: int) -> None:
    bilm = random_bilm(config, seed)
    with TemporaryDirectory() as folder:
        native, theirs, again = (Path(folder) / name for name in ("native", "theirs", "again"))
        save_bilm(bilm, native)
        save_bilm(load_bilm(native, device="cpu"), theirs, format="allennlp")
        loaded = load_bilm(theirs, device="cpu")
        save_bilm(loaded, again)
        assert_same_bits(loaded, bilm)
        assert files_of(again)["model.safetensors"] == files_of(native)["model.safetensors"]
        assert load_bilm(again, device="cpu").config == config


def test_allennlp_to_native_to_allennlp_is_the_identity(tmp_path: Path) -> None:
    write_pair(tmp_path, OPTIONS, WEIGHTS)
    save_bilm(load_bilm(tmp_path, device="cpu"), tmp_path / "native")
    save_bilm(load_bilm(tmp_path / "native", device="cpu"), tmp_path / "again", format="allennlp")
    options, weights = contents(tmp_path / "again")
    assert options == OPTIONS
    assert set(weights) == set(WEIGHTS)
    for path, array in WEIGHTS.items():
        assert (weights[path].dtype, weights[path].shape) == (np.float32, array.shape)
        assert weights[path].tobytes() == array.tobytes(), path


def test_the_tensorflow_fixture_comes_out_as_it_went_in(tmp_path: Path) -> None:
    source = shared("fixtures", "allennlp")
    save_bilm(load_bilm(source, device="cpu"), tmp_path, format="allennlp")
    options, weights = contents(tmp_path)
    assert options == json.loads((source / "options.json").read_text("utf8"))
    with h5py.File(source / "lm_weights.hdf5", "r") as file:
        for path, array in weights.items():
            np.testing.assert_array_equal(array, file[path][()])


# What is written, against the independent reference


@settings(max_examples=15, deadline=None)
@given(config=configs(), seed=st.integers(0, 2**16))
def test_the_reference_computes_the_same_vectors_from_the_files(config: BiLMConfig, seed: int) -> None:
    bilm = random_bilm(config, seed)
    with TemporaryDirectory() as folder:
        options, weights = contents(save_bilm(bilm, Path(folder), format="allennlp"))
    assert {path: array.shape for path, array in weights.items()} == weight_shapes(options)
    reference = NumpyELMo(options, weights)
    with torch.no_grad():
        exact = bilm.double()(SENTENCES)
    for sentence, layers in zip(SENTENCES, exact, strict=True):
        np.testing.assert_allclose(layers.numpy(), reference.embed(sentence), rtol=1e-9, atol=1e-9)


def test_options_are_complete_and_float_weights_32_bits(tmp_path: Path, tiny_bilm: BiLM) -> None:
    options, weights = contents(save_bilm(tiny_bilm, tmp_path, format="allennlp"))
    assert options == {
        "char_cnn": {
            "filters": [[1, 4], [2, 6], [3, 8]],
            "embedding": {"dim": 5},
            "max_characters_per_token": 20,
            "n_highway": 1,
            "activation": "relu",
            "n_characters": 262,
        },
        "lstm": {
            "projection_dim": 6,
            "dim": 10,
            "n_layers": 2,
            "cell_clip": 3.0,
            "proj_clip": 3.0,
            "use_skip_connections": True,
        },
    }
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}


def test_options_of_no_clips_name_them(tmp_path: Path) -> None:
    """AllenNLP fails where the keys are absent."""
    bilm = random_bilm(BiLMConfig(**{**TINY.to_dict(), "cell_clip": None, "projection_clip": None}))
    options, _ = contents(save_bilm(bilm, tmp_path, format="allennlp"))
    assert options["lstm"]["cell_clip"] is options["lstm"]["proj_clip"] is None


def test_the_same_model_gives_the_same_bytes(tmp_path: Path, tiny_bilm: BiLM) -> None:
    first, second = (files_of(save_bilm(tiny_bilm, tmp_path / name, format="allennlp")) for name in "ab")
    assert first == second


def test_a_file_written_and_then_robbed_or_stuffed_is_refused(tmp_path: Path, tiny_bilm: BiLM) -> None:
    save_bilm(tiny_bilm, tmp_path, format="allennlp")
    with h5py.File(tmp_path / "weights.hdf5", "a") as file:
        file["decoder/W"] = np.zeros(3)
    with pytest.raises(CheckpointError, match=r"does not speak of: decoder/W\."):
        load_bilm(tmp_path)
    with h5py.File(tmp_path / "weights.hdf5", "a") as file:
        del file["decoder"], file["CNN_proj/b_proj"]
    with pytest.raises(CheckpointError, match=r"the datasets CNN_proj/b_proj are missing"):
        load_bilm(tmp_path)


# Files and directories


def test_save_makes_the_directory_and_nothing_but_two_files(tmp_path: Path, tiny_bilm: BiLM) -> None:
    path = save_bilm(tiny_bilm, str(tmp_path / "a" / "b"), format="allennlp")
    assert path == tmp_path / "a" / "b"
    assert sorted(os.listdir(path)) == ["options.json", "weights.hdf5"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()} == {0o644}


@pytest.mark.parametrize("present", ["options.json", "weights.hdf5"])
def test_save_overwrites_only_when_asked(tmp_path: Path, tiny_bilm: BiLM, present: str) -> None:
    (tmp_path / present).write_text("mine", encoding="utf8")
    before = files_of(tmp_path)
    with pytest.raises(
        FileExistsError,
        match=r"exists already; choose another directory, or replace it \(overwrite",
    ) as error:
        save_bilm(tiny_bilm, tmp_path, format="allennlp")
    assert str(tmp_path / present) in str(error.value)
    assert files_of(tmp_path) == before
    save_bilm(tiny_bilm, tmp_path, format="allennlp", overwrite=True)
    assert_same_bits(load_bilm(tmp_path, device="cpu"), tiny_bilm)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "present", ["config.json", "model.safetensors", "small_options.json", "small_weights.hdf5", "vocab.txt"]
)
def test_another_model_would_hide_the_one_written(
    tmp_path: Path, tiny_bilm: BiLM, present: str, overwrite: bool
) -> None:
    (tmp_path / present).write_text("mine", encoding="utf8")
    with pytest.raises(FileExistsError, match="part of another model") as error:
        save_bilm(tiny_bilm, tmp_path, format="allennlp", overwrite=overwrite)
    assert str(tmp_path / present) in str(error.value)
    assert files_of(tmp_path) == {present: b"mine"}


def test_a_model_may_be_saved_over_itself(tmp_path: Path, tiny_bilm: BiLM) -> None:
    save_bilm(tiny_bilm, tmp_path, format="allennlp")
    save_bilm(load_bilm(tmp_path), tmp_path, format="allennlp", overwrite=True)
    assert_same_bits(load_bilm(tmp_path, device="cpu"), tiny_bilm)


@pytest.mark.parametrize("blocked", ["options.json", "weights.hdf5"])
def test_a_failed_save_leaves_no_temporary_file(tmp_path: Path, tiny_bilm: BiLM, blocked: str) -> None:
    """A directory stands where a file should go."""
    (tmp_path / blocked).mkdir()
    with pytest.raises(OSError, match=blocked):
        save_bilm(tiny_bilm, tmp_path, format="allennlp", overwrite=True)
    assert set(os.listdir(tmp_path)) <= {"options.json", "weights.hdf5"}


# What the format cannot hold


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    bilm = random_bilm()
    with torch.no_grad():
        bilm.stacks[1][1].bias[3] = value
    with pytest.raises(ValueError, match=r"'backward_layers\.1\.bias'.* not finite"):
        save_bilm(bilm, tmp_path / "model", format="allennlp")
    assert not (tmp_path / "model").exists()


def test_a_padding_row_that_the_file_has_no_place_for_is_refused(tmp_path: Path) -> None:
    bilm = random_bilm()
    with torch.no_grad():
        bilm.char_cnn.embedding.weight[0, 1] = 0.5
    with pytest.raises(ValueError, match=r"'char_cnn\.embedding\.weight'.* first row.* set it to zero"):
        save_bilm(bilm, tmp_path / "model", format="allennlp")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_another_dtype_is_refused(tmp_path: Path, tiny_bilm: BiLM, dtype: str) -> None:
    with pytest.raises(ValueError, match=rf"'{dtype}' in AllenNLP's format: its files hold float32"):
        save_bilm(tiny_bilm, tmp_path / "model", format="allennlp", dtype=dtype)
    assert not (tmp_path / "model").exists()


def test_an_unknown_format_is_refused(tmp_path: Path, tiny_bilm: BiLM) -> None:
    with pytest.raises(ValueError, match="'onnx': the choices are native, allennlp"):
        save_bilm(tiny_bilm, tmp_path / "model", format="onnx")


# The vocabulary


def write(bilm: BiLM, directory: Path, words: list[str], overwrite: bool = False) -> Path:
    return save_bilm(bilm, directory, format="allennlp", overwrite=overwrite, vocabulary=words)


def test_the_vocabulary_is_one_word_a_line(tmp_path: Path, tiny_bilm: BiLM) -> None:
    words = ["<S>", "</S>", "<UNK>", "the", "naïve", "New York", "日本", "a\u2028b"]
    data = (write(tiny_bilm, tmp_path, words) / "vocab.txt").read_bytes()
    assert data.decode("utf8").split("\n") == [*words, ""]
    assert_same_bits(load_bilm(tmp_path, device="cpu"), tiny_bilm)


@pytest.mark.parametrize("word", ["", " ", "a\nb", "a\rb", " a", "a\u00a0", "\x85a", "\ud800"])
def test_a_word_that_is_no_line_is_refused(tmp_path: Path, tiny_bilm: BiLM, word: str) -> None:
    with pytest.raises(ValueError, match=r"vocab\.txt") as error:
        write(tiny_bilm, tmp_path / "model", ["the", word])
    assert ascii(word)[1:-1] in ascii(str(error.value)).replace("\\\\", "\\")
    assert not (tmp_path / "model").exists()


def test_the_vocabulary_is_overwritten_only_when_asked(tmp_path: Path, tiny_bilm: BiLM) -> None:
    write(tiny_bilm, tmp_path, ["old"])
    (tmp_path / "options.json").unlink()
    (tmp_path / "weights.hdf5").unlink()
    with pytest.raises(FileExistsError, match=r"vocab\.txt exists already"):
        write(tiny_bilm, tmp_path, ["new"])
    assert files_of(tmp_path) == {"vocab.txt": b"old\n"}
    write(tiny_bilm, tmp_path, ["new"], overwrite=True)
    assert files_of(tmp_path)["vocab.txt"] == b"new\n"


# What AllenNLP itself cannot use


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"cell_clip": None, "projection_clip": None, "n_highway": 0, "activation": "tanh", "n_layers": 3}, []),
        ({"max_characters": 40}, ["40"]),
        ({"skip_connections": False}, ["skip connections"]),
        ({"max_characters": 60, "skip_connections": False}, ["60", "skip connections"]),
    ],
)
def test_limits_are_named(changes: dict[str, Any], words: list[str]) -> None:
    config = BiLMConfig(**{**TINY.to_dict(), "max_characters": 50, **changes})
    limits = ALLENNLP.limits(config)
    assert len(limits) == len(words)
    assert all(word in limit for word, limit in zip(words, limits, strict=True))
