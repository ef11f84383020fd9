import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spacy_elmo import BiLM, CheckpointError, load_bilm, save_bilm
from spacy_elmo.checkpoints import embedded_models
from tests.checkpoints.test_allennlp import OPTIONS, WEIGHTS, write_pair


def message_of(source: Any) -> str:
    with pytest.raises(CheckpointError) as error:
        load_bilm(source)
    return str(error.value)


def assert_allennlp(bilm: BiLM) -> None:
    """It is the model of WEIGHTS."""
    np.testing.assert_array_equal(bilm.char_cnn.projection.bias.detach(), WEIGHTS["CNN_proj/b_proj"])


def assert_same_parameters(found: BiLM, wanted: BiLM) -> None:
    assert found.config == wanted.config
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name


# Sources that name a model


@pytest.mark.parametrize("kind", [str, Path])
def test_a_native_directory(tmp_path: Path, tiny_bilm: BiLM, kind: type) -> None:
    assert_same_parameters(load_bilm(kind(save_bilm(tiny_bilm, tmp_path)), device="cpu"), tiny_bilm)


@pytest.mark.parametrize("prefix", ["", "xyz_", "elmo_2x1024_128_2048cnn_1xhighway_", "lm_"])
def test_an_allennlp_directory(tmp_path: Path, prefix: str) -> None:
    write_pair(tmp_path, OPTIONS, WEIGHTS, prefix)
    (tmp_path / "vocab.txt").write_text("the\n", encoding="utf8")
    assert_allennlp(load_bilm(str(tmp_path), device="cpu"))


@pytest.mark.parametrize("sequence", [list, tuple])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_pair(tmp_path: Path, sequence: type, kind: type) -> None:
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS)
    renamed = [pair[0].rename(tmp_path / "a.txt"), pair[1].rename(tmp_path / "b")]
    assert_allennlp(load_bilm(sequence(map(kind, renamed)), device="cpu"))


def test_an_embedded_model_by_its_name() -> None:
    assert "en_elmo_sm" in embedded_models()
    config = load_bilm("en_elmo_sm", device="cpu").config
    assert (config.projection_dim, config.cell_dim, config.n_layers) == (128, 1024, 2)


def test_a_name_goes_before_a_directory_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_bilm: BiLM
) -> None:
    save_bilm(tiny_bilm, tmp_path / "en_elmo_sm")
    monkeypatch.chdir(tmp_path)
    assert load_bilm("en_elmo_sm", device="cpu").config.projection_dim == 128
    for source in ("./en_elmo_sm", Path("en_elmo_sm"), str(tmp_path / "en_elmo_sm")):
        assert_same_parameters(load_bilm(source, device="cpu"), tiny_bilm)


def test_native_files_go_before_allennlps(tmp_path: Path, tiny_bilm: BiLM) -> None:
    save_bilm(tiny_bilm, tmp_path)
    write_pair(tmp_path, OPTIONS, WEIGHTS)
    assert_same_parameters(load_bilm(tmp_path, device="cpu"), tiny_bilm)


# Sources that do not


@pytest.mark.parametrize("source", ["en_elmo_xl", "no/such/directory", "./en_elmo_sm", Path("en_elmo_sm")])
def test_a_source_that_names_nothing_lists_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | Path
) -> None:
    monkeypatch.chdir(tmp_path)
    message = message_of(source)
    assert f"'{source}' names no ELMo model" in message
    for name in embedded_models():
        assert name in message
    for word in ("config.json", "model.safetensors", "options.json", "weights.hdf5", "[options, weights]"):
        assert word in message


def test_a_file_is_no_source(tmp_path: Path) -> None:
    weights = write_pair(tmp_path, OPTIONS, WEIGHTS)[1]
    assert f"'{weights}' names no ELMo model" in message_of(weights)


@pytest.mark.parametrize("held", [[], ["pytorch_model.bin", "vocab.txt"]])
def test_a_directory_of_no_model_shows_what_it_holds(tmp_path: Path, held: list[str]) -> None:
    for name in held:
        (tmp_path / name).touch()
    message = message_of(tmp_path)
    assert f"{tmp_path} is not an ELMo model" in message
    for word in ("options.json", "config.json", "model.safetensors"):
        assert word in message
    assert f"It holds: {', '.join(held) or 'nothing'}." in message


@pytest.mark.parametrize(("removed", "ending"), [(0, "options.json"), (1, "weights.hdf5")])
def test_a_directory_with_half_a_pair(tmp_path: Path, removed: int, ending: str) -> None:
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS, "xyz_")
    pair[removed].unlink()
    message = message_of(tmp_path)
    assert f"{tmp_path} is not an ELMo model: it has no *{ending}" in message
    assert f"It holds: {pair[1 - removed].name}." in message


@pytest.mark.parametrize("doubled", [0, 1])
def test_a_directory_of_two_models_asks_for_a_pair(tmp_path: Path, doubled: int) -> None:
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS, "a_")
    ending = pair[doubled].name.removeprefix("a_")
    os.link(pair[doubled], tmp_path / f"b_{ending}")
    message = message_of(tmp_path)
    assert f"{tmp_path} holds 2 files *{ending}" in message
    assert "give a pair of paths [options, weights]" in message
    for name in os.listdir(tmp_path):
        assert name in message


@pytest.mark.parametrize("missing", [0, 1])
def test_a_pair_with_a_missing_file(tmp_path: Path, missing: int) -> None:
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS)
    pair[missing].unlink()
    assert f"{pair[missing]}: no such file" in message_of(pair)


def test_a_pair_with_a_directory(tmp_path: Path) -> None:
    options, _ = write_pair(tmp_path, OPTIONS, WEIGHTS)
    assert f"{tmp_path}: no such file" in message_of([options, tmp_path])


@pytest.mark.parametrize("n_members", [0, 1, 3])
def test_a_pair_has_two_members(tmp_path: Path, n_members: int) -> None:
    members = [*write_pair(tmp_path, OPTIONS, WEIGHTS), tmp_path / "third"][:n_members]
    message = message_of(members)
    assert "[options, weights]" in message
    assert f"{members!r} has {n_members}" in message


@pytest.mark.parametrize("source", [None, 7, b"en_elmo_sm"])
def test_a_source_of_another_type_is_refused(source: Any) -> None:
    with pytest.raises((CheckpointError, TypeError)) as error:
        load_bilm(source)
    assert repr(source) in str(error.value)
    assert "[options, weights]" in str(error.value)
