"""What the datasets of a bilm-tf weights file are to a biLM."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..bilm import BiLMConfig
from .errors import CheckpointError

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Layout:
    """How the file lays out an array and how torch does: two functions, each the other's inverse."""

    read: Callable[[FloatArray], FloatArray]
    write: Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Dataset:
    """An HDF5 dataset, the parameter of `BiLM` it holds, and how one becomes the other."""

    path: str
    shape: tuple[int, ...]
    parameter: str
    layout: Layout


def _with_padding_row(array: FloatArray) -> FloatArray:
    return np.concatenate([np.zeros_like(array[:1]), array])


def _without_padding_row(array: FloatArray) -> FloatArray:
    if array[0].any():
        raise CheckpointError(
            "Cannot store 'char_cnn.embedding.weight' in AllenNLP's format, which has no place for its first row, and "
            "that row is not zero. It stands for padding outside words, and no vector depends on it: set it to zero."
        )
    return array[1:]


_AS_IS = Layout(read=lambda array: array, write=lambda array: array)
# TensorFlow multiplies x @ W, torch x @ W.T.
_TRANSPOSED = Layout(read=np.transpose, write=np.transpose)
# The file has no row for id 0, padding outside words.
_EMBEDDING = Layout(read=_with_padding_row, write=_without_padding_row)
# (1, width, channels, filters) in the file, (filters, channels, width) in torch.
_CONVOLUTION = Layout(
    read=lambda array: array[0].transpose(2, 1, 0),
    write=lambda array: array.transpose(2, 1, 0)[np.newaxis],
)


def datasets(config: BiLMConfig) -> list[Dataset]:
    """Everything a weights file of this config holds, in the order of the computation."""
    return [*_characters(config), *_highways(config), *_word_projection(config), *_lstms(config)]


def left_out(config: BiLMConfig, found: Collection[str]) -> list[Dataset]:
    """The datasets that a file of this config need not have, and has not.

    bilm-tf projects words only where the filters are not as many as the projection is wide, and LSTM outputs only where
    cells are not as wide as it: see `stand_in` and `meant`.

    Args:
        config: As the options have it.
        found: Paths of the datasets that the file has.
    """
    groups = []
    if config.n_filters == config.projection_dim:
        groups.append(_word_projection(config))
    if config.cell_dim == config.projection_dim:
        groups.append([dataset for dataset in _lstms(config) if dataset.path.endswith(_OUTPUT)])
    return [dataset for group in groups if not any(one.path in found for one in group) for dataset in group]


def stand_in(dataset: Dataset) -> Tensor:
    """The parameter in place of a dataset that was left out: projections by the identity give the same numbers."""
    return torch.zeros(dataset.shape) if len(dataset.shape) == 1 else torch.eye(*dataset.shape)


def meant(config: BiLMConfig, absent: list[Dataset]) -> BiLMConfig:
    """What a config means where datasets were left out: bilm-tf clips outputs only where it projects them."""
    is_projected = not any(dataset.path.endswith(_OUTPUT) for dataset in absent)
    return config if is_projected else replace(config, projection_clip=None)


def _characters(config: BiLMConfig) -> list[Dataset]:
    table = [Dataset("char_embed", (261, config.char_dim), "char_cnn.embedding.weight", _EMBEDDING)]
    for i, (width, count) in enumerate(config.filters):
        ours = f"char_cnn.convolutions.{i}"
        table += [
            Dataset(f"CNN/W_cnn_{i}", (1, width, config.char_dim, count), f"{ours}.weight", _CONVOLUTION),
            Dataset(f"CNN/b_cnn_{i}", (count,), f"{ours}.bias", _AS_IS),
        ]
    return table


def _highways(config: BiLMConfig) -> list[Dataset]:
    table, width = [], config.n_filters
    for i in range(config.n_highway):
        for gate in ("carry", "transform"):
            theirs, ours = f"CNN_high_{i}", f"char_cnn.highways.{i}.{gate}"
            table += [
                Dataset(f"{theirs}/W_{gate}", (width, width), f"{ours}.weight", _TRANSPOSED),
                Dataset(f"{theirs}/b_{gate}", (width,), f"{ours}.bias", _AS_IS),
            ]
    return table


def _word_projection(config: BiLMConfig) -> list[Dataset]:
    width, projection = config.n_filters, config.projection_dim
    return [
        Dataset("CNN_proj/W_proj", (width, projection), "char_cnn.projection.weight", _TRANSPOSED),
        Dataset("CNN_proj/b_proj", (projection,), "char_cnn.projection.bias", _AS_IS),
    ]


_OUTPUT = "W_P_0"


def _lstms(config: BiLMConfig) -> list[Dataset]:
    table, projection, cell = [], config.projection_dim, config.cell_dim
    for direction, name in enumerate(("forward_layers", "backward_layers")):
        for layer in range(config.n_layers):
            theirs, ours = f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell", f"{name}.{layer}"
            table += [
                Dataset(f"{theirs}/W_0", (2 * projection, 4 * cell), f"{ours}.weight", _TRANSPOSED),
                Dataset(f"{theirs}/B", (4 * cell,), f"{ours}.bias", _AS_IS),
                Dataset(f"{theirs}/{_OUTPUT}", (cell, projection), f"{ours}.projection", _TRANSPOSED),
            ]
    return table
