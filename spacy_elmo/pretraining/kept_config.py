"""The config of a run, kept beside it, and held against that of later starts."""

import configparser
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thinc.api import Config

from ..checkpoints.published import name_of
from ..disk import write_whole
from .errors import RunError

# What may change when a run goes on, because it does not touch the weights, or is checked in another way: the corpus by
# what it holds, the batch of a rank by the sequences of all ranks together. And how long a run is: its learning rates
# from there on are those of a run of the new length.
FREE_TO_CHANGE = (
    "about.", "paths.", "system.device", "system.workers", "training.batch_size", "training.checkpoints.",
    "training.logger", "training.max_epochs", "training.max_steps",
)  # fmt: skip
_ABSENT = object()


def keep_config(config: Config, path: Path) -> None:
    """Write the config of a new run."""
    write_whole(path, config.to_str().encode("utf8"))


def check_config(config: Config, path: Path) -> None:
    """Hold a config against the one that a run began with.

    Raises:
        RunError: They differ in what makes the run, or the one that is kept is damaged.
    """
    before, now = _flat(_read(path)), _flat(config)
    changed = [key for key in sorted(before | now) if _meant(before, key) != _meant(now, key)]
    if changed := [key for key in changed if not key.startswith(FREE_TO_CHANGE)]:
        changes = "; ".join(f"{key} was {_shown(before, key)} and is {_shown(now, key)}" for key in changed)
        raise RunError(
            f"{path.parent} holds a run with another config: {changes}. Go on with the config it has ({path}), or give "
            f"another --output."
        )


def _read(path: Path) -> Config:
    try:
        if config := Config().from_disk(path):
            return config
        reason: Any = "it is empty"
    except (OSError, ValueError, configparser.Error) as error:
        reason = error
    raise RunError(
        f"{path}: damaged ({reason}). It is the config that the run there began with. Put it back, or remove it if the "
        f"config that you give now is the same."
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _meant(flat: Mapping[str, Any], key: str) -> Any:
    """A value; of a model's path, whatever way it is written, the place."""
    value = flat.get(key)
    if key == "initialize.source" and isinstance(value, str) and name_of(value) is None:
        return os.path.abspath(os.path.expanduser(value))
    return value


def _shown(flat: Mapping[str, Any], key: str) -> str:
    value = flat.get(key, _ABSENT)
    return "left out" if value is _ABSENT else repr(value)
