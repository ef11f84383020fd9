"""AllenNLP's options.json: the dimensions of a biLM."""

import json
from pathlib import Path
from typing import Any

from ..bilm import BiLMConfig
from ..bilm.characters import N_CHARACTERS
from ..disk import read_json
from .bounds import check_counts
from .errors import CheckpointError

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
# What it means where the file says nothing of it, or null: as in bilm-tf.
_ABSENT = {"n_highway": 0, "n_layers": 1, "cell_clip": None, "projection_clip": None, "skip_connections": False}


def serialize_options(config: BiLMConfig) -> bytes:
    """The content of the options file; `read_options` reads it back."""
    options: dict[str, Any] = {}
    for name, keys in _OPTIONS.items():
        section = options
        for key in keys[:-1]:
            section = section.setdefault(key, {})
        section[keys[-1]] = getattr(config, name)
    # bilm-tf checks it before it embeds.
    options["char_cnn"]["n_characters"] = N_CHARACTERS
    return (json.dumps(options, indent=2) + "\n").encode("utf8")


def read_options(path: Path) -> BiLMConfig:
    """Read an options file.

    Raises:
        CheckpointError: It cannot be read, or makes no model.
    """
    return parse_options(read_json(path, CheckpointError, "Fetch or copy it again."), str(path))


def parse_options(options: Any, where: str) -> BiLMConfig:
    """The config from the content of an options file; see `read_options`."""
    try:
        _check_characters(options["char_cnn"].get("n_characters", N_CHARACTERS))
        config = BiLMConfig(**{name: _option(options, name) for name in _OPTIONS})
    except KeyError as error:
        raise CheckpointError(f"{where}: not the options of an ELMo model, the key {error} is missing.") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: {error}") from None
    check_counts(config, where)
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
    """bilm-tf trains with 261, and asks its users to write 262, for its padding, before they embed.

    The weights are the same, so both mean the one alphabet there is.
    """
    if number not in (N_CHARACTERS - 1, N_CHARACTERS):
        raise ValueError(f"n_characters is {number!r}, but must be {N_CHARACTERS - 1} or {N_CHARACTERS}.")
