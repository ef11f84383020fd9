"""What AllenNLP's own archives hold (model.tar.gz, unpacked): a whole model of its own, with a biLM somewhere in it.

config.json says of what the model is built, fta/ has the files that it asks for, and weights.th the parameters, those
of the biLM among them. They are the ones that count, for they may have been trained on.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import torch

from ..bilm import BiLMConfig
from ..disk import read_json
from .allennlp_parameters import from_allennlp
from .bounds import check_size
from .contents import Contents
from .errors import CheckpointError, listed
from .format import Format, Location
from .options import read_options
from .pickles import Parameters, as_parameters, read_dictionary
from .tensors import check_shapes

CONFIG_FILE, WEIGHTS_FILE, FILES = "config.json", "weights.th", "fta"
_FIRST = "_token_embedder._char_embedding_weights"


class AllenNLPArchive(Format):
    """See the module. Its locations have the paths (config, weights)."""

    name = "allennlp-archive"
    parts = (WEIGHTS_FILE,)
    members = (CONFIG_FILE,)

    def locate(self, directory: Path) -> Location:
        """See `Format.locate`."""
        return Location(self, directory, (directory / CONFIG_FILE, directory / WEIGHTS_FILE))

    def weights(self, location: Location) -> tuple[Path, ...]:
        """See `Format.weights`."""
        return (location.paths[1],)

    def read(self, location: Location) -> Contents:
        """See `Format.read`."""
        weights_path = location.paths[1]
        config = _config(location)
        check_size(config, weights_path.stat().st_size, str(weights_path))
        try:
            parameters = from_allennlp(_read_bilm(weights_path), config)
        except (KeyError, RuntimeError, ValueError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"{weights_path} does not hold the biLM of its options ({error}).") from None
        check_shapes(config, {name: tuple(tensor.shape) for name, tensor in parameters.items()}, str(weights_path))
        copies = {name: tensor.to(torch.float32, copy=True) for name, tensor in parameters.items()}
        return Contents(str(weights_path), config, copies)

    def files(self, location: Location) -> tuple[Path, ...]:
        """See `Format.files`."""
        return (*location.paths, _options_path(location))

    def dtypes(self, location: Location) -> set[str]:
        """See `Format.dtypes`."""
        return {str(tensor.dtype).removeprefix("torch.") for tensor in _read_bilm(location.paths[1]).values()}


def _read_bilm(path: Path) -> Parameters:
    """The parameters of the biLM in a whole model, under their names below `_elmo_lstm`."""
    values = read_dictionary(path)
    prefixes = [name.removesuffix(_FIRST) for name in values if isinstance(name, str) and name.endswith(_FIRST)]
    if len(prefixes) != 1:
        raise CheckpointError(
            f"{path} holds {'no ELMo' if not prefixes else 'several ELMos'}, by the parameters that it names "
            f"({listed([f'{prefix}{_FIRST}' for prefix in prefixes])})."
        )
    (prefix,) = prefixes
    below = {name.removeprefix(prefix): value for name, value in values.items() if str(name).startswith(prefix)}
    return as_parameters(below, path)


def _config(location: Location) -> BiLMConfig:
    return read_options(_options_path(location))


def _options_path(location: Location) -> Path:
    """The options file: among the files of the archive, else where its config says."""
    inside = sorted((location.directory / FILES).glob("*options*"))
    named = {str(name) for name in _values(read_json(location.paths[0], CheckpointError, _AGAIN), "options_file")}
    beside = {path for name in named for path in (location.directory / name, location.directory / PurePath(name).name)}
    found = inside or sorted(path for path in beside if os.path.isfile(path))
    if len(found) == 1:
        return found[0]
    raise CheckpointError(
        f"{location.directory} holds {len(found) or 'no'} options files of an ELMo"
        f"{f', which its config.json has as {listed(sorted(named))}' if named else ''}. Put the right one, alone, into "
        f"{location.directory / FILES}."
    )


def _values(values: Any, key: str) -> Iterator[Any]:
    """All values of a key, however deep."""
    if isinstance(values, dict):
        for name, value in values.items():
            if name == key:
                yield value
            yield from _values(value, key)
    elif isinstance(values, list):
        for value in values:
            yield from _values(value, key)


_AGAIN = "Fetch the archive again."
ALLENNLP_ARCHIVE = AllenNLPArchive()
