"""The format of bilm-tf and AllenNLP: options.json for the dimensions and weights.hdf5 for the parameters."""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..bilm import BiLM, BiLMConfig
from ..bilm.characters import N_CHARACTERS
from . import native
from .bounds import check_counts, check_size, read_json
from .contents import Contents
from .errors import CheckpointError

OPTIONS_FILE = "options.json"
WEIGHTS_FILE = "weights.hdf5"
VOCABULARY_FILE = "vocab.txt"
# The one length of a word that AllenNLP's own code knows; the format has an option for it.
ALLENNLP_CHARACTERS = 50

# Numbers that HDF5 may read at once, though a dataset has fewer.
_MAX_CHUNK = 1_000_000

FloatArray = npt.NDArray[np.float32]


def read(options_path: Path, weights_path: Path) -> Contents:
    """The config and the float32 parameters of an options/weights pair."""
    config, datasets = _checked(options_path, weights_path)
    with _opened(weights_path) as file:
        return Contents(config, {dataset.parameter: _parameter(dataset, file, weights_path) for dataset in datasets})


def check(options_path: Path, weights_path: Path) -> None:
    """Raises CheckpointError where a pair is no model, as far as that can be told without reading the numbers."""
    _checked(options_path, weights_path)


def _checked(options_path: Path, weights_path: Path) -> "tuple[BiLMConfig, list[Dataset]]":
    config = _read_options(options_path)
    with _opened(weights_path) as file:
        datasets = _datasets(config)
        _check(datasets, _shapes(file), options_path, weights_path)
        check_size(config, weights_path.stat().st_size, str(weights_path))
        for dataset in datasets:
            _check_storage(file[dataset.path], weights_path)
    return config, datasets


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import h5py  # a tenth of a second that no other format needs

    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise CheckpointError(f"{path}: not a whole HDF5 file ({error}). Fetch or copy it again.") from None


def _check_storage(dataset: Any, weights_path: Path) -> None:
    """The file itself must hold the numbers. HDF5 can also make them up, or take them from any file of the machine."""
    fault = None
    if dataset.is_virtual or dataset.external:
        fault = "is kept in other files"
    elif dataset.dtype.kind != "f":
        fault = f"holds {dataset.dtype} and not floating point numbers"
    elif dataset.id.get_storage_size() == 0:
        fault = "was never written"
    elif dataset.chunks and math.prod(dataset.chunks) > max(dataset.size, _MAX_CHUNK):
        fault = f"is cut into chunks of {dataset.chunks}, far larger than itself"
    if fault:
        raise CheckpointError(f"{weights_path}: the dataset {dataset.name.lstrip('/')} {fault}.")


def _parameter(dataset: "Dataset", file: Any, weights_path: Path) -> Tensor:
    try:
        array = np.asarray(file[dataset.path], dtype=np.float32)
    except (OSError, TypeError, ValueError) as error:
        raise CheckpointError(f"{weights_path}: the dataset {dataset.path} is not readable ({error}).") from None
    return torch.from_numpy(np.ascontiguousarray(dataset.layout.read(array)))


def write(bilm: BiLM, directory: Path, *, dtype: str, overwrite: bool, vocabulary: Sequence[str] | None = None) -> Path:
    """See `save_bilm`.

    vocabulary: the words that the model was trained to predict, for bilm-tf's vocab.txt.
    """
    if dtype != "float32":
        raise ValueError(f"Cannot store a biLM as {dtype!r} in AllenNLP's format: its files hold float32.")
    if bilm.lexicon is not None:
        raise ValueError(
            "Cannot store a biLM with a lexicon in AllenNLP's format, where words are their bytes and nothing else. "
            "The native format holds it."
        )
    contents = {WEIGHTS_FILE: _weights(bilm), OPTIONS_FILE: _json(_options(bilm.config))}
    if vocabulary is not None:
        contents[VOCABULARY_FILE] = _lines(vocabulary)
    _check_target(directory, set(contents), overwrite)
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        native._write_atomically(directory / name, content)
    return directory


def limits(config: BiLMConfig) -> list[str]:
    """Why AllenNLP itself cannot use a model of this config, though its format holds it: sentences, none if it can."""
    faults = []
    if config.max_characters != ALLENNLP_CHARACTERS:
        faults.append(
            f"AllenNLP makes {ALLENNLP_CHARACTERS} characters of every word, and this model asks for "
            f"{config.max_characters}."
        )
    if not config.skip_connections:
        faults.append("AllenNLP refuses models without skip connections, and this one has none.")
    return faults


def _check_target(directory: Path, names: set[str], overwrite: bool) -> None:
    """Raises FileExistsError where files would be overwritten unasked, or stand beside another model's: the directory
    would then mean that model, or none.
    """
    patterns = (native.CONFIG_FILE, native.WEIGHTS_FILE, f"*{OPTIONS_FILE}", f"*{WEIGHTS_FILE}", VOCABULARY_FILE)
    for path in sorted(path for pattern in patterns for path in directory.glob(pattern)):
        if path.name not in names:
            raise FileExistsError(
                f"{path} is part of another model, which cannot share a directory with one in AllenNLP's format; "
                f"choose another directory."
            )
        if not overwrite:
            raise FileExistsError(f"{path} exists already; choose another directory, or pass overwrite=True.")


def _weights(bilm: BiLM) -> bytes:
    """The content of a weights file."""
    import h5py

    parameters = bilm.state_dict()
    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        for dataset in _datasets(bilm.config):
            array = parameters[dataset.parameter].detach().to("cpu", torch.float32).numpy()
            if not np.isfinite(array).all():
                raise ValueError(f"Cannot store '{dataset.parameter}': it holds values that are not finite in float32.")
            file[dataset.path] = np.ascontiguousarray(dataset.layout.write(array))
    return buffer.getvalue()


def _json(values: Any) -> bytes:
    return (json.dumps(values, indent=2) + "\n").encode("utf8")


def _lines(words: Sequence[str]) -> bytes:
    """The content of a vocabulary file."""
    for word in words:
        # bilm-tf strips the lines; and UTF-8 cannot hold a surrogate that stands alone.
        if word.strip() != word or not re.fullmatch("[^\n\r\ud800-\udfff]+", word):
            raise ValueError(
                f"Cannot store the word {word!r} in {VOCABULARY_FILE}: it cannot be a line of a text file."
            )
    return "".join(f"{word}\n" for word in words).encode("utf8")


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
        raise ValueError(
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


def _datasets(config: BiLMConfig) -> list[Dataset]:
    """Everything a weights file of this config holds."""
    n_filters, projection, cell = config.n_filters, config.projection_dim, config.cell_dim
    table = [Dataset("char_embed", (261, config.char_dim), "char_cnn.embedding.weight", _EMBEDDING)]
    for i, (width, count) in enumerate(config.filters):
        ours = f"char_cnn.convolutions.{i}"
        table += [
            Dataset(f"CNN/W_cnn_{i}", (1, width, config.char_dim, count), f"{ours}.weight", _CONVOLUTION),
            Dataset(f"CNN/b_cnn_{i}", (count,), f"{ours}.bias", _AS_IS),
        ]
    for i in range(config.n_highway):
        for gate in ("carry", "transform"):
            theirs, ours = f"CNN_high_{i}", f"char_cnn.highways.{i}.{gate}"
            table += [
                Dataset(f"{theirs}/W_{gate}", (n_filters, n_filters), f"{ours}.weight", _TRANSPOSED),
                Dataset(f"{theirs}/b_{gate}", (n_filters,), f"{ours}.bias", _AS_IS),
            ]
    table += [
        Dataset("CNN_proj/W_proj", (n_filters, projection), "char_cnn.projection.weight", _TRANSPOSED),
        Dataset("CNN_proj/b_proj", (projection,), "char_cnn.projection.bias", _AS_IS),
    ]
    for direction, name in enumerate(("forward_layers", "backward_layers")):
        for layer in range(config.n_layers):
            theirs, ours = f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell", f"{name}.{layer}"
            table += [
                Dataset(f"{theirs}/W_0", (2 * projection, 4 * cell), f"{ours}.weight", _TRANSPOSED),
                Dataset(f"{theirs}/B", (4 * cell,), f"{ours}.bias", _AS_IS),
                Dataset(f"{theirs}/W_P_0", (cell, projection), f"{ours}.projection", _TRANSPOSED),
            ]
    return table


def _shapes(file: Any) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    file.visititems(lambda path, item: shapes.update({path: item.shape}) if hasattr(item, "shape") else None)
    return shapes


def _check(datasets: list[Dataset], found: dict[str, tuple[int, ...]], options_path: Path, weights_path: Path) -> None:
    wanted = {dataset.path: dataset.shape for dataset in datasets}
    if missing := [path for path in wanted if path not in found]:
        # Links are not among what is found, as they can lead into other files.
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


# Where the options file holds each value of the config.
_OPTIONS = {
    "filters": ("char_cnn", "filters"),
    "char_dim": ("char_cnn", "embedding", "dim"),
    "max_characters": ("char_cnn", "max_characters_per_token"),
    "n_highway": ("char_cnn", "n_highway"),
    "activation": ("char_cnn", "activation"),
    "projection_dim": ("lstm", "projection_dim"),
    "cell_dim": ("lstm", "dim"),
    "n_layers": ("lstm", "n_layers"),
    "cell_clip": ("lstm", "cell_clip"),
    "projection_clip": ("lstm", "proj_clip"),
    "skip_connections": ("lstm", "use_skip_connections"),
}
# What it means where the file says nothing of it, or null.
_ABSENT = {"n_highway": 0, "cell_clip": None, "projection_clip": None, "skip_connections": False}


def _options(config: BiLMConfig) -> dict[str, Any]:
    """The content of the options file; `_read_options` reads it back."""
    options: dict[str, Any] = {}
    for name, keys in _OPTIONS.items():
        section = options
        for key in keys[:-1]:
            section = section.setdefault(key, {})
        section[keys[-1]] = getattr(config, name)
    # bilm-tf checks it before it embeds.
    options["char_cnn"]["n_characters"] = N_CHARACTERS
    return options


def _read_options(path: Path) -> BiLMConfig:
    try:
        options = read_json(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({error}).") from None
    try:
        _check_characters(options["char_cnn"].get("n_characters", N_CHARACTERS))
        config = BiLMConfig(**{name: _option(options, name) for name in _OPTIONS})
    except KeyError as error:
        raise CheckpointError(f"{path}: not the options of an ELMo model, the key {error} is missing.") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from None
    check_counts(config, str(path))
    return config


def _option(options: Any, name: str) -> Any:
    *sections, key = _OPTIONS[name]
    for section in sections:
        options = options[section]
    if name not in _ABSENT:
        return options[key]
    value = options.get(key)
    return _ABSENT[name] if value is None else value


def _check_characters(number: Any) -> None:
    """bilm-tf trains with 261, and asks its users to write 262, for its padding, before they embed. The weights are the
    same, so both mean the one alphabet there is.
    """
    if number not in (N_CHARACTERS - 1, N_CHARACTERS):
        raise ValueError(f"n_characters is {number!r}, but must be {N_CHARACTERS - 1} or {N_CHARACTERS}.")
