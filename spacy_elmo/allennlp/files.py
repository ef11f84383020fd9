"""From AllenNLP's two arguments to a biLM."""

from os import PathLike
from typing import cast

import torch

from ..bilm import BiLM
from ..checkpoints import Source, load_bilm
from ..errors import ArgumentError


def load(options_file: Source | None, weight_file: str | PathLike[str] | None, device: torch.device | str) -> BiLM:
    """Load the biLM of an options and a weights file.

    Args:
        options_file: A path or an address; or, with `weight_file=None`, whatever else names a model.
        weight_file: A path or an address.
        device: As for `load_bilm`.

    Raises:
        CheckpointError: The files are not those of a model, or the model that is meant is not on this machine yet.
        ArgumentError: The arguments mean none.
    """
    if options_file is None:
        raise ArgumentError(
            "options_file is None: give the path of a model's options file, or what else names a model."
        )
    if weight_file is None:
        return load_bilm(options_file, device)
    return load_bilm([cast(str, options_file), weight_file], device)
