"""The format of bilm-tf and AllenNLP: options.json for the dimensions and weights.hdf5 for the parameters."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..bilm import BiLMConfig
from .errors import CheckpointError

FloatArray = npt.NDArray[np.float32]


def read(options_path: Path, weights_path: Path) -> tuple[BiLMConfig, dict[str, Tensor]]:
    """The config and the float32 parameters of an options/weights pair."""
    config = _read_options(options_path)
    datasets = _datasets(config)
    import h5py  # a tenth of a second that no other format needs

    try:
        with h5py.File(weights_path, "r") as file:
            found = _shapes(file)
            _check(datasets, found, options_path, weights_path)
            return config, {dataset.parameter: _parameter(dataset, file, weights_path) for dataset in datasets}
    except OSError as error:
        raise CheckpointError(f"{weights_path}: not a whole HDF5 file ({error}). Fetch or copy it again.") from None


def _parameter(dataset: "Dataset", file: Any, weights_path: Path) -> Tensor:
    try:
        array = np.asarray(file[dataset.path], dtype=np.float32)
    except (OSError, TypeError, ValueError) as error:
        raise CheckpointError(f"{weights_path}: the dataset {dataset.path} is not readable ({error}).") from None
    return torch.from_numpy(np.ascontiguousarray(dataset.convert(array)))


@dataclass(frozen=True)
class Dataset:
    """An HDF5 dataset, the parameter of `BiLM` it holds, and how one becomes the other."""

    path: str
    shape: tuple[int, ...]
    parameter: str
    convert: Callable[[FloatArray], FloatArray]


def _as_is(array: FloatArray) -> FloatArray:
    return array


def _transposed(array: FloatArray) -> FloatArray:
    """TensorFlow multiplies x @ W, torch x @ W.T."""
    return array.T


def _with_padding_row(array: FloatArray) -> FloatArray:
    """The file has no row for id 0, padding outside words."""
    return np.concatenate([np.zeros_like(array[:1]), array])


def _convolution(array: FloatArray) -> FloatArray:
    """(1, width, channels, filters) to torch's (filters, channels, width)."""
    return array[0].transpose(2, 1, 0)


def _datasets(config: BiLMConfig) -> list[Dataset]:
    """Everything a weights file of this config holds."""
    n_filters, projection, cell = config.n_filters, config.projection_dim, config.cell_dim
    table = [Dataset("char_embed", (261, config.char_dim), "char_cnn.embedding.weight", _with_padding_row)]
    for i, (width, count) in enumerate(config.filters):
        ours = f"char_cnn.convolutions.{i}"
        table += [
            Dataset(f"CNN/W_cnn_{i}", (1, width, config.char_dim, count), f"{ours}.weight", _convolution),
            Dataset(f"CNN/b_cnn_{i}", (count,), f"{ours}.bias", _as_is),
        ]
    for i in range(config.n_highway):
        for gate in ("carry", "transform"):
            theirs, ours = f"CNN_high_{i}", f"char_cnn.highways.{i}.{gate}"
            table += [
                Dataset(f"{theirs}/W_{gate}", (n_filters, n_filters), f"{ours}.weight", _transposed),
                Dataset(f"{theirs}/b_{gate}", (n_filters,), f"{ours}.bias", _as_is),
            ]
    table += [
        Dataset("CNN_proj/W_proj", (n_filters, projection), "char_cnn.projection.weight", _transposed),
        Dataset("CNN_proj/b_proj", (projection,), "char_cnn.projection.bias", _as_is),
    ]
    for direction, name in enumerate(("forward_layers", "backward_layers")):
        for layer in range(config.n_layers):
            theirs, ours = f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell", f"{name}.{layer}"
            table += [
                Dataset(f"{theirs}/W_0", (2 * projection, 4 * cell), f"{ours}.weight", _transposed),
                Dataset(f"{theirs}/B", (4 * cell,), f"{ours}.bias", _as_is),
                Dataset(f"{theirs}/W_P_0", (cell, projection), f"{ours}.projection", _transposed),
            ]
    return table


def _shapes(file: Any) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    file.visititems(lambda path, item: shapes.update({path: item.shape}) if hasattr(item, "shape") else None)
    return shapes


def _check(datasets: list[Dataset], found: dict[str, tuple[int, ...]], options_path: Path, weights_path: Path) -> None:
    wanted = {dataset.path: dataset.shape for dataset in datasets}
    if missing := [path for path in wanted if path not in found]:
        raise CheckpointError(
            f"{weights_path} is not the weights file of {options_path}: the datasets {', '.join(missing)} are missing. "
            f"It holds: {', '.join(sorted(found)) or 'nothing'}."
        )
    if surplus := sorted(set(found) - set(wanted)):
        raise CheckpointError(
            f"{weights_path} holds datasets that {options_path} does not speak of: {', '.join(surplus)}."
        )
    for path, shape in wanted.items():
        if found[path] != shape:
            raise CheckpointError(
                f"{weights_path} contradicts {options_path}: the dataset {path} has the shape {found[path]}, but the "
                f"options ask for {shape}."
            )


def _read_options(path: Path) -> BiLMConfig:
    try:
        options = json.loads(path.read_text("utf8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({error}).") from None
    try:
        lstm, char_cnn = options["lstm"], options["char_cnn"]
        return BiLMConfig(
            filters=char_cnn["filters"],
            char_dim=char_cnn["embedding"]["dim"],
            max_characters=char_cnn["max_characters_per_token"],
            n_highway=char_cnn.get("n_highway", 0),
            activation=char_cnn["activation"],
            projection_dim=lstm["projection_dim"],
            cell_dim=lstm["dim"],
            n_layers=lstm["n_layers"],
            cell_clip=lstm.get("cell_clip"),
            projection_clip=lstm.get("proj_clip"),
            skip_connections=lstm.get("use_skip_connections", False),
        )
    except KeyError as error:
        raise CheckpointError(f"{path}: not the options of an ELMo model, the key {error} is missing.") from None
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from None
