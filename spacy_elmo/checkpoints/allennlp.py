"""The format of bilm-tf and AllenNLP: options.json for the dimensions and weights.hdf5 for the parameters."""

import math
import re
from collections.abc import Sequence
from glob import escape
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..bilm import BiLM, BiLMConfig
from .bounds import check_size
from .contents import Contents
from .datasets import Dataset, datasets, left_out, meant, stand_in
from .errors import CheckpointError, listed
from .format import Format, Location
from .hdf5 import Shapes, check_storage, dtypes_in, holds_vectors, opened, read_float32, shapes_in
from .options import read_options, serialize_options

OPTIONS_FILE = "options.json"
WEIGHTS_FILE = "weights.hdf5"
VOCABULARY_FILE = "vocab.txt"
# How the weights of published models are called, the usual first: AllenNLP's, NLPL's, and any other.
_WEIGHTS = ("*weights.hdf5", "model.hdf5", "*.hdf5", "*.h5")
# The one length of a word that AllenNLP's own code knows; the format has an option for it.
ALLENNLP_CHARACTERS = 50
# Of datasets that some programs leave in the weights file: what the model was trained to predict words with.
_SOFTMAX = "softmax"


class AllenNLP(Format):
    """See the module. Its locations have the paths (options, weights)."""

    name = "allennlp"
    parts = (f"*{OPTIONS_FILE}", *_WEIGHTS)
    written = (OPTIONS_FILE, WEIGHTS_FILE)

    def locate(self, directory: Path) -> Location:
        """See `Format.locate`."""
        return Location(self, directory, (_only(directory, f"*{OPTIONS_FILE}"), _only(directory, *_WEIGHTS)))

    def beside(self, path: Path) -> Location | None:
        """Published pairs are named like elmo_2x1024_options.json and elmo_2x1024_weights.hdf5."""
        directory, name = path.parent, path.name
        if name.endswith(OPTIONS_FILE):
            prefix = escape(name.removesuffix(OPTIONS_FILE))
            weights = _only(directory, f"{prefix}weights.hdf5", f"{prefix}weights*.hdf5", *_WEIGHTS)
            return Location(self, directory, (path, weights))
        if path.suffix in (".hdf5", ".h5"):
            prefix = escape(name.partition("weights")[0])
            _refuse_vectors(path)
            options = _only(directory, f"{prefix}{OPTIONS_FILE}", OPTIONS_FILE, f"*{OPTIONS_FILE}")
            return Location(self, directory, (options, path))
        return None

    def weights(self, location: Location) -> tuple[Path, ...]:
        """See `Format.weights`."""
        return (location.paths[1],)

    def read(self, location: Location) -> Contents:
        """See `Format.read`."""
        options_path, weights_path = location.paths
        config, wanted, absent = _checked(options_path, weights_path)
        with opened(weights_path) as file:
            parameters = {dataset.parameter: _parameter(dataset, file[dataset.path]) for dataset in wanted}
        parameters |= {dataset.parameter: stand_in(dataset) for dataset in absent}
        return Contents(str(weights_path), config, parameters)

    def check(self, location: Location) -> None:
        """See `Format.check`."""
        _checked(*location.paths)

    def dtypes(self, location: Location) -> set[str]:
        """See `Format.dtypes`."""
        return dtypes_in(location.paths[1])

    def ignored(self, location: Location) -> tuple[str, ...]:
        """See `Format.ignored`."""
        with opened(location.paths[1]) as file:
            return tuple(sorted(path for path in shapes_in(file) if path.startswith(_SOFTMAX)))

    def serialize(self, bilm: BiLM, dtype: str, vocabulary: Sequence[str] | None = None) -> dict[str, bytes]:
        """The vocabulary is for bilm-tf's vocab.txt."""
        if dtype != "float32":
            raise CheckpointError(f"Cannot store a biLM as {dtype!r} in AllenNLP's format: its files hold float32.")
        if bilm.lexicon is not None:
            raise CheckpointError(
                "Cannot store a biLM with a lexicon in AllenNLP's format, where words are their bytes and nothing "
                "else. The native format holds it."
            )
        files = {WEIGHTS_FILE: _serialize_weights(bilm), OPTIONS_FILE: serialize_options(bilm.config)}
        if vocabulary is not None:
            files[VOCABULARY_FILE] = _lines(vocabulary)
        return files

    def limits(self, config: BiLMConfig) -> list[str]:
        """See `Format.limits`."""
        faults = []
        if (length := config.max_characters) != ALLENNLP_CHARACTERS:
            faults.append(
                f"AllenNLP makes {ALLENNLP_CHARACTERS} characters of every word, and this model asks for {length}."
            )
        if not config.skip_connections:
            faults.append("AllenNLP refuses models without skip connections, and this one has none.")
        return faults


ALLENNLP = AllenNLP()


def _only(directory: Path, *patterns: str) -> Path:
    """The one file of the first pattern that there are files of."""
    held = listed(sorted(path.name for path in directory.iterdir()))
    for pattern in patterns:
        found = sorted(directory.glob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            raise CheckpointError(
                f"{directory} holds {len(found)} files {pattern}, so give a pair of paths [options, weights] instead. "
                f"It holds: {held}."
            )
    raise CheckpointError(
        f"{directory} is not an ELMo model: it has no {patterns[0]}, nor a native config.json and model.safetensors. "
        f"It holds: {held}."
    )


def _checked(options_path: Path, weights_path: Path) -> tuple[BiLMConfig, list[Dataset], list[Dataset]]:
    """The config, the datasets to read, and those that were left out."""
    config = read_options(options_path)
    with opened(weights_path) as file:
        found = shapes_in(file)
        absent = left_out(config, found)
        wanted = [dataset for dataset in datasets(config) if dataset not in absent]
        _check_shapes(wanted, found, options_path, weights_path)
        n_absent = sum(math.prod(dataset.shape) for dataset in absent)
        check_size(config, weights_path.stat().st_size, str(weights_path), n_absent)
        for dataset in wanted:
            check_storage(file[dataset.path], weights_path)
    return meant(config, absent), wanted, absent


def _check_shapes(wanted: list[Dataset], found: Shapes, options_path: Path, weights_path: Path) -> None:
    if missing := [dataset.path for dataset in wanted if dataset.path not in found]:
        if holds_vectors(found):
            raise _vectors(weights_path)
        raise CheckpointError(
            f"{weights_path} is not the weights file of {options_path}: the datasets {listed(missing)} are missing. "
            f"It holds: {listed(sorted(found))}."
        )
    known = {dataset.path for dataset in wanted}
    if surplus := sorted(path for path in set(found) - known if not path.startswith(_SOFTMAX)):
        raise CheckpointError(
            f"{weights_path} holds datasets that {options_path} does not speak of: {listed(surplus)}."
        )
    for dataset in wanted:
        if found[dataset.path] != dataset.shape:
            raise CheckpointError(
                f"{weights_path} contradicts {options_path}: the dataset {dataset.path} has the shape "
                f"{found[dataset.path]}, but the options ask for {dataset.shape}."
            )


def _refuse_vectors(weights_path: Path) -> None:
    with opened(weights_path) as file:
        if holds_vectors(shapes_in(file)):
            raise _vectors(weights_path)


def _vectors(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} holds vectors of sentences, as `allennlp elmo` writes them, and not the weights of a model. Read it "
        f"with h5py; to make vectors, give the model that they came from."
    )


def _parameter(dataset: Dataset, stored: object) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(dataset.layout.read(read_float32(stored))))


def _serialize_weights(bilm: BiLM) -> bytes:
    import h5py

    parameters = bilm.state_dict()
    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        for dataset in datasets(bilm.config):
            array = parameters[dataset.parameter].detach().to("cpu", torch.float32).numpy()
            if not np.isfinite(array).all():
                raise CheckpointError(
                    f"Cannot store '{dataset.parameter}': it holds values that are not finite in float32."
                )
            file[dataset.path] = np.ascontiguousarray(dataset.layout.write(array))
    return buffer.getvalue()


def _lines(words: Sequence[str]) -> bytes:
    """The content of a vocabulary file."""
    for word in words:
        # bilm-tf strips the lines; and UTF-8 cannot hold a surrogate that stands alone.
        if word.strip() != word or not re.fullmatch("[^\n\r\ud800-\udfff]+", word):
            raise CheckpointError(
                f"Cannot store the word {word!r} in {VOCABULARY_FILE}: it cannot be a line of a text file."
            )
    return "".join(f"{word}\n" for word in words).encode("utf8")
