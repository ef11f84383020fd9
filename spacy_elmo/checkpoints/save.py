"""A biLM onto the disk."""

import os
import shutil
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from ..bilm import BiLM
from ..disk import TakenError, new_directory
from .allennlp import VOCABULARY_FILE
from .errors import CheckpointError
from .format import Format
from .formats import FORMATS, named

# What stands beside a biLM that was trained here, and belongs to it alone.
TRAINED_FILES = ("vocabulary.json", "softmax.safetensors", "training.json", "pretraining.cfg")


def save_bilm(
    bilm: BiLM,
    path: str | PathLike[str],
    *,
    format: str = "native",
    dtype: str = "float32",
    overwrite: bool = False,
    vocabulary: Sequence[str] | None = None,
) -> Path:
    """Write a biLM as a directory, which appears or changes whole.

    At any moment, and whenever the process is killed, the old model is there or the new one.

    Args:
        bilm: The model.
        path: The directory. Files of no model in it, such as a README.md, stay.
        format: "native", for config.json, model.safetensors and, where there is a lexicon, lexicon.json; or "allennlp",
            for the options.json and weights.hdf5 that AllenNLP and bilm-tf read.
        dtype: "float32", or, in the native format, "float16" for files of half the size, rounded to 11 significant
            bits.
        overwrite: Replace a model of the same format that stands there already.
        vocabulary: The words that the model was trained to predict, for the vocab.txt that bilm-tf reads beside the
            format "allennlp".

    Returns:
        The directory.

    Raises:
        TakenError: A model stands there and `overwrite` is false, or one that the new one would stand beside.
        CheckpointError: The weights exceed float16's range, are not finite, or have no place in the format.
        DiskError: The disk does not take it.
    """
    writer = writable(format)
    files = writer.serialize(bilm, dtype, vocabulary)
    directory = Path(path)
    kept = _kept(directory, writer, set(files), overwrite)
    with new_directory(directory, overwrite=overwrite or bool(kept)) as unfinished:
        for name, content in files.items():
            (unfinished / name).write_bytes(content)
        for stranger in kept:
            _keep(stranger, unfinished / stranger.name)
    return directory


def writable(name: str) -> Format:
    """The format of a name, in which biLMs are written. Raises CheckpointError where there is none."""
    format = named(name)
    if format is None or not format.written:
        choices = ", ".join(format.name for format in FORMATS if format.written)
        raise CheckpointError(f"Cannot store a biLM in the format {name!r}: the choices are {choices}.")
    return format


def _kept(directory: Path, writer: Format, names: set[str], overwrite: bool) -> list[Path]:
    """What is in a directory and no part of a model."""
    if not directory.is_dir():
        return []
    for path in (directory / name for name in TRAINED_FILES):
        if path.exists():
            raise TakenError(f"{path} is part of a model that was trained here; choose another directory.")
    others = [part for format in FORMATS for part in (*format.parts, *format.written)]
    others.append(VOCABULARY_FILE)
    kept = []
    for path in sorted(directory.iterdir()):
        if path.name in {*writer.written, *names} and path.is_file():
            if not overwrite:
                raise TakenError(
                    f"{path} exists already; choose another directory, or replace it (overwrite=True, --overwrite)."
                )
        elif path.is_dir():
            raise TakenError(f"{path} is a directory, and a model is one of its own; choose another directory.")
        elif any(path.match(part) for part in others):
            raise TakenError(
                f"{path} is part of another model, which cannot share a directory with one in the format "
                f"{writer.name}; choose another directory."
            )
        else:
            kept.append(path)
    return kept


def _keep(path: Path, target: Path) -> None:
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError:  # a file system without links
        shutil.copy2(path, target, follow_symlinks=False)
