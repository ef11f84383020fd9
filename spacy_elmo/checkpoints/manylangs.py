"""The format of ELMoForManyLangs.

It has char.dic and word.dic, the parameters in token_embedder.pkl and encoder.pkl, and the dimensions in a file of its
own, which config.json names and which no published archive holds.

Its code runs a word encoder of convolutions, or of word vectors alone, before the biLM of AllenNLP.
"""

import os
import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..bilm import BiLMConfig
from ..bilm.config import LexiconConfig
from ..bilm.lexicon import Lexicon
from ..disk import read_json
from .allennlp_parameters import highways_from_allennlp, lstms_from_allennlp
from .bounds import check_counts, check_size, read_lexicon
from .contents import Contents
from .errors import CheckpointError
from .format import Format, Location
from .hdf5 import Shapes
from .pickles import Parameters, read_parameters
from .tensors import shape_faults

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
    for name, wanted in _shapes(config).items():
        if faults := shape_faults(wanted, {key: tuple(tensor.shape) for key, tensor in found[name].items()}):
            raise CheckpointError(
                f"{directory / name} does not go with the dimensions in {where} and the lexicons beside it: {faults}."
            )
    embedder, encoder = (
        {key: tensor.to(torch.float32, copy=True) for key, tensor in found[name].items()}
        for name in (TOKEN_EMBEDDER_FILE, ENCODER_FILE)
    )
    return Contents(str(directory), config, _parameters(config, embedder, encoder), lexicon)


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


# Parameters

_OURS = "lexicon_encoder"
_WORDS = "word_emb_layer.embedding.weight"
_CHARACTERS = "char_emb_layer.embedding.weight"


def _shapes(config: BiLMConfig) -> dict[str, Shapes]:
    """Of everything that each file of this config holds."""
    lexicon, n_filters = config.lexicon, config.n_filters
    projection, gates = config.projection_dim, 4 * config.cell_dim
    assert lexicon is not None
    embedder: Shapes = {}
    if lexicon.n_words:
        embedder[_WORDS] = lexicon.n_words, lexicon.word_dim
    if lexicon.n_characters:
        embedder[_CHARACTERS] = lexicon.n_characters, config.char_dim
        for i, (width, count) in enumerate(config.filters):
            embedder |= {
                f"convolutions.{i}.weight": (count, config.char_dim, width),
                f"convolutions.{i}.bias": (count,),
            }
        for i in range(config.n_highway):
            name, doubled = f"highways._layers.{i}", 2 * n_filters
            embedder |= {f"{name}.weight": (doubled, n_filters), f"{name}.bias": (doubled,)}
    embedder |= {"projection.weight": (projection, config.feature_dim), "projection.bias": (projection,)}
    encoder: Shapes = {}
    for direction, layer in product(("forward", "backward"), range(config.n_layers)):
        name = f"{direction}_layer_{layer}"
        encoder |= {f"{name}.{part}_linearity.weight": (gates, projection) for part in ("input", "state")}
        encoder |= {f"{name}.state_linearity.bias": (gates,)}
        encoder |= {f"{name}.state_projection.weight": (projection, config.cell_dim)}
    return {TOKEN_EMBEDDER_FILE: embedder, ENCODER_FILE: encoder}


def _parameters(config: BiLMConfig, embedder: Parameters, encoder: Parameters) -> dict[str, Tensor]:
    """Those of `BiLM`. Highways and LSTMs are AllenNLP's modules."""
    names = {_WORDS: "words.weight", _CHARACTERS: "characters.embedding.weight"}
    for kind in ("weight", "bias"):
        names[f"projection.{kind}"] = f"projection.{kind}"
        names |= {(name := f"convolutions.{i}.{kind}"): f"characters.{name}" for i in range(len(config.filters))}
    parameters = {f"{_OURS}.{ours}": embedder[name] for name, ours in names.items() if name in embedder}
    parameters |= highways_from_allennlp(embedder, config, "highways", f"{_OURS}.characters.highways")
    return parameters | lstms_from_allennlp(encoder, config)
