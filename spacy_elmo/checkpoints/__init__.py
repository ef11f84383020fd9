"""Files to a biLM and back."""

from os import PathLike
from pathlib import Path

import torch

from ..bilm import BiLM
from . import allennlp, native
from .errors import CheckpointError
from .source import Source, embedded_models, locate

# Each reads and writes a format of its own.
_FORMATS = {"native": native, "allennlp": allennlp}

__all__ = ["CheckpointError", "Source", "embedded_models", "load_bilm", "save_bilm"]


def load_bilm(source: Source, device: torch.device | str | None = None, precision: str = "float32") -> BiLM:
    """Load a biLM.

    source: the name of an embedded model ("en_elmo_sm"); a directory in our native format (config.json and
        model.safetensors) or in AllenNLP's (one options.json and one weights.hdf5, each with or without a prefix to
        its name); or a pair of paths to an AllenNLP options and weights file.
    device: None for a GPU where there is one, else the CPU.
    precision: "float32" or "bfloat16", see `BiLM`.
    Raises CheckpointError where the source names nothing, or files are missing, damaged, or contradict each other. The
        error names the file and what is wrong with it.
    """
    location = locate(source)
    if isinstance(location, tuple):
        config, parameters = allennlp.read(*location)
    else:
        config, parameters = native.read(location)
    # On the meta device no memory is taken and nothing is initialised only to be overwritten.
    with torch.device("meta"):
        bilm = BiLM(config, precision)
    bilm.load_state_dict(parameters, assign=True)
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return bilm.to(device).eval()


def save_bilm(
    bilm: BiLM,
    path: str | PathLike[str],
    *,
    format: str = "native",
    dtype: str = "float32",
    overwrite: bool = False,
) -> Path:
    """Write a biLM into a directory, which is made where it is not there.

    format: "native", for config.json and model.safetensors; or "allennlp", for the options.json and weights.hdf5 that
        AllenNLP and bilm-tf read.
    dtype: "float32", or, in the native format, "float16" for files of half the size, rounded to 11 significant bits.
    overwrite: replace a model that stands there already. Each file is replaced whole or not at all.
    RETURNS: the directory.
    Raises FileExistsError where a model stands there and `overwrite` is false, or where one of another format does and
        would hide the one written; ValueError where the weights exceed float16's range, are not finite, or have no
        place in the format.
    """
    if format not in _FORMATS:
        raise ValueError(f"Cannot store a biLM in the format {format!r}: the choices are {', '.join(_FORMATS)}.")
    return _FORMATS[format].write(bilm, Path(path), dtype=dtype, overwrite=overwrite)
