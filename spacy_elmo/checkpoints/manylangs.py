"""The format of ELMoForManyLangs.

It has char.dic and word.dic, the parameters in token_embedder.pkl and encoder.pkl, and the dimensions in a file of its
own, which config.json names and which no published archive holds.

Its code runs a word encoder of convolutions, or of word vectors alone, before the biLM of AllenNLP.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..bilm import BiLMConfig
from ..bilm.config import LexiconConfig
from ..bilm.lexicon import Lexicon
from ..bilm.lstm import FORGET_BIAS
from ..disk import read_json
from .bounds import check_counts, check_size, read_lexicon
from .contents import Contents
from .errors import CheckpointError
from .format import Format, Location
from .pickles import Parameters, read_parameters

CONFIG_FILE = "config.json"
CHARACTERS_FILE, WORDS_FILE = "char.dic", "word.dic"
TOKEN_EMBEDDER_FILE, ENCODER_FILE = "token_embedder.pkl", "encoder.pkl"

# The files of dimensions that come with the package of that name. They hold the same, that of all published models.
_PUBLISHED = ("cnn_50_100_512_4096_sample.json", "cnn_0_100_512_4096_sample.json")
# An entry that its reader finds no name for, as it takes all blanks for the space around a line.
_BLANK = "\u3000"


class ManyLangs(Format):
    """See the module."""

    name = "manylangs"
    family = "ELMoForManyLangs"
    parts = (TOKEN_EMBEDDER_FILE, ENCODER_FILE)
    members = (CONFIG_FILE, CHARACTERS_FILE, WORDS_FILE)

    def locate(self, directory: Path) -> Location:
        """See `Format.locate`."""
        return Location(self, directory, (directory / TOKEN_EMBEDDER_FILE, directory / ENCODER_FILE))

    def weights(self, location: Location) -> tuple[Path, ...]:
        """See `Format.weights`."""
        return location.paths

    def read(self, location: Location) -> Contents:
        """See `Format.read`."""
        return _read(location.directory)

    def files(self, location: Location) -> tuple[Path, ...]:
        """See `Format.files`."""
        return tuple(sorted(path for path in location.directory.iterdir() if path.is_file()))

    def dtypes(self, location: Location) -> set[str]:
        """See `Format.dtypes`."""
        return {"float32"}


MANYLANGS = ManyLangs()


def _read(directory: Path) -> Contents:
    """What a directory of this format holds, unless the model is one that the original does not run either."""
    found = {name: read_parameters(directory / name) for name in (TOKEN_EMBEDDER_FILE, ENCODER_FILE)}
    where, options = _options(directory, found)
    lexicon = _lexicon(directory, options, where)
    config = _config(options, lexicon, where)
    check_counts(config, where)
    check_size(config, sum((directory / name).stat().st_size for name in found), str(directory))
    arrays = _arrays(config)
    for name, tensors in found.items():
        wanted = {array.name: array.shape for array in arrays if array.file == name}
        _check(directory / name, where, wanted, {key: tuple(tensor.shape) for key, tensor in tensors.items()})
    parameters: dict[str, Tensor] = {}
    for array in arrays:
        parameters |= array.convert(found[array.file][array.name].to(torch.float32, copy=True))
    return Contents(str(directory), config, _joined(config, parameters), lexicon)


# Dimensions


def _options(directory: Path, found: Mapping[str, Parameters]) -> tuple[str, Any]:
    """The dimensions, and the name of the file that they come from."""
    path = _options_path(directory)
    if path is None:
        return str(directory), _published_options(found)
    return str(path), _json(path)


def _options_path(directory: Path) -> Path | None:
    """The file of dimensions; None where it is one of those that all have, and is not here."""
    config = directory / CONFIG_FILE
    values = _json(config) if config.exists() else {}
    named = values.get("config_path") if isinstance(values, dict) else None
    if named is None:
        named = _PUBLISHED[0]
    if not isinstance(named, str) or "\0" in named:
        raise CheckpointError(f"{config}: 'config_path' is {named!r} and no path of a file.")
    # A path on the machine that the model was trained on, which may have been of another system.
    name = re.split(r"[/\\]", named)[-1]
    for path in (directory / named, directory / name):
        if os.path.isfile(path):  # which takes a name that is too long for one of no file
            return path
    if name not in _PUBLISHED:
        raise CheckpointError(
            f"{config} says that the dimensions of the model are in {named}, which is neither there nor {name} in "
            f"{directory}. Put that file beside it."
        )
    return None


def _published_options(found: Mapping[str, Parameters]) -> dict[str, Any]:
    """The dimensions that arrays have, and of the rest what all published models have."""
    embedder, encoder = found[TOKEN_EMBEDDER_FILE], found[ENCODER_FILE]

    def size(parameters: Parameters, name: str, axis: int) -> int:
        return parameters[name].shape[axis] if name in parameters and axis < parameters[name].dim() else 0

    filters: list[list[int]] = []
    n_highway = n_layers = 0
    while (name := f"convolutions.{len(filters)}.weight") in embedder:
        filters.append([size(embedder, name, 2), size(embedder, name, 0)])
    while f"highways._layers.{n_highway}.weight" in embedder:
        n_highway += 1
    while f"forward_layer_{n_layers}.state_projection.weight" in encoder:
        n_layers += 1
    return {
        "encoder": {
            "name": "elmo",
            "projection_dim": size(embedder, "projection.weight", 0),
            "cell_clip": 3,
            "proj_clip": 3,
            "dim": size(encoder, "forward_layer_0.state_projection.weight", 1),
            "n_layers": n_layers,
        },
        "token_embedder": {
            "name": "cnn",
            "activation": "relu",
            "filters": filters,
            "n_highway": n_highway,
            "word_dim": size(embedder, _WORDS, 1),
            "char_dim": size(embedder, _CHARACTERS, 1),
            "max_characters_per_token": 50,
        },
    }


def _json(path: Path) -> Any:
    return read_json(path, CheckpointError, "Fetch or copy it again.")


def _config(options: Any, lexicon: Lexicon, where: str) -> BiLMConfig:
    encoder, embedder = options["encoder"], options["token_embedder"]
    try:
        _check_kinds(encoder, embedder)
        words, characters = lexicon.words, lexicon.characters
        values = {
            "projection_dim": encoder["projection_dim"],
            "cell_dim": encoder["dim"],
            "n_layers": encoder["n_layers"],
            # 0 is no bound, in the original, and as good as null.
            "cell_clip": encoder["cell_clip"] or None,
            "projection_clip": encoder["proj_clip"] or None,
            "max_characters": _max_characters(embedder, words),
            "lexicon": LexiconConfig(
                n_words=len(words or ()),
                word_dim=embedder["word_dim"] if words else 0,
                n_characters=len(characters or ()),
            ),
        }
        if characters is None:
            return BiLMConfig(**values, filters=((1, 1),), char_dim=1, n_highway=0)
        names = ("filters", "char_dim", "n_highway", "activation")
        return BiLMConfig(**values, **{name: embedder[name] for name in names})
    except KeyError as error:
        raise CheckpointError(f"{where}: not the dimensions of a model, the key {error} is missing.") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: {error}") from None


def _check_kinds(encoder: Any, embedder: Any) -> None:
    if (name := encoder["name"].lower()) != "elmo":
        raise ValueError(f"the encoder is {name!r}, and only 'elmo' is one with layers of vectors.")
    if (name := embedder["name"].lower()) not in ("cnn", "lstm"):
        raise ValueError(f"the token embedder is {name!r}, and must be 'cnn' or 'lstm'.")
    if name == "lstm" and embedder["char_dim"] > 0:
        raise ValueError(
            "the token embedder reads characters with an LSTM, and the code of ELMoForManyLangs fails to run such a "
            "model. Train it with the token embedder 'cnn'."
        )


def _max_characters(embedder: Any, words: Mapping[str, int] | None) -> int:
    """Words are cut to this length less 2 before anything else.

    But with the LSTM never, which is the same as cut to a length that no known word has.
    """
    if embedder["name"].lower() == "cnn":
        length: int = embedder["max_characters_per_token"]
        return length
    return max(map(len, words or ("",))) + 3


# Lexicons


def _lexicon(directory: Path, options: Any, where: str) -> Lexicon:
    """Which of the two a model has is for its dimensions to say."""
    known = {}
    for key, dim, name in (("words", "word_dim", WORDS_FILE), ("characters", "char_dim", CHARACTERS_FILE)):
        width = _width(options, dim, where)
        known[key] = _read_entries(directory / name) if width > 0 else None
    if known["words"] is None and known["characters"] is None:
        raise CheckpointError(f"{where}: the model knows neither words nor characters: word_dim and char_dim are 0.")
    try:
        return Lexicon(**known)
    except ValueError as error:
        raise CheckpointError(f"{directory}: {error} It is read from {WORDS_FILE} and {CHARACTERS_FILE}.") from None


def _width(options: Any, name: str, where: str) -> int:
    try:
        options["encoder"]  # the other half, missed before anything is read
        width = options["token_embedder"][name]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{where}: not the dimensions of a model ({error!r}).") from None
    if not isinstance(width, int):
        raise CheckpointError(f"{where}: '{name}' is {width!r}, but must be an integer.")
    return width


def _read_entries(path: Path) -> dict[str, int]:
    """A line an entry, its number after a tab. Of entries of the same name the last counts."""
    try:
        lines = read_lexicon(path).decode("utf8").splitlines()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; the model in {path.parent} is incomplete.") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable as a lexicon ({error}).") from None
    entries = {}
    for line_number, line in enumerate(lines, start=1):
        # As in the original: space goes first, and an entry that was nothing else is known by its number alone.
        *names, number = line.strip().split("\t")
        try:
            (name,) = names or (_BLANK,)
            entries[name] = int(number)
        except ValueError:
            raise CheckpointError(
                f"{path}, line {line_number}: {line!r} is not an entry, a tab and a number."
            ) from None
    for name, place in entries.items():
        if not 0 <= place < len(entries):
            raise CheckpointError(
                f"{path}: the number of {name!r} is {place}, but there are {len(entries):,} entries, numbered from 0."
            )
    return entries


# Arrays

_WORDS = "word_emb_layer.embedding.weight"
_CHARACTERS = "char_emb_layer.embedding.weight"


@dataclass(frozen=True)
class Array:
    """An array of a file, and the parameters of `BiLM`, or parts of them, that it becomes."""

    file: str
    name: str
    shape: tuple[int, ...]
    convert: Callable[[Tensor], dict[str, Tensor]]


def _as(name: str) -> Callable[[Tensor], dict[str, Tensor]]:
    return lambda array: {name: array}


def _highway(name: str, kind: str) -> Callable[[Tensor], dict[str, Tensor]]:
    """The transformed part first, then the gate, which here is that of the input that is carried on."""

    def convert(array: Tensor) -> dict[str, Tensor]:
        transform, kept = array.chunk(2)
        return {f"{name}.transform.{kind}": transform.contiguous(), f"{name}.carry.{kind}": -kept}

    return convert


def _gates(name: str, constant: float = 0.0) -> Callable[[Tensor], dict[str, Tensor]]:
    """Gates in the order input, forget, candidate, output.

    The forget gate's constant is part of their bias, and not of ours.
    """

    def convert(array: Tensor) -> dict[str, Tensor]:
        i, f, j, o = array.chunk(4)
        return {name: torch.cat([i, j, f - constant, o])}

    return convert


def _arrays(config: BiLMConfig) -> list[Array]:
    """Everything the files of this config hold."""
    lexicon, projection, cell = config.lexicon, config.projection_dim, config.cell_dim
    assert lexicon is not None
    table: list[Array] = []

    def add(file: str, name: str, shape: tuple[int, ...], convert: Callable[[Tensor], dict[str, Tensor]]) -> None:
        table.append(Array(file, name, shape, convert))

    ours = "lexicon_encoder"
    if lexicon.n_words:
        add(TOKEN_EMBEDDER_FILE, _WORDS, (lexicon.n_words, lexicon.word_dim), _as(f"{ours}.words.weight"))
    if lexicon.n_characters:
        inner, n_filters = f"{ours}.characters", config.n_filters
        shape: tuple[int, ...] = (lexicon.n_characters, config.char_dim)
        add(TOKEN_EMBEDDER_FILE, _CHARACTERS, shape, _as(f"{inner}.embedding.weight"))
        for i, (width, count) in enumerate(config.filters):
            for kind, shape in (("weight", (count, config.char_dim, width)), ("bias", (count,))):
                name = f"convolutions.{i}.{kind}"
                add(TOKEN_EMBEDDER_FILE, name, shape, _as(f"{inner}.{name}"))
        for i in range(config.n_highway):
            for kind, shape in (("weight", (2 * n_filters, n_filters)), ("bias", (2 * n_filters,))):
                name = f"highways._layers.{i}.{kind}"
                add(TOKEN_EMBEDDER_FILE, name, shape, _highway(f"{inner}.highways.{i}", kind))
    for kind, shape in (("weight", (projection, config.feature_dim)), ("bias", (projection,))):
        add(TOKEN_EMBEDDER_FILE, f"projection.{kind}", shape, _as(f"{ours}.projection.{kind}"))
    for direction in ("forward", "backward"):
        for layer in range(config.n_layers):
            theirs, ours = f"{direction}_layer_{layer}", f"{direction}_layers.{layer}"
            for part in ("input", "state"):
                name = f"{theirs}.{part}_linearity.weight"
                add(ENCODER_FILE, name, (4 * cell, projection), _gates(f"{ours}.{part}_weight"))
            add(ENCODER_FILE, f"{theirs}.state_linearity.bias", (4 * cell,), _gates(f"{ours}.bias", FORGET_BIAS))
            add(ENCODER_FILE, f"{theirs}.state_projection.weight", (projection, cell), _as(f"{ours}.projection"))
    return table


def _joined(config: BiLMConfig, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """The LSTMs' weights of input and state beside each other, as ours are."""
    for direction in ("forward", "backward"):
        for layer in range(config.n_layers):
            name = f"{direction}_layers.{layer}"
            parts = [parameters.pop(f"{name}.{part}_weight") for part in ("input", "state")]
            parameters[f"{name}.weight"] = torch.cat(parts, dim=1)
    return parameters


def _check(path: Path, where: str, wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> None:
    faults = [f"missing: {name}" for name in wanted if name not in found]
    faults += [f"surplus: {name}" for name in sorted(set(found) - set(wanted))]
    faults += [
        f"{name} has the shape {found[name]}, but {wanted[name]} is asked for"
        for name in wanted
        if name in found and found[name] != wanted[name]
    ]
    if faults:
        raise CheckpointError(
            f"{path} does not go with the dimensions in {where} and the lexicons beside it: {'; '.join(faults)}."
        )
