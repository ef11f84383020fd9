"""Files that ask for more than they hold: refused before memory or time goes into it."""

import copy
import json
import resource
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from spacy_elmo import BiLM, BiLMConfig, CheckpointError, load_bilm, save_bilm
from spacy_elmo.checkpoints.bounds import n_parameters
from tests.checkpoints.test_allennlp import OPTIONS, WEIGHTS, write_pair
from tests.conftest import TINY

HUGE = 10**9


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    """The test fails where the process takes 200 MB more than it had."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def message_of(source: Any) -> str:
    with pytest.raises(CheckpointError) as error:
        load_bilm(source, device="cpu")
    return str(error.value)


@pytest.mark.parametrize(
    "config",
    [
        TINY,
        BiLMConfig(),
        BiLMConfig(filters=((1, 3),), n_highway=0, n_layers=1, projection_dim=2, cell_dim=3, char_dim=2),
        BiLMConfig(n_highway=3, n_layers=4, cell_dim=32),
    ],
)
def test_parameters_are_counted_without_a_model(config: BiLMConfig) -> None:
    with torch.device("meta"):
        bilm = BiLM(config)
    assert n_parameters(config) == sum(parameter.numel() for parameter in bilm.parameters())


# Dimensions


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cell_dim", HUGE),
        ("projection_dim", 10**15),
        ("char_dim", HUGE),
        ("filters", [[1, 10**12]]),
        ("n_layers", HUGE),
        ("n_highway", HUGE),
        ("max_characters", HUGE),
        ("n_layers", 10**400),
    ],
)
def test_a_native_config_that_asks_for_too_much(tmp_path: Path, tiny_bilm: BiLM, name: str, value: Any) -> None:
    path = save_bilm(tiny_bilm, tmp_path) / "config.json"
    values = json.loads(path.read_text("utf8"))
    values["bilm"][name] = value
    path.write_text(json.dumps(values), "utf8")
    message = message_of(tmp_path)
    if name in ("n_layers", "n_highway", "max_characters"):
        assert f"{path}: '{name}' is {value:,}, but at most" in message
    else:
        assert f"{tmp_path / 'model.safetensors'} has" in message
        assert "which cannot hold the" in message


@pytest.mark.parametrize(
    ("section", "key", "name"),
    [
        ("lstm", "n_layers", "n_layers"),
        ("char_cnn", "n_highway", "n_highway"),
        ("char_cnn", "max_characters_per_token", "max_characters"),
    ],
)
def test_options_that_ask_for_too_much(tmp_path: Path, section: str, key: str, name: str) -> None:
    options = copy.deepcopy(OPTIONS)
    options[section][key] = HUGE
    pair = write_pair(tmp_path, options, WEIGHTS)
    assert f"{pair[0]}: '{name}' is 1,000,000,000, but at most" in message_of(pair)


@pytest.mark.parametrize("name", ["options.json", "config.json"])
@pytest.mark.parametrize(("content", "fault"), [(b"[" * 100_000, "JSON"), (b" " * 1_000_001, "1,000,001 bytes")])
def test_dimensions_in_monstrous_files(tmp_path: Path, tiny_bilm: BiLM, name: str, content: bytes, fault: str) -> None:
    if name == "options.json":
        write_pair(tmp_path, OPTIONS, WEIGHTS)
    else:
        save_bilm(tiny_bilm, tmp_path)
    (tmp_path / name).write_bytes(content)
    message = message_of(tmp_path)
    assert f"{tmp_path / name}: not" in message
    assert fault in message


# HDF5

OTHER = "other.hdf5"


def rewrite(path: Path, dataset: str, make: Callable[[h5py.File], None]) -> str:
    """Put something else in the place of a dataset. Gives the message by which the pair is then refused."""
    with h5py.File(path.with_name(OTHER), "w") as file:
        file["numbers"] = WEIGHTS[dataset]
    with h5py.File(path, "r+") as file:
        del file[dataset]
        make(file)
    return message_of(path.parent)


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(5,), dtype="f4")
    layout[:] = h5py.VirtualSource(OTHER, "numbers", shape=(5,))
    file.create_virtual_dataset("CNN_proj/b_proj", layout)


def external(file: h5py.File) -> None:
    file.create_dataset("CNN_proj/b_proj", (5,), "f4", external=[(OTHER, 0, 20)])


def unwritten(file: h5py.File) -> None:
    file.create_dataset("CNN_proj/b_proj", (5,), "f4", fillvalue=1)


def of_wide_numbers(file: h5py.File) -> None:
    file.create_dataset("CNN_proj/b_proj", (5,), np.dtype(("f4", (1000,))))


def of_lists(file: h5py.File) -> None:
    file.create_dataset("CNN_proj/b_proj", (5,), h5py.vlen_dtype(np.float32))


def of_huge_chunks(file: h5py.File) -> None:
    dataset = file.create_dataset(
        "CNN_proj/b_proj", (5,), "f4", chunks=(200_000_000,), maxshape=(None,), compression="gzip"
    )
    dataset.id.write_direct_chunk((0,), b"x\x9c\x03\x00\x00\x00\x00\x01")


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (virtual, "is kept in other files"),
        (external, "is kept in other files"),
        (unwritten, "was never written"),
        (of_lists, "and not floating point numbers"),
        (of_huge_chunks, "far larger than itself"),
    ],
)
def test_numbers_that_the_file_does_not_hold(tmp_path: Path, make: Callable[[h5py.File], None], fault: str) -> None:
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS)
    message = rewrite(pair[1], "CNN_proj/b_proj", make)
    assert f"{pair[1]}: the dataset CNN_proj/b_proj" in message
    assert fault in message


def test_numbers_wider_than_their_dataset(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS)
    assert "CNN_proj/b_proj" in rewrite(pair[1], "CNN_proj/b_proj", of_wide_numbers)


@pytest.mark.parametrize("link", [h5py.ExternalLink(OTHER, "numbers"), h5py.SoftLink("/CNN_proj/W_proj")])
def test_links_are_not_followed(tmp_path: Path, link: Any) -> None:
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS)
    message = rewrite(pair[1], "CNN_proj/b_proj", lambda file: file.__setitem__("CNN_proj/b_proj", link))
    assert "the datasets CNN_proj/b_proj are missing" in message


def test_a_linked_group_is_not_followed(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS)
    with h5py.File(tmp_path / OTHER, "w") as file:
        file["W_proj"], file["b_proj"] = WEIGHTS["CNN_proj/W_proj"], WEIGHTS["CNN_proj/b_proj"]
    with h5py.File(pair[1], "r+") as file:
        del file["CNN_proj"]
        file["CNN_proj"] = h5py.ExternalLink(OTHER, "/")
    assert "the datasets CNN_proj/W_proj, CNN_proj/b_proj are missing" in message_of(pair)


def test_a_file_of_holes(tmp_path: Path) -> None:
    """Datasets of the right shapes, 4 GB of them, in some kilobytes."""
    options = copy.deepcopy(OPTIONS)
    options["lstm"] |= {"dim": 20_000, "projection_dim": 2000}
    pair = write_pair(tmp_path, options, {})
    shapes = {path: array.shape for path, array in WEIGHTS.items()}
    shapes |= {"CNN_proj/W_proj": (10, 2000), "CNN_proj/b_proj": (2000,)}
    with h5py.File(pair[1], "w") as file:
        for path, shape in shapes.items():
            if "RNN" in path:
                shape = {"W_0": (4000, 80_000), "B": (80_000,), "W_P_0": (20_000, 2000)}[path.rpartition("/")[2]]
            file.create_dataset(path, shape, "f4", chunks=True, compression="gzip")
    message = message_of(pair)
    assert f"{pair[1]}" in message
    assert "which cannot hold the 1,440," in message


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_compressed_weights_are_read(tmp_path: Path, compression: str) -> None:
    pair = write_pair(tmp_path, OPTIONS, {})
    with h5py.File(pair[1], "w") as file:
        for path, array in WEIGHTS.items():
            file.create_dataset(path, data=array, compression=compression)
    bilm = load_bilm(pair, device="cpu")
    np.testing.assert_array_equal(bilm.char_cnn.projection.bias.detach(), WEIGHTS["CNN_proj/b_proj"])


def test_half_precision_weights_are_read(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, OPTIONS, {path: array.astype(np.float16) for path, array in WEIGHTS.items()})
    bilm = load_bilm(pair, device="cpu")
    wanted = WEIGHTS["CNN_proj/W_proj"].astype(np.float16).astype(np.float32).T
    np.testing.assert_array_equal(bilm.char_cnn.projection.weight.detach(), wanted)


# safetensors


def header_of(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Write another header before the same numbers."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode("utf8")
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def longer(header: dict[str, Any]) -> None:
    header["char_cnn.projection.bias"]["shape"] = [HUGE]


def beyond_the_end(header: dict[str, Any]) -> None:
    header["char_cnn.projection.bias"]["data_offsets"][1] += 4 * HUGE


def over_another(header: dict[str, Any]) -> None:
    offsets = header["char_cnn.projection.bias"]["data_offsets"]
    offsets[:] = [offset - 4 for offset in offsets]


@pytest.mark.parametrize("change", [longer, beyond_the_end, over_another])
def test_a_safetensors_header_that_lies(
    tmp_path: Path, tiny_bilm: BiLM, change: Callable[[dict[str, Any]], None]
) -> None:
    path = save_bilm(tiny_bilm, tmp_path) / "model.safetensors"
    header_of(path, change)
    assert f"{path}: not a whole safetensors file" in message_of(tmp_path)


def test_a_safetensors_header_without_end(tmp_path: Path, tiny_bilm: BiLM) -> None:
    path = save_bilm(tiny_bilm, tmp_path) / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 10**15) + path.read_bytes()[8:])
    assert f"{path}: not a whole safetensors file" in message_of(tmp_path)
