"""A language model on disk: the biLM in the native format, and beside it what only prediction needs."""

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from thinc.api import Config

from ..checkpoints import CheckpointError, Source, load_located
from ..checkpoints.native import NATIVE
from ..checkpoints.source import locate
from ..checkpoints.tensors import DAMAGES, parameter, serialize_parameters
from ..disk import new_directory
from .metadata import CONFIG_FILE, SOFTMAX_FILE, TRAINING_FILE, VOCABULARY_FILE, read_vocabulary
from .model import LanguageModel
from .softmax import Softmax


def save_language_model(
    model: LanguageModel, directory: Path, config: Config, facts: dict[str, Any], dtype: str = "float32"
) -> None:
    """Write a language model as a whole: what stood there before is replaced.

    That is the biLM (config.json, model.safetensors), the softmax, its vocabulary, the config and the facts of its
    training.

    Args:
        model: On any device.
        directory: Where to.
        config: What the model was trained with.
        facts: JSON-ready.
        dtype: "float32" or "float16", of what is stored.

    Raises:
        DiskError: The disk does not take it. What stood there before stays.
    """
    with new_directory(directory, overwrite=True) as unfinished:
        for name, content in NATIVE.serialize(model.bilm, dtype).items():
            (unfinished / name).write_bytes(content)
        (unfinished / SOFTMAX_FILE).write_bytes(serialize_parameters(model.softmax, dtype))
        _write_json(unfinished / VOCABULARY_FILE, model.vocabulary)
        _write_json(unfinished / TRAINING_FILE, facts)
        (unfinished / CONFIG_FILE).write_text(config.to_str(), "utf8")


def load_language_model(source: Source, device: torch.device | str | None = None) -> LanguageModel:
    """Load a language model that `pretrain` wrote.

    Args:
        source: Its directory, or whatever else `load_bilm` loads, such as an archive of it.
        device: None for a GPU where there is one, else the CPU.

    Raises:
        CheckpointError: There is a biLM but no softmax, or files are missing or damaged.
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
    _read_softmax(model.softmax, directory / SOFTMAX_FILE)
    return model.eval()


def _read_softmax(softmax: Softmax, path: Path) -> None:
    try:
        tensors = safetensors.torch.load_file(path)
        softmax.load_state_dict({name: parameter(name, tensor, str(path)) for name, tensor in tensors.items()})
    except CheckpointError:
        raise
    except DAMAGES as error:
        raise CheckpointError(f"{path}: not the softmax of this model ({error}).") from None
    for name, values in softmax.named_parameters():
        if not torch.isfinite(values).all():
            raise CheckpointError(f"{path}: damaged, '{name}' holds values that are not finite. Copy it again.")


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=0 if isinstance(value, list) else 2) + "\n", "utf8")
