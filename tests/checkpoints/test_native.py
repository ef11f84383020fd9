import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from spacy_elmo import BiLM, BiLMConfig, CheckpointError, load_bilm, save_bilm
from spacy_elmo.checkpoints import native, tensors
from tests.checkpoints.test_allennlp import message_of
from tests.conftest import TINY, random_bilm

SENTENCES = [["The", "cat", "sat"], ["naïve"], []]


@pytest.fixture
def directory(tmp_path: Path, tiny_bilm: BiLM) -> Path:
    """A tiny model that a test may damage."""
    return save_bilm(tiny_bilm, tmp_path / "model")


def files_of(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def parts_of(weights: Path) -> tuple[dict[str, Any], bytes]:
    """The header and the content of a safetensors file, read without the library."""
    data = weights.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header.pop("__metadata__", None)
    return header, data[end:]


# Round trips


@pytest.mark.parametrize(
    "config",
    [
        TINY,
        BiLMConfig(
            filters=((2, 3),),
            char_dim=2,
            n_highway=0,
            activation="tanh",
            projection_dim=3,
            cell_dim=2,
            n_layers=1,
            cell_clip=None,
            projection_clip=0.5,
            skip_connections=False,
        ),
    ],
)
def test_float32_round_trip_is_exact(tmp_path: Path, config: BiLMConfig) -> None:
    bilm = random_bilm(config)
    again = load_bilm(save_bilm(bilm, tmp_path / "model"), device="cpu")
    assert again.config == config
    assert list(again.state_dict()) == list(bilm.state_dict())
    for name, tensor in bilm.state_dict().items():
        assert again.state_dict()[name].dtype == torch.float32
        assert torch.equal(again.state_dict()[name], tensor), name
    for found, wanted in zip(again.embed(SENTENCES), bilm.embed(SENTENCES), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


def test_float16_round_trip_is_exact_but_for_rounding(tmp_path: Path, tiny_bilm: BiLM) -> None:
    directory = save_bilm(tiny_bilm, tmp_path / "half", dtype="float16")
    again = load_bilm(directory, device="cpu").state_dict()
    for name, tensor in tiny_bilm.state_dict().items():
        assert again[name].dtype == torch.float32
        assert torch.equal(again[name], tensor.half().float()), name
    header, content = parts_of(directory / "model.safetensors")
    assert {entry["dtype"] for entry in header.values()} == {"F16"}
    assert len(content) == 2 * sum(tensor.numel() for tensor in tiny_bilm.state_dict().values())


def test_bytes_round_trip_is_exact(tiny_bilm: BiLM) -> None:
    config = native.parse_config(json.loads(json.dumps(native.config_values(tiny_bilm.config))), "here")
    assert config == tiny_bilm.config
    parameters = tensors.parse_parameters(config, tensors.serialize_parameters(tiny_bilm), "here")
    assert set(parameters) == set(tiny_bilm.state_dict())
    for name, tensor in tiny_bilm.state_dict().items():
        assert torch.equal(parameters[name], tensor), name


def test_a_loaded_model_can_be_trained(directory: Path) -> None:
    bilm = load_bilm(directory, device="cpu")
    assert not bilm.training
    assert all(parameter.requires_grad and not parameter.is_meta for parameter in bilm.parameters())


def test_loading_leaves_the_random_numbers_alone(directory: Path) -> None:
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    load_bilm(directory)
    assert torch.equal(torch.rand(1), wanted)


def test_precision_is_handed_on(directory: Path) -> None:
    assert load_bilm(directory).precision == "float32"
    assert load_bilm(directory, precision="bfloat16").precision == "bfloat16"


# Saving


def test_save_makes_the_directory_and_nothing_but_two_files(tmp_path: Path, tiny_bilm: BiLM) -> None:
    path = save_bilm(tiny_bilm, str(tmp_path / "a" / "b"))
    assert path == tmp_path / "a" / "b"
    assert sorted(os.listdir(path)) == ["config.json", "model.safetensors"]
    config = json.loads((path / "config.json").read_text("utf8"))
    assert (config["format"], config["format_version"]) == ("spacy-elmo", 1)
    assert config["bilm"] == json.loads(json.dumps(TINY.to_dict()))


def test_weights_are_safetensors_and_no_pickle(directory: Path, tiny_bilm: BiLM) -> None:
    header, content = parts_of(directory / "model.safetensors")
    assert set(header) == set(tiny_bilm.state_dict())
    assert {entry["dtype"] for entry in header.values()} == {"F32"}
    for name, tensor in tiny_bilm.state_dict().items():
        start, end = header[name]["data_offsets"]
        assert content[start:end] == tensor.numpy().tobytes()


@pytest.mark.parametrize("present", ["config.json", "model.safetensors"])
def test_save_does_not_overwrite_unasked(tmp_path: Path, tiny_bilm: BiLM, present: str) -> None:
    (tmp_path / present).write_text("mine", encoding="utf8")
    before = files_of(tmp_path)
    with pytest.raises(FileExistsError, match="exists already") as error:
        save_bilm(tiny_bilm, tmp_path)
    assert str(tmp_path / present) in str(error.value)
    assert files_of(tmp_path) == before


def test_save_overwrites_when_asked(directory: Path) -> None:
    (directory / "README.md").write_text("mine", encoding="utf8")
    other = random_bilm(BiLMConfig(**{**TINY.to_dict(), "projection_dim": 4}), seed=5)
    save_bilm(other, directory, overwrite=True)
    again = load_bilm(directory, device="cpu")
    assert again.config == other.config
    for name, tensor in other.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    assert sorted(os.listdir(directory)) == ["README.md", "config.json", "model.safetensors"]


def test_a_model_read_from_a_directory_survives_its_overwriting(directory: Path, tiny_bilm: BiLM) -> None:
    """The weights may be mapped from the file, not copied."""
    loaded = load_bilm(directory, device="cpu")
    save_bilm(random_bilm(seed=9), directory, overwrite=True)
    for name, tensor in tiny_bilm.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_a_model_may_be_saved_over_itself(directory: Path, tiny_bilm: BiLM) -> None:
    save_bilm(load_bilm(directory), directory, overwrite=True)
    again = load_bilm(directory, device="cpu").state_dict()
    for name, tensor in tiny_bilm.state_dict().items():
        assert torch.equal(again[name], tensor), name


@pytest.mark.parametrize("blocked", ["config.json", "model.safetensors"])
def test_a_failed_save_leaves_no_temporary_file(tmp_path: Path, tiny_bilm: BiLM, blocked: str) -> None:
    """A directory stands where a file should go."""
    (tmp_path / blocked).mkdir()
    with pytest.raises(OSError, match=blocked):
        save_bilm(tiny_bilm, tmp_path, overwrite=True)
    assert set(os.listdir(tmp_path)) <= {"config.json", "model.safetensors"}
    assert (tmp_path / blocked).is_dir()


def test_a_file_in_the_place_of_the_directory(tmp_path: Path, tiny_bilm: BiLM) -> None:
    path = tmp_path / "model"
    path.write_text("mine", encoding="utf8")
    for overwrite in (False, True):
        with pytest.raises((FileExistsError, NotADirectoryError)):
            save_bilm(tiny_bilm, path, overwrite=overwrite)
    assert path.read_text("utf8") == "mine"


@pytest.mark.parametrize(("value", "dtype"), [(7e4, "float16"), (float("inf"), "float32"), (float("nan"), "float32")])
def test_numbers_that_cannot_be_stored_are_refused(tmp_path: Path, value: float, dtype: str) -> None:
    bilm = random_bilm()
    with torch.no_grad():
        bilm.stacks[1][1].bias[3] = value
    with pytest.raises(ValueError, match=rf"'backward_layers\.1\.bias' as {dtype}"):
        save_bilm(bilm, tmp_path / "model", dtype=dtype)
    assert not (tmp_path / "model").exists()


def test_float16_overflow_leaves_the_old_model(directory: Path) -> None:
    before = files_of(directory)
    bilm = random_bilm(seed=2)
    with torch.no_grad():
        bilm.char_cnn.projection.weight[0, 0] = -1e5
    with pytest.raises(ValueError, match=r"'char_cnn\.projection\.weight' as float16"):
        save_bilm(bilm, directory, dtype="float16", overwrite=True)
    assert files_of(directory) == before


@pytest.mark.parametrize("dtype", ["bfloat16", "float64", ""])
def test_an_unknown_dtype_is_refused(tmp_path: Path, tiny_bilm: BiLM, dtype: str) -> None:
    with pytest.raises(ValueError, match=rf"'{dtype}': the choices are float32, float16"):
        save_bilm(tiny_bilm, tmp_path / "model", dtype=dtype)
    assert not (tmp_path / "model").exists()


# Faults of config.json


def test_a_directory_without_its_config(directory: Path) -> None:
    (directory / "config.json").unlink()
    message = message_of(directory)
    assert f"{directory / 'config.json'}: no such file" in message
    assert f"The model in {directory} is incomplete" in message


@pytest.mark.parametrize("content", [b"", b'{"format": "spacy-elmo",', b"\xff\xfe{}", b"\x80\x02}q\x00."])
def test_a_config_that_is_not_json(directory: Path, content: bytes) -> None:
    (directory / "config.json").write_bytes(content)
    assert f"{directory / 'config.json'}: not readable as JSON" in message_of(directory)


def change_config(directory: Path, change: Callable[[dict[str, Any]], Any]) -> str:
    """Gives the message of the error that loading then raises."""
    path = directory / "config.json"
    values = json.loads(path.read_text("utf8"))
    changed = change(values)
    path.write_text(json.dumps(values if changed is None else changed), encoding="utf8")
    message = message_of(directory)
    assert str(path) in message
    return message


@pytest.mark.parametrize(
    "content", [[], "spacy-elmo", 7, {"architectures": ["BertModel"]}, {"format": "other", "format_version": 1}]
)
def test_a_config_of_something_else(directory: Path, content: Any) -> None:
    message = change_config(directory, lambda _: content)
    assert "not the config of a spacy-elmo model (its 'format' is not 'spacy-elmo')" in message


@pytest.mark.parametrize("version", [2, 0, None, "1"])
def test_a_config_of_another_version(directory: Path, version: Any) -> None:
    message = change_config(directory, lambda values: values.update(format_version=version))
    assert f"format version {version!r}, but this spacy-elmo reads version 1. Update spacy-elmo." in message


def test_unknown_config_keys_are_named(directory: Path) -> None:
    message = change_config(directory, lambda values: values["bilm"].update(n_heads=8, dropout=0.1))
    assert "unknown keys ['dropout', 'n_heads']" in message


def test_missing_config_keys_are_named(directory: Path) -> None:
    def change(values: dict[str, Any]) -> None:
        del values["bilm"]["cell_dim"]
        del values["bilm"]["activation"]

    assert "missing keys ['activation', 'cell_dim']" in change_config(directory, change)


def test_a_missing_bilm_section_is_named(directory: Path) -> None:
    def change(values: dict[str, Any]) -> None:
        del values["bilm"]

    assert "'bilm'" in change_config(directory, change)


@pytest.mark.parametrize(("key", "value"), [("n_layers", 0), ("activation", "gelu"), ("cell_dim", "10")])
def test_a_wrong_config_value_is_named(directory: Path, key: str, value: Any) -> None:
    message = change_config(directory, lambda values: values["bilm"].update({key: value}))
    assert f"'{key}' is {value!r}" in message


def test_a_directory_in_the_place_of_the_config(directory: Path) -> None:
    (directory / "config.json").unlink()
    (directory / "config.json").mkdir()
    assert str(directory / "config.json") in message_of(directory)


# Faults of model.safetensors


def test_a_directory_without_its_weights(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    message = message_of(directory)
    assert f"{directory / 'model.safetensors'}: no such file" in message
    assert f"the model in {directory} is incomplete" in message


@pytest.mark.parametrize("n_bytes", [0, 4, 8, 100, -1000, -1])
def test_weights_cut_short(directory: Path, n_bytes: int) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:n_bytes])
    assert f"{path}: not a whole safetensors file" in message_of(directory)


@pytest.mark.parametrize("n_bytes", [0, 4, 8, 100, -1])
def test_bytes_cut_short(tiny_bilm: BiLM, n_bytes: int) -> None:
    data = tensors.serialize_parameters(tiny_bilm)[:n_bytes]
    with pytest.raises(CheckpointError, match="here: not whole safetensors data"):
        tensors.parse_parameters(tiny_bilm.config, data, "here")


def test_a_directory_in_the_place_of_the_weights(directory: Path) -> None:
    path = directory / "model.safetensors"
    path.unlink()
    path.mkdir()
    assert str(path) in message_of(directory)


def test_weights_that_are_integers(directory: Path, tiny_bilm: BiLM) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes().replace(b'"F32"', b'"I32"', 1))
    assert "holds torch.int32 and not floating point numbers" in message_of(directory)
    with pytest.raises(CheckpointError, match=r"here: .* not floating point"):
        tensors.parse_parameters(tiny_bilm.config, path.read_bytes(), "here")


def test_every_wrong_parameter_is_named_with_its_shapes(directory: Path) -> None:
    path = directory / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    del tensors["char_cnn.projection.bias"]
    tensors["softmax.weight"] = torch.zeros(5, 6)
    tensors["forward_layers.0.bias"] = torch.zeros(41)
    safetensors.torch.save_file(tensors, path)
    message = message_of(directory)
    assert f"{path} does not hold the parameters of its config" in message
    assert "missing: char_cnn.projection.bias (6,)" in message
    assert "surplus: softmax.weight (5, 6)" in message
    assert "forward_layers.0.bias has the shape (41,), but (40,) is asked for" in message
    assert "backward_layers" not in message


def test_bytes_of_another_model(tiny_bilm: BiLM) -> None:
    other = random_bilm(BiLMConfig(**{**TINY.to_dict(), "n_layers": 1}))
    with pytest.raises(CheckpointError, match=r"there does not hold .* missing: backward_layers\.1\.bias \(40,\)"):
        tensors.parse_parameters(tiny_bilm.config, tensors.serialize_parameters(other), "there")


# Pickles


class MakesDirectory:
    """Unpickled, it makes a directory, as it might do anything else."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


def as_pickle(path: Path, content: Any) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))
    assert path.read_bytes().startswith(b"\x80\x02")


def as_torch_file(path: Path, content: Any) -> None:
    torch.save(content, path)


def as_old_torch_file(path: Path, content: Any) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("write", [as_pickle, as_torch_file, as_old_torch_file])
def test_pickles_are_refused_unread(tmp_path: Path, directory: Path, write: Callable[[Path, Any], None]) -> None:
    trap = tmp_path / "trap"
    write(directory / "model.safetensors", {"weight": MakesDirectory(trap)})
    assert f"{directory / 'model.safetensors'}: not a whole safetensors file" in message_of(directory)
    assert not trap.exists()


@pytest.mark.parametrize("write", [as_torch_file, as_old_torch_file])
def test_a_renamed_torch_file_of_the_right_parameters_is_refused(
    directory: Path, tiny_bilm: BiLM, write: Callable[[Path, Any], None]
) -> None:
    write(directory / "model.safetensors", tiny_bilm.state_dict())
    assert f"{directory / 'model.safetensors'}: not a whole safetensors file" in message_of(directory)


def test_pickles_as_bytes_are_refused_unread(tmp_path: Path, tiny_bilm: BiLM) -> None:
    trap = tmp_path / "trap"
    with pytest.raises(CheckpointError, match="here: not whole safetensors data"):
        tensors.parse_parameters(tiny_bilm.config, pickle.dumps(MakesDirectory(trap), protocol=2), "here")
    assert not trap.exists()
