"""What lies beside a biLM that was trained here: what prediction needs, and vectors do not."""

import configparser
from pathlib import Path
from typing import Any

from thinc.api import Config

from ..checkpoints import CheckpointError, Location
from ..checkpoints.saved_pipelines import SAVED_PIPELINE
from ..corpus.corpus import MARKS
from ..corpus.tokenize import TextSettings
from ..disk import read_json

SOFTMAX_FILE = "softmax.safetensors"
VOCABULARY_FILE = "vocabulary.json"
TRAINING_FILE = "training.json"
CONFIG_FILE = "pretraining.cfg"
_MAX_VOCABULARY_BYTES = 1_000_000_000


def present(directory: Path) -> list[Path]:
    """Those of the files that are there."""
    names = (VOCABULARY_FILE, SOFTMAX_FILE, TRAINING_FILE, CONFIG_FILE)
    return [directory / name for name in names if (directory / name).exists()]


def read_vocabulary(directory: Path) -> list[str] | None:
    """The words that a model predicts; None where there are none.

    Raises:
        CheckpointError: The file is no list of words beginning with the three marks.
    """
    path = directory / VOCABULARY_FILE
    if not path.exists():
        return None
    words = read_json(path, CheckpointError, max_bytes=_MAX_VOCABULARY_BYTES)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise CheckpointError(f"{path}: not a vocabulary, which is a JSON list of words.")
    if words[: len(MARKS)] != list(MARKS):
        raise CheckpointError(
            f"{path}: not a vocabulary, for its first words are {words[: len(MARKS)]} and not {list(MARKS)}."
        )
    return words


def read_facts(directory: Path) -> dict[str, Any] | None:
    """The facts of a model's training; None where there are none.

    Raises:
        CheckpointError: The file is no JSON object.
    """
    path = directory / TRAINING_FILE
    if not path.exists():
        return None
    facts = read_json(path, CheckpointError)
    if not isinstance(facts, dict):
        raise CheckpointError(f"{path}: not the facts of a training, which are a JSON object.")
    return facts


def stated(location: Location) -> dict[str, str]:
    """What a model says of itself under "language", "licence" and "author", or the saved pipeline that it is in.

    Raises:
        CheckpointError: What should say so is damaged.
    """
    if location.format is SAVED_PIPELINE:
        meta = location.directory.parent / "meta.json"
        facts = read_json(meta, CheckpointError) if meta.exists() else {}
        names = {"language": "lang", "licence": "license", "author": "author"}
    else:
        facts = read_facts(location.directory) or {}
        if "language" not in facts and (location.directory / CONFIG_FILE).exists():
            facts["language"] = read_text_settings(location.directory).nlp["nlp"].get("lang")
        names = {name: name for name in ("language", "licence", "author")}
    return {name: facts[theirs] for name, theirs in names.items() if facts.get(theirs)}


def read_text_settings(directory: Path) -> TextSettings:
    """How the texts were read that a model was trained with.

    Raises:
        CheckpointError: The model does not say.
    """
    path = directory / CONFIG_FILE
    try:
        config = Config().from_disk(path)
        nlp = {"nlp": config["nlp"], "components": config.get("components", {})}
        return TextSettings(nlp, config.get("corpus", {}).get("format", "documents"))
    except (OSError, ValueError, KeyError, AttributeError, configparser.Error) as error:
        raise CheckpointError(f"{path}: does not say how texts become words ({error}).") from None
