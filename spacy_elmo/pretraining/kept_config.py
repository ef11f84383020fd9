"""The config of a run, kept beside it, and held against that of later starts."""

import configparser
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thinc.api import Config

from ..checkpoints.published import name_of
from ..disk import changes, write_whole
from .errors import RunError

# What may change when a run goes on, because it does not touch the weights, or is checked in another way: the corpus by
# what it holds, the batch of a rank by the sequences of all ranks together. And how long a run is: its learning rates
# from there on are those of a run of the new length.
FREE_TO_CHANGE = (
    "about.", "paths.", "system.device", "system.workers", "training.batch_size", "training.checkpoints.",
    "training.logger", "training.max_epochs", "training.max_steps",
)  # fmt: skip


def keep_config(config: Config, path: Path) -> None:
    """Write the config of a new run."""
    write_whole(path, config.to_str().encode("utf8"))


def check_config(config: Config, path: Path) -> None:
    """Hold a config against the one that a run began with.

    Raises:
        RunError: They differ in what makes the run, or the one that is kept is damaged.
    """
    found = changes(_settings(_with_place(_read(path))), _settings(_with_place(config)))
    if changed := [change for change in found if not change.startswith(FREE_TO_CHANGE)]:
        raise RunError(
            f"{path.parent} holds a run with another config: {'; '.join(changed)}. Go on with the config it has "
            f"({path}), or give another --output."
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


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without those of null, which is the same as nothing."""
    items = ((key, _settings(value) if isinstance(value, dict) else value) for key, value in values.items())
    return {key: value for key, value in items if value is not None}


def _with_place(config: Config) -> dict[str, Any]:
    """With the place of the model to go on from, whatever way its path is written."""
    settings = config.get("initialize", {})
    source = settings.get("source")
    if not isinstance(source, str) or name_of(source) is not None:
        return config
    return {**config, "initialize": {**settings, "source": os.path.abspath(os.path.expanduser(source))}}
