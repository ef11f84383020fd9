"""A language model on disk: the biLM in the native format, and beside it what only prediction needs."""

import json
import shutil
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from thinc.api import Config

from ..checkpoints import CheckpointError, Source, load_located, save_bilm
from ..checkpoints.native import serialize_parameters
from ..checkpoints.source import locate
from ..disk import DiskError
from .metadata import CONFIG_FILE, SOFTMAX_FILE, TRAINING_FILE, VOCABULARY_FILE, read_vocabulary
from .model import LanguageModel


def save_language_model(
    model: LanguageModel, directory: Path, config: Config, facts: dict[str, Any], dtype: str = "float32"
) -> None:
    """Write the biLM (config.json, model.safetensors), the softmax, its vocabulary, the config and the facts of its
    training. What stood there before is replaced as a whole, once all is written.

    dtype: "float32" or "float16", of what is stored. Raises DiskError where the disk does not take it.
    """
    unfinished, old = (directory.with_name(f".{directory.name}.{state}") for state in ("unfinished", "old"))
    if old.exists() and not directory.exists():
        old.rename(directory)  # a process was killed between the two renames below
    for path in (unfinished, old):
        shutil.rmtree(path, ignore_errors=True)
    try:
        save_bilm(model.bilm, unfinished, dtype=dtype)
        (unfinished / SOFTMAX_FILE).write_bytes(serialize_parameters(model.softmax, dtype))
        _write_json(unfinished / VOCABULARY_FILE, model.vocabulary)
        _write_json(unfinished / TRAINING_FILE, facts)
        (unfinished / CONFIG_FILE).write_text(config.to_str(), "utf8")
        if directory.exists():
            directory.rename(old)
        unfinished.rename(directory)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise DiskError(f"Could not write the model {directory} ({error}).") from None
    shutil.rmtree(old, ignore_errors=True)


def load_language_model(source: Source, device: torch.device | str | None = None) -> LanguageModel:
    """Load a language model that `pretrain` wrote.

    source: its directory, or whatever else `load_bilm` loads, such as an archive of it.
    device: None for a GPU where there is one, else the CPU.
    Raises CheckpointError where the directory has a biLM but no softmax, or files are missing or damaged.
    """
    location = locate(source)
    directory = location.directory
    if not (directory / SOFTMAX_FILE).exists():
        raise CheckpointError(
            f"{source} holds no {SOFTMAX_FILE}: it makes vectors, but cannot predict words. A model that "
            f"`python -m spacy elmo pretrain` wrote can."
        )
    bilm = load_located(location, device)
    vocabulary = read_vocabulary(directory)
    if vocabulary is None:
        raise CheckpointError(f"{directory / VOCABULARY_FILE}: no such file; the softmax has no words without it.")
    model = LanguageModel(bilm, vocabulary)
    try:
        model.softmax.load_state_dict(safetensors.torch.load_file(directory / SOFTMAX_FILE))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{directory / SOFTMAX_FILE}: not the softmax of this model ({error}).") from None
    return model.eval()


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=0 if isinstance(value, list) else 2) + "\n", "utf8")
