"""From AllenNLP's two arguments to a biLM."""

from os import PathLike
from pathlib import PurePosixPath
from typing import cast
from urllib.parse import urlsplit

import torch

from ..bilm import BiLM
from ..checkpoints import Source, load_bilm
from ..checkpoints.published import catalogue


def load(options_file: Source | None, weight_file: str | PathLike[str] | None, device: torch.device | str) -> BiLM:
    """The biLM of an options and a weights file, given by paths or by addresses; or, with `weight_file=None`, of what
    else names a model.

    Raises:
        CheckpointError: If the files are not those of a model, or the model that is meant is not on this machine yet.
        ValueError: If the arguments mean none.
    """
    if options_file is None:
        raise ValueError("options_file is None: give the path of a model's options file, or what else names a model.")
    if _is_address(options_file) or _is_address(weight_file):
        return load_bilm(_name(options_file, weight_file), device)
    if weight_file is None:
        return load_bilm(options_file, device)
    return load_bilm([cast(str, options_file), weight_file], device)


def _name(options_file: Source, weight_file: str | PathLike[str] | None) -> str:
    """The name of the published model that has its files at two addresses. They lie on more than one host, in folders
    of the same names.
    """
    wanted = [_folder_and_file(str(file)) for file in (options_file, weight_file)]
    for model in catalogue().values():
        if [_folder_and_file(file.url) for file in model.files] == wanted:
            return model.name
    raise ValueError(
        f"{options_file} and {weight_file} are not the options and the weights of a published model that has a name "
        f"here, and nothing is downloaded from other addresses. Fetch the files, and give their paths."
    )


def _is_address(file: object) -> bool:
    return isinstance(file, str) and "://" in file


def _folder_and_file(address: str) -> tuple[str, ...]:
    return PurePosixPath(urlsplit(address).path).parts[-2:]
