"""Files that were damaged: each is an error of ours that names the file, or the very model that it was."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from spacy_elmo import BiLM, CheckpointError, load_bilm, save_bilm
from tests.checkpoints.test_allennlp import OPTIONS, WEIGHTS, write_pair
from tests.conftest import random_bilm
from tests.manylangs import random_model


def mutations(data: bytes, n: int, seed: int, *, within: int | None = None) -> Iterator[bytes]:
    """A file with bits flipped, bytes overwritten, cut short, or with parts of it moved.

    Args:
        data: The file.
        n: How many.
        seed: Of the random choices.
        within: Only the first so many bytes are changed: of numbers any bits are numbers.
    """
    random = Random(seed)
    for _ in range(n):
        changed, place = bytearray(data), random.randrange(min(within or len(data), len(data)))
        length = random.choice([1, 2, 4, 8, 64])
        kind = random.randrange(5)
        if kind == 0:
            changed[place] ^= 1 << random.randrange(8)
        elif kind == 1:
            changed[place : place + length] = random.choice([b"\0", b"\xff"]) * length
        elif kind == 2:
            del changed[place:]
        elif kind == 3:
            changed[place : place + length] = random.randbytes(length)
        else:
            other = random.randrange(len(data))
            changed[place : place + length] = data[other : other + length]
        yield bytes(changed)


def n_refused(path: Path, source: Path, n: int, seed: int, within: int | None = None) -> int:
    """How many mutations of a file are refused; the others are loaded. Anything but our own error fails the test."""
    whole, refused = path.read_bytes(), 0
    for data in mutations(whole, n, seed, within=within):
        path.write_bytes(data)
        message = None
        try:
            bilm = load_bilm(source, device="cpu")
        except CheckpointError as error:
            message = str(error)
        if message is None:
            assert all(torch.isfinite(tensor).all() for tensor in bilm.state_dict().values())
        else:
            refused += 1
            assert str(source) in message
            assert len(message) < 2_100
    path.write_bytes(whole)
    return refused


@pytest.mark.parametrize("seed", range(2))
def test_hdf5(tmp_path: Path, seed: int) -> None:
    options, weights = write_pair(tmp_path, OPTIONS, WEIGHTS)
    assert n_refused(weights, tmp_path, 100, seed) > 5
    assert n_refused(options, tmp_path, 30, seed) > 5


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_the_native_format(tmp_path: Path, tiny_bilm: BiLM, name: str) -> None:
    path = save_bilm(tiny_bilm, tmp_path / "model") / name
    assert n_refused(path, path.parent, 150, 0, within=4_000) > 50


@pytest.mark.parametrize("name", ["token_embedder.pkl", "encoder.pkl", "word.dic", "char.dic", "cnn.json"])
@pytest.mark.parametrize("legacy", [False, True])
def test_manylangs(tmp_path: Path, name: str, legacy: bool) -> None:
    random_model(tmp_path)
    path = tmp_path / name
    if legacy and path.suffix != ".pkl":
        pytest.skip("a file of text")
    if legacy:
        torch.save(torch.load(path, weights_only=True), path, _use_new_zipfile_serialization=False)
    assert n_refused(path, tmp_path, 60, 0) > 5


@pytest.mark.parametrize("name", ["token_embedder.pkl", "encoder.pkl"])
def test_pickles_cut_short(tmp_path: Path, name: str) -> None:
    """Of the older kind a cut one ends in a struct.error of the reader."""
    random_model(tmp_path)
    path = tmp_path / name
    torch.save(torch.load(path, weights_only=True), path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    for length in sorted({*range(0, len(data), max(1, len(data) // 60)), len(data) - 1, len(data) - 4}):
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=name):
            load_bilm(tmp_path, device="cpu")


# Numbers that are none


def spoil_hdf5(path: Path, value: float) -> None:
    weights = {name: array.copy() for name, array in WEIGHTS.items()}
    weights["CNN_proj/b_proj"][2] = value
    write_pair(path, OPTIONS, weights)


def spoil_native(path: Path, value: float) -> None:
    weights = save_bilm(random_bilm(), path, overwrite=True) / "model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    tensors["char_cnn.projection.bias"][2] = value
    safetensors.torch.save_file(tensors, weights)


def spoil_manylangs(path: Path, value: float) -> None:
    random_model(path)
    tensors = torch.load(path / "token_embedder.pkl", weights_only=True)
    tensors["projection.bias"][2] = value
    torch.save(tensors, path / "token_embedder.pkl")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    ("spoil", "file", "name"),
    [
        (spoil_hdf5, "weights.hdf5", "char_cnn.projection.bias"),
        (spoil_native, "model.safetensors", "char_cnn.projection.bias"),
        (spoil_manylangs, "token_embedder.pkl", "projection.bias"),
    ],
)
def test_what_is_no_number_is_refused_by_name(
    tmp_path: Path, spoil: Callable[[Path, float], None], file: str, name: str, value: float
) -> None:
    spoil(tmp_path, value)
    with pytest.raises(CheckpointError, match=f"{file}: .*{name} holds values that are not finite"):
        load_bilm(tmp_path)


def test_what_is_no_number_in_float32_is_refused(tmp_path: Path) -> None:
    wide = {path: array.astype(np.float64) for path, array in WEIGHTS.items()}
    wide["CNN_proj/b_proj"][1] = 1e39
    write_pair(tmp_path, OPTIONS, wide)
    with pytest.raises(CheckpointError, match="not finite numbers in float32"):
        load_bilm(tmp_path)


# Texts that quote what a file holds


@pytest.mark.parametrize("value", ["x" * 500_000, [1] * 300_000])
def test_an_error_does_not_quote_all_of_a_value(tmp_path: Path, tiny_bilm: BiLM, value: Any) -> None:
    path = save_bilm(tiny_bilm, tmp_path) / "config.json"
    values = json.loads(path.read_text("utf8"))
    values["bilm"]["cell_dim"] = value
    path.write_text(json.dumps(values), "utf8")
    with pytest.raises(CheckpointError, match=r"config\.json: biLM config: 'cell_dim' is .* characters ") as error:
        load_bilm(tmp_path)
    assert len(str(error.value)) < 2_100
    assert str(error.value).endswith("but must be an integer of at least 1.")
