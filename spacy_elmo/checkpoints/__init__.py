"""Files to a biLM and back."""

import torch

from ..bilm import BiLM
from ..bilm.device import usable
from .convert import Conversion, convert
from .describe import describe
from .download import download_model
from .embedded import embedded_models
from .errors import CheckpointError
from .format import Location
from .published import embedded_for
from .save import save_bilm
from .source import Source, locate

__all__ = [
    "CheckpointError",
    "Conversion",
    "Location",
    "Source",
    "convert",
    "describe",
    "download_model",
    "embedded_for",
    "embedded_models",
    "load_bilm",
    "load_located",
    "locate",
    "save_bilm",
]


def load_bilm(source: Source, device: torch.device | str | None = None, precision: str = "float32") -> BiLM:
    """Load a biLM. Nothing is downloaded: see `download_model`.

    Args:
        source: The name of an embedded model ("en_elmo_sm"), or of a published one that was downloaded ("original"); a
            directory in our native format (config.json and model.safetensors), in AllenNLP's (one options.json and one
            weights.hdf5 or model.hdf5, each with or without a prefix to its name) or in ELMoForManyLangs'
            (token_embedder.pkl, encoder.pkl, char.dic and word.dic), or with one such directory in it; what AllenNLP
            archives a whole model as (config.json and weights.th); a saved spaCy pipeline with ELMo, by its directory
            or by the name of an installed package; one of these files, with the others beside it; a .zip or .tar
            archive of them; or a pair of paths to an AllenNLP options and weights file.
        device: None for a GPU where there is one, else the CPU.
        precision: "float32" or "bfloat16", see `BiLM`.

    Raises:
        CheckpointError: The source names nothing, or files are missing, damaged, or contradict each other. The message
            names the file and what is wrong with it.
        ArgumentError: There is no such device, or no such precision.
    """
    return load_located(locate(source), device, precision)


def load_located(location: Location, device: torch.device | str | None = None, precision: str = "float32") -> BiLM:
    """Load a model that was located before; see `load_bilm`."""
    place = usable(device)
    return location.read().bilm(precision).to(place)
