"""Files to a biLM and back."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path

import torch

from ..bilm import BiLM
from . import allennlp, manylangs, native
from .contents import Contents
from .download import download_model
from .errors import CheckpointError
from .source import Location, Source, embedded_models, locate

# What reads each format, from the paths of a `Location`.
_READERS: dict[str, Callable[..., Contents]] = {
    "native": native.read,
    "allennlp": allennlp.read,
    "manylangs": manylangs.read,
}
_WRITERS = {"native": native.write, "allennlp": allennlp.write}

__all__ = ["CheckpointError", "Source", "download_model", "embedded_models", "load_bilm", "load_located", "save_bilm"]


def load_bilm(source: Source, device: torch.device | str | None = None, precision: str = "float32") -> BiLM:
    """Load a biLM.

    source: the name of an embedded model ("en_elmo_sm"), or of a published one that was downloaded ("original"); a
        directory in our native format (config.json and model.safetensors), in AllenNLP's (one options.json and one
        weights.hdf5 or model.hdf5, each with or without a prefix to its name) or in ELMoForManyLangs'
        (token_embedder.pkl, encoder.pkl, char.dic and word.dic), or with one such directory in it; one of these files,
        with the others beside it; a .zip or .tar archive of them; or a pair of paths to an AllenNLP options and weights
        file.
    device: None for a GPU where there is one, else the CPU.
    precision: "float32" or "bfloat16", see `BiLM`.
    Raises CheckpointError where the source names nothing, or files are missing, damaged, or contradict each other. The
        error names the file and what is wrong with it. Nothing is downloaded: see `download_model`.
    """
    return load_located(locate(source), device, precision)


def load_located(location: Location, device: torch.device | str | None = None, precision: str = "float32") -> BiLM:
    """See `load_bilm`, for a model that was located before."""
    bilm = _READERS[location.format](*location.paths).bilm(precision)
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return bilm.to(device)


def save_bilm(
    bilm: BiLM,
    path: str | PathLike[str],
    *,
    format: str = "native",
    dtype: str = "float32",
    overwrite: bool = False,
) -> Path:
    """Write a biLM into a directory, which is made where it is not there.

    format: "native", for config.json, model.safetensors and, where there is a lexicon, lexicon.json; or "allennlp", for
        the options.json and weights.hdf5 that AllenNLP and bilm-tf read.
    dtype: "float32", or, in the native format, "float16" for files of half the size, rounded to 11 significant bits.
    overwrite: replace a model that stands there already. Each file is replaced whole or not at all.
    RETURNS: the directory.
    Raises FileExistsError where a model stands there and `overwrite` is false, or where one of another format does and
        would hide the one written; ValueError where the weights exceed float16's range, are not finite, or have no
        place in the format.
    """
    if format not in _WRITERS:
        raise ValueError(f"Cannot store a biLM in the format {format!r}: the choices are {', '.join(_WRITERS)}.")
    return _WRITERS[format](bilm, Path(path), dtype=dtype, overwrite=overwrite)
